// A controller and a relay of one process: a real engine, asked without gRPC; and other relays,
// which are asked as ever.
#include "control/calls/local_relay.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "control/calls/relay_client.h"
#include "relay/engine.h"

namespace rtpool::control {
namespace {

using namespace std::chrono_literals;

Instant monotonic_now() {
  return Instant(std::chrono::steady_clock::now().time_since_epoch());
}

media::CallSpec two_parties(const std::string& key, Duration setup_timeout = 0s) {
  media::CallSpec spec;
  spec.key = key;
  spec.revision = 1;
  spec.setup_timeout = setup_timeout;
  media::StreamSpec a, b;
  a.id = media::StreamId{1};
  a.forward_to = media::StreamId{2};
  b.id = media::StreamId{2};
  b.forward_to = media::StreamId{1};
  spec.streams = {a, b};
  return spec;
}

// Answers for all the relays that are elsewhere.
class Elsewhere final : public RelayGateway {
 public:
  void apply(const RelayRef& relay, const media::CallSpec&, Duration, Done done) override {
    asked.push_back("apply " + relay.id);
    done(Error(RelayErrc::unreachable));
  }
  void query(const RelayRef& relay, const std::string&, Duration, Done done) override {
    asked.push_back("query " + relay.id);
    done(Error(RelayErrc::unreachable));
  }
  void remove(const RelayRef& relay, const std::string&, Duration, Done done) override {
    asked.push_back("remove " + relay.id);
    done(Error(RelayErrc::unreachable));
  }
  void set_on_ended(Ended handler) override { on_ended = std::move(handler); }

  std::vector<std::string> asked;
  Ended on_ended;
};

class LocalRelayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.media_addresses = {
        {"default", IpAddress::v4(127, 0, 0, 1), IpAddress::v4(127, 0, 0, 1)}};
    options.ports = {41200, 41399};
    auto started = Engine::start(options);
    ASSERT_TRUE(started.has_value()) << started.error().message();
    engine = std::move(*started);
    auto listening =
        RelayServer::start({.listen = "127.0.0.1:0", .epoch = [this] { return epoch; }}, *engine);
    ASSERT_TRUE(listening.has_value()) << listening.error().message();
    server = std::move(*listening);
    address = "127.0.0.1:" + std::to_string(server->port());
    relay = {"here", address, epoch};
    local = std::make_unique<LocalRelay>(io, *server, address, elsewhere);
  }
  void TearDown() override {
    local.reset();
    server.reset();
    engine.reset();
  }

  Result<media::CallState> wait_for(const std::function<void(RelayGateway::Done)>& ask) {
    std::optional<Result<media::CallState>> result;
    ask([&](const Result<media::CallState>& state) { result = state; });
    EXPECT_FALSE(result.has_value()) << "results come by the loop, not within the request";
    run_until([&] { return result.has_value(); });
    return result ? *result
                  : Result<media::CallState>(Error(RelayErrc::protocol, "nothing came back"));
  }
  void run_until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (!done() && std::chrono::steady_clock::now() < deadline) {
      io.restart();
      io.run_for(5ms);
    }
  }
  Result<media::CallState> apply(const media::CallSpec& spec) {
    return wait_for([&](auto done) { local->apply(relay, spec, 2s, done); });
  }

  std::uint64_t epoch = 5;
  boost::asio::io_context io;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<RelayServer> server;
  std::string address;
  Elsewhere elsewhere;
  std::unique_ptr<LocalRelay> local;
  RelayRef relay;
};

TEST_F(LocalRelayTest, a_call_is_applied_queried_and_removed) {
  const auto applied = apply(two_parties("c1"));
  ASSERT_TRUE(applied.has_value()) << applied.error().message();
  const auto queried = wait_for([&](auto done) { local->query(relay, "c1", 2s, done); });
  ASSERT_TRUE(queried.has_value()) << queried.error().message();
  EXPECT_EQ(queried->streams[1].rtp.local, applied->streams[1].rtp.local);
  EXPECT_TRUE(wait_for([&](auto done) { local->remove(relay, "c1", 2s, done); }).has_value());
  const auto again = wait_for([&](auto done) { local->remove(relay, "c1", 2s, done); });
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, make_error_code(EngineErrc::unknown_call));
  EXPECT_TRUE(elsewhere.asked.empty());
}

