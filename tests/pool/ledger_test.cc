// Epochs and pool definitions by compare-and-swap on a store.
#include "pool/ledger.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "pool/errc.h"
#include "pool/memory_store.h"

namespace rtpool::pool {
namespace {

Registration process(std::uint64_t incarnation, std::uint64_t epoch = 0,
                     const std::string& name = "r1") {
  Registration registration;
  registration.pool = "media";
  registration.name = name;
  registration.endpoint = "127.0.0.1:7410";
  registration.incarnation = incarnation;
  registration.epoch = epoch;
  return registration;
}

std::string claim(Store& store, const Registration& registration, bool pool_is_empty = false) {
  std::optional<Result<std::uint64_t>> outcome;
  claim_epoch(store,
              {.registration = registration, .first_epoch = 100, .pool_is_empty = pool_is_empty},
              [&](Result<std::uint64_t> result) { outcome = std::move(result); });
  if (!outcome) return "no answer";
  if (*outcome) return std::to_string(**outcome);
  return std::string(name_of(static_cast<Errc>(outcome->error().code.value())));
}

TEST(Ledger, ANewNameStartsAtTheFirstEpochAndEachNewProcessGetsAHigherOne) {
  MemoryStore store;
  EXPECT_EQ(claim(store, process(1)), "100");
  EXPECT_EQ(claim(store, process(2)), "101");
  EXPECT_EQ(claim(store, process(3)), "102");
}

TEST(Ledger, AProcessThatReturnsKeepsItsEpoch) {
  MemoryStore store;
  EXPECT_EQ(claim(store, process(1)), "100");
  EXPECT_EQ(claim(store, process(1, 100)), "100");
  EXPECT_EQ(claim(store, process(1)), "100") << "its first answer was lost";
}

TEST(Ledger, AProcessThatWasReplacedIsRefused) {
  MemoryStore store;
  EXPECT_EQ(claim(store, process(1)), "100");
  EXPECT_EQ(claim(store, process(2)), "101");
  EXPECT_EQ(claim(store, process(1, 100)), "stale_epoch");
  EXPECT_EQ(claim(store, process(2, 101)), "101");
}

TEST(Ledger, AStoreThatForgotTakesOverTheEpochThatAnElementBrings) {
  MemoryStore store;
  EXPECT_EQ(claim(store, process(1, 250)), "250");
  EXPECT_EQ(claim(store, process(2)), "251");
}

TEST(Ledger, TwoStoresAgreeOnTheHigherEpoch) {
  MemoryStore one;
  MemoryStore two;
  claim(one, process(9));
  EXPECT_EQ(claim(one, process(1)), "101");
  EXPECT_EQ(claim(two, process(1)), "100");
  EXPECT_EQ(claim(two, process(1, 101)), "101");
}

TEST(Ledger, TheFirstElementFixesThePolicyUntilThePoolIsEmpty) {
  MemoryStore store;
  claim(store, process(1));
  Registration other = process(2, 0, "r2");
  other.policy = Policy::random;
  EXPECT_EQ(claim(store, other), "policy_mismatch");
  EXPECT_EQ(claim(store, other, true), "100");
  EXPECT_EQ(claim(store, process(3)), "policy_mismatch");
}

// Another registrar changes the entry between each read and write, for a process of the same name.
class ContendedStore final : public Store {
 public:
  ContendedStore(int losses, std::uint64_t rival) : losses_(losses), rival_(rival) {}
  void get(const std::string& key, GetDone done) override { inner_.get(key, std::move(done)); }
  void compare_and_swap(Swap swap, SwapDone done) override {
    if (swap.key.starts_with("element/") && losses_-- > 0) {
      Swap first = swap;
      first.value = std::to_string(++epoch_) + " " + std::to_string(rival_);
      inner_.compare_and_swap(std::move(first), [](const Result<SwapOutcome>&) {});
    }
    inner_.compare_and_swap(std::move(swap), std::move(done));
  }

 private:
  MemoryStore inner_;
  int losses_;
  std::uint64_t rival_;
  std::uint64_t epoch_ = 500;
};

TEST(Ledger, ARaceWithItsOwnClaimAtAnotherRegistrarEndsWithOneEpoch) {
  ContendedStore store(2, 1);
  EXPECT_EQ(claim(store, process(1)), "501");
}

TEST(Ledger, ALostRaceIsRunAgainOnWhatTheWinnerWrote) {
  ContendedStore store(2, 1);
  EXPECT_EQ(claim(store, process(1, 900)), "900");
}

// The claim of a process that died meanwhile may be the late one.
TEST(Ledger, AClaimThatComesSecondDoesNotDisplaceTheProcessThatCameFirst) {
  ContendedStore store(1, 77);
  EXPECT_EQ(claim(store, process(1)), "store_failed");
  EXPECT_EQ(claim(store, process(77, 501)), "501") << "the first one keeps its epoch";
  EXPECT_EQ(claim(store, process(1)), "502") << "one that asks again is alive, and the younger";
}

TEST(Ledger, AClaimWhoseStreamHasGoneWritesNothing) {
  MemoryStore store;
  EXPECT_EQ(claim(store, process(1)), "100");
  std::optional<Result<std::uint64_t>> outcome;
  claim_epoch(store,
              {.registration = process(2), .abandoned = std::make_shared<std::atomic<bool>>(true)},
              [&](Result<std::uint64_t> result) { outcome = std::move(result); });
  EXPECT_EQ(outcome->error().code, make_error_code(Errc::stopped));
  EXPECT_EQ(claim(store, process(1, 100)), "100");
}

TEST(Ledger, ARaceThatIsAlwaysLostEnds) {
  ContendedStore store(1000, 1);
  EXPECT_EQ(claim(store, process(1, 900)), "store_failed");
}

}  // namespace
}  // namespace rtpool::pool
