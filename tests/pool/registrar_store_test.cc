// A registrar whose store fails, hangs and comes back, over real gRPC on loopback: relays that hold
// an epoch stay, new ones wait, stale ones are found out.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "pool/client.h"
#include "pool/memory_store.h"
#include "pool/registrar_service.h"
#include "tests/pool/store_calls.h"

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

bool eventually(milliseconds timeout, const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + timeout;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

// What is kept outlives the registrars; each reaches it through a switch of its own.
struct Switch {
  enum class Mode { answers, fails, hangs };
  std::atomic<Mode> mode{Mode::answers};
  std::mutex mutex;
  struct Hanging {
    std::function<void()> call;
    std::function<void()> fail;
  };
  std::vector<Hanging> hanging;

  std::vector<Hanging> take() {
    const std::scoped_lock lock(mutex);
    return std::exchange(hanging, {});
  }
  void release() {
    mode = Mode::answers;
    for (const auto& one : take()) one.call();
  }
};

class SwitchedStore final : public Store {
 public:
  SwitchedStore(std::shared_ptr<MemoryStore> kept, std::shared_ptr<Switch> way)
      : kept_(std::move(kept)), way_(std::move(way)) {}
  ~SwitchedStore() override {
    for (const auto& one : way_->take()) one.fail();
  }

  void get(const std::string& key, GetDone done) override {
    pass(done, [kept = kept_, key, done] { kept->get(key, done); });
  }
  void compare_and_swap(Swap change, SwapDone done) override {
    pass(done, [kept = kept_, change, done] { kept->compare_and_swap(change, done); });
  }
  [[nodiscard]] std::string trouble() const override {
    return way_->mode == Switch::Mode::answers ? "" : "switched off";
  }

 private:
  template <class Done>
  void pass(const Done& done, const std::function<void()>& call) {
    if (way_->mode == Switch::Mode::fails) return done(Error(Errc::store_failed, "switched off"));
    if (way_->mode == Switch::Mode::answers) return call();
    const std::scoped_lock lock(way_->mutex);
    way_->hanging.push_back({call, [done] { done(Error(Errc::store_failed, "stopped")); }});
  }

  std::shared_ptr<MemoryStore> kept_;
  std::shared_ptr<Switch> way_;
};

class RegistrarStore : public testing::Test {
 protected:
  void start(const std::string& listen = "127.0.0.1:0") {
    RegistrarServer::Options options;
    options.listen = listen;
    options.store = std::make_unique<SwitchedStore>(kept_, way_);
    auto started = RegistrarServer::start(std::move(options));
    ASSERT_TRUE(started) << started.error().message();
    registrar_ = std::move(*started);
  }
  void restart() {
    const std::string listen = registrar_->endpoint();
    registrar_.reset();
    start(listen);
  }
  std::unique_ptr<PoolElementClient> relay(const std::string& name,
                                           Policy policy = Policy::least_used_degradation) {
    PoolElementClient::Options options;
    options.registrars = {registrar_->endpoint()};
    options.registration.pool = "media";
    options.registration.name = name;
    options.registration.endpoint = "127.0.0.1:7410";
    options.registration.policy = policy;
    auto client = PoolElementClient::start(std::move(options));
    EXPECT_TRUE(client) << client.error().message();
    return std::move(*client);
  }
  [[nodiscard]] bool has(const std::string& name) const {
    for (const ListedPool& pool : registrar_->list()) {
      for (const ListedElement& listed : pool.elements) {
        if (listed.element.name == name) return true;
      }
    }
    return false;
  }
  static std::string refusal(const PoolElementClient& relay) {
    const auto state = relay.state();
    return state.refused ? std::string(name_of(*state.refused)) : "";
  }

  std::shared_ptr<MemoryStore> kept_ = std::make_shared<MemoryStore>();
  std::shared_ptr<Switch> way_ = std::make_shared<Switch>();
  std::unique_ptr<RegistrarServer> registrar_;
};

TEST_F(RegistrarStore, WithTheStoreAwayARelayThatHoldsAnEpochReturnsAndANewOneWaits) {
  start();
  const auto old = relay("old");
  ASSERT_TRUE(eventually(seconds(5), [&] { return old->epoch() != 0; }));
  const auto epoch = old->epoch();

  way_->mode = Switch::Mode::fails;
  restart();
  ASSERT_TRUE(eventually(seconds(5), [&] { return has("old"); }));
  EXPECT_EQ(old->epoch(), epoch);
  const auto fresh = relay("fresh");
  ASSERT_TRUE(eventually(seconds(5), [&] { return refusal(*fresh) == "store_failed"; }));
  EXPECT_FALSE(has("fresh"));
  EXPECT_GT(registrar_->store_state().failures, 0U);
  EXPECT_EQ(registrar_->store_state().trouble, "switched off");

  way_->release();
  ASSERT_TRUE(eventually(seconds(5), [&] { return has("fresh"); }));
  const auto operations = registrar_->store_state().operations;
  std::this_thread::sleep_for(milliseconds(400));
  EXPECT_EQ(registrar_->store_state().operations, operations) << "all are confirmed";
  EXPECT_TRUE(has("old"));
  EXPECT_EQ(old->epoch(), epoch);
  EXPECT_EQ(registrar_->counts().deaths, 0U);
}

TEST_F(RegistrarStore, AStoreThatHangsDelaysAReturningRelayByThePatienceAndNoHeartbeat) {
  start();
  const auto old = relay("old");
  ASSERT_TRUE(eventually(seconds(5), [&] { return old->epoch() != 0; }));
  way_->mode = Switch::Mode::hangs;
  restart();
  ASSERT_TRUE(eventually(seconds(5), [&] { return has("old"); }));
  const auto before = registrar_->counts().heartbeats;
  ASSERT_TRUE(
      eventually(seconds(5), [&] { return registrar_->counts().heartbeats > before + 10; }));
  EXPECT_EQ(registrar_->counts().deaths, 0U);
  way_->release();
  ASSERT_TRUE(
      eventually(seconds(5), [&] { return registrar_->counts().heartbeats > before + 20; }));
  EXPECT_TRUE(has("old"));
  EXPECT_EQ(registrar_->counts().registrations, 1U) << "the confirmation changes nothing";
}

TEST_F(RegistrarStore, ARelayWhoseNameAnotherHasTakenIsSentAwayWhenTheStoreIsBack) {
  start();
  const auto old = relay("r1");
  ASSERT_TRUE(eventually(seconds(5), [&] { return old->epoch() != 0; }));
  way_->mode = Switch::Mode::fails;
  restart();
  ASSERT_TRUE(eventually(seconds(5), [&] { return has("r1"); }));
  // Meanwhile another registrar has granted the name to a younger process.
  const auto known = get(*kept_, "element/media/r1");
  ASSERT_TRUE(swap(*kept_, {.key = "element/media/r1",
                            .expected = known->revision,
                            .value = std::to_string(old->epoch() + 1) + " 77"})
                  ->swapped);
  way_->release();
  ASSERT_TRUE(eventually(seconds(5), [&] { return refusal(*old) == "stale_epoch"; }));
  EXPECT_TRUE(eventually(seconds(5), [&] { return !has("r1"); }));
}

TEST_F(RegistrarStore, ARecordedPolicyIsReplacedOnlyOnceTheRegistrarKnowsWhoIsInThePool) {
  start();
  swap(*kept_, {.key = "pool/media", .expected = 0, .value = "random"});
  const auto begin = Clock::now();
  const auto other = relay("r1", Policy::round_robin);
  ASSERT_TRUE(eventually(seconds(5), [&] { return refusal(*other) == "policy_mismatch"; }));
  ASSERT_LT(Clock::now() - begin, seconds(1));
  ASSERT_TRUE(eventually(seconds(5), [&] { return has("r1"); }));
  EXPECT_EQ(get(*kept_, "pool/media")->value, "round-robin");
}

TEST_F(RegistrarStore, AStoreThatHangsKeepsNobodyFromStopping) {
  start();
  way_->mode = Switch::Mode::hangs;
  const auto fresh = relay("fresh");
  ASSERT_TRUE(eventually(seconds(5), [&] { return registrar_->store_state().operations > 0; }));
  const auto begin = Clock::now();
  registrar_->stop();
  EXPECT_LT(Clock::now() - begin, seconds(2));
}

}  // namespace
}  // namespace rtpool::pool