TEST_F(LocalRelayTest, a_request_for_an_earlier_registration_is_refused) {
  epoch = 6;
  const auto refused = apply(two_parties("c1"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, make_error_code(RelayErrc::stale_epoch));
  EXPECT_NE(refused.error().detail.find("epoch 6, asked with 5"), std::string::npos);
  EXPECT_EQ(engine->size(), 0U);
}

TEST_F(LocalRelayTest, relays_that_are_elsewhere_are_asked_there) {
  const RelayRef far{"far", "127.0.0.1:1", 0};
  const auto note = [](const Result<media::CallState>& state) {
    EXPECT_EQ(state.error().code, make_error_code(RelayErrc::unreachable));
  };
  local->apply(far, two_parties("c1"), 1s, note);
  local->query(far, "c1", 1s, note);
  local->remove(far, "c1", 1s, note);
  EXPECT_EQ(elsewhere.asked, (std::vector<std::string>{"apply far", "query far", "remove far"}));
  EXPECT_EQ(engine->size(), 0U);
  std::string from;
  local->set_on_ended([&](const RelayRef& ended_on, const CallEnded&) { from = ended_on.id; });
  elsewhere.on_ended(far, {media::EndReason::media_timeout, {}});
  EXPECT_EQ(from, "far");
}

TEST_F(LocalRelayTest, a_call_that_ends_by_itself_is_told) {
  std::optional<CallEnded> ended;
  std::string from;
  local->set_on_ended([&](const RelayRef& on, const CallEnded& event) {
    from = on.id;
    ended = event;
  });
  ASSERT_TRUE(apply(two_parties("short", 300ms)).has_value());
  run_until([&] { return ended.has_value(); });
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(from, "here");
  EXPECT_EQ(ended->reason, media::EndReason::setup_timeout);
  EXPECT_EQ(ended->state.key, "short");
}

// Controllers of one process and of others must agree on what has ended, whoever ended it.
TEST_F(LocalRelayTest, a_delete_is_told_across_both_ways) {
  std::vector<std::string> heard_here, heard_far;
  local->set_on_ended([&](const RelayRef&, const CallEnded& event) {
    if (event.reason == media::EndReason::deleted) heard_here.push_back(event.state.key);
  });
  RelayClient client(io, monotonic_now);
  client.set_on_ended([&](const RelayRef&, const CallEnded& event) {
    if (event.reason == media::EndReason::deleted) heard_far.push_back(event.state.key);
  });
  ASSERT_TRUE(
      wait_for([&](auto done) { client.apply(relay, two_parties("far"), 2s, done); }).has_value());
  ASSERT_TRUE(apply(two_parties("near")).has_value());
  ASSERT_TRUE(wait_for([&](auto done) { client.remove(relay, "far", 2s, done); }).has_value());
  ASSERT_TRUE(wait_for([&](auto done) { local->remove(relay, "near", 2s, done); }).has_value());
  run_until([&] { return heard_here.size() == 2 && heard_far.size() == 2; });
  EXPECT_EQ(heard_here, (std::vector<std::string>{"far", "near"}));
  EXPECT_EQ(heard_far, (std::vector<std::string>{"far", "near"}));
  client.stop();
}

TEST_F(LocalRelayTest, stopping_waits_for_what_was_asked) {
  ASSERT_TRUE(apply(two_parties("c1")).has_value());
  bool answered = false;
  local->query(relay, "c1", 2s, [&](const Result<media::CallState>&) { answered = true; });
  local->stop();
  io.restart();
  io.poll();
  EXPECT_TRUE(answered) << "the answer was on its way when stop() returned";
}

}  // namespace
}  // namespace rtpool::control
