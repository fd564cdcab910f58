#include "pool/ledger.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "pool/errc.h"

namespace rtpool::pool {
namespace {

// A swap that loses this often does so to registrars that race for the same element: give up.
constexpr int kMaxAttempts = 8;

struct EpochValue {
  std::uint64_t epoch = 0;
  std::uint64_t incarnation = 0;
};

std::optional<EpochValue> parse_epoch(const std::string& text) {
  EpochValue value;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, value.epoch);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != ' ') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, value.incarnation);
  if (second.ec != std::errc{} || second.ptr != end) return std::nullopt;
  return value;
}

// One claim on its way through the store; keeps itself alive by the callbacks that hold it.
class Claim : public std::enable_shared_from_this<Claim> {
 public:
  Claim(Store& store, EpochClaim claim, std::function<void(Result<std::uint64_t>)> done)
      : store_(store), claim_(std::move(claim)), done_(std::move(done)) {}

  void fix_policy() {
    store_.get(pool_key(), [self = shared_from_this()](Result<StoreEntry> entry) {
      if (!entry) return self->done_(entry.error());
      self->policy_known(*entry);
    });
  }

 private:
  [[nodiscard]] std::string pool_key() const { return "pool/" + claim_.registration.pool; }
  [[nodiscard]] std::string element_key() const {
    return "element/" + claim_.registration.pool + "/" + claim_.registration.name;
  }
  bool given_up() {
    if (!claim_.abandoned || !*claim_.abandoned) return false;
    done_(Error(Errc::stopped, "the stream has gone"));
    return true;
  }
  bool try_again() {
    if (++attempts_ < kMaxAttempts) return true;
    done_(Error(Errc::store_failed, "the entry kept changing"));
    return false;
  }

  void policy_known(const StoreEntry& entry) {
    if (given_up()) return;
    const std::string wanted(name_of(claim_.registration.policy));
    if (entry.revision != 0 && entry.value == wanted) return take_epoch();
    if (entry.revision != 0 && !claim_.pool_is_empty) {
      return done_(Error(
          Errc::policy_mismatch,
          "pool '" + claim_.registration.pool + "' has policy " + entry.value + ", not " + wanted));
    }
    store_.compare_and_swap({.key = pool_key(), .expected = entry.revision, .value = wanted},
                            [self = shared_from_this()](Result<SwapOutcome> outcome) {
                              if (!outcome) return self->done_(outcome.error());
                              if (outcome->swapped) return self->take_epoch();
                              self->claim_.pool_is_empty = false;  // somebody was first
                              if (self->try_again()) self->policy_known(outcome->current);
                            });
  }

  void take_epoch() {
    store_.get(element_key(), [self = shared_from_this()](Result<StoreEntry> entry) {
      if (!entry) return self->done_(entry.error());
      self->epoch_known(*entry);
    });
  }

  // Lost to another process of that name: which of them is the younger one can't be told, and the
  // older may be dead already. Whoever lives asks again.
  void lost_to(const StoreEntry& entry) {
    const auto current = parse_epoch(entry.value);
    const bool same = current && current->incarnation == claim_.registration.incarnation;
    if (!same && claim_.registration.epoch == 0) {
      return done_(Error(Errc::store_failed, "another process of '" + claim_.registration.name +
                                                 "' registers at the same time"));
    }
    if (try_again()) epoch_known(entry);
  }

  void epoch_known(const StoreEntry& entry) {
    if (given_up()) return;
    const Registration& registration = claim_.registration;
    EpochValue current;
    if (entry.revision != 0) {
      const auto parsed = parse_epoch(entry.value);
      if (!parsed) return done_(Error(Errc::store_failed, "unreadable entry " + element_key()));
      current = *parsed;
    }
    std::uint64_t epoch = 0;
    if (entry.revision == 0) {
      epoch = registration.epoch > 0 ? registration.epoch : claim_.first_epoch;
    } else if (current.incarnation == registration.incarnation) {
      epoch = std::max(current.epoch, registration.epoch);
    } else if (registration.epoch == 0) {
      epoch = std::max(current.epoch + 1, claim_.first_epoch);
    } else if (registration.epoch > current.epoch) {
      epoch = registration.epoch;
    } else {
      return done_(Error(Errc::stale_epoch, "'" + registration.name +
                                                "' registered anew with epoch " +
                                                std::to_string(current.epoch)));
    }
    if (epoch == current.epoch && current.incarnation == registration.incarnation) {
      return done_(epoch);
    }
    store_.compare_and_swap(
        {.key = element_key(),
         .expected = entry.revision,
         .value = std::to_string(epoch) + " " + std::to_string(registration.incarnation)},
        [self = shared_from_this(), epoch](Result<SwapOutcome> outcome) {
          if (!outcome) return self->done_(outcome.error());
          if (outcome->swapped) return self->done_(epoch);
          self->lost_to(outcome->current);
        });
  }

  Store& store_;
  EpochClaim claim_;
  std::function<void(Result<std::uint64_t>)> done_;
  int attempts_ = 0;
};

}  // namespace

void claim_epoch(Store& store, EpochClaim claim, std::function<void(Result<std::uint64_t>)> done) {
  std::make_shared<Claim>(store, std::move(claim), std::move(done))->fix_policy();
}

}  // namespace rtpool::pool
