// A controller's client and a relay's service over real gRPC on loopback, with a real engine behind
// it.
#include "control/calls/relay_service.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <optional>

#include "control/calls/operator_client.h"
#include "control/calls/relay_client.h"
#include "pool/tls_context.h"
#include "relay/engine.h"
#include "tests/support/certificates.h"

namespace rtpool::control {
namespace {

using namespace std::chrono_literals;

Instant monotonic_now() {
  return Instant(std::chrono::steady_clock::now().time_since_epoch());
}

media::CallSpec simple_call(const std::string& key, Duration setup_timeout = 0s) {
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

class RelayServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.media_addresses = {
        {"default", IpAddress::v4(127, 0, 0, 1), IpAddress::v4(127, 0, 0, 1)}};
    options.ports = {41000, 41199};
    auto started = Engine::start(options);
    ASSERT_TRUE(started.has_value()) << started.error().message();
    engine = std::move(*started);
    start_server();
  }
  virtual void start_server() {
    auto listening =
        RelayServer::start({.listen = "127.0.0.1:0", .epoch = [this] { return epoch; }}, *engine);
    ASSERT_TRUE(listening.has_value()) << listening.error().message();
    server = std::move(*listening);
    relay = {"r1", "127.0.0.1:" + std::to_string(server->port()), epoch};
  }
  void TearDown() override {
    client.stop();
    server.reset();
    engine.reset();
  }

  // Runs the control thread's loop until the result is there.
  Result<media::CallState> wait_for(const std::function<void(RelayGateway::Done)>& ask) {
    std::optional<Result<media::CallState>> result;
    ask([&](const Result<media::CallState>& state) { result = state; });
    run_until([&] { return result.has_value(); });
    return result ? *result
                  : Result<media::CallState>(Error(RelayErrc::protocol, "nothing came back"));
  }
  void run_until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    io.restart();
    while (!done() && std::chrono::steady_clock::now() < deadline) {
      io.run_for(5ms);
      io.restart();
    }
  }
  Result<media::CallState> apply(const media::CallSpec& spec) {
    return wait_for([&](auto done) { client.apply(relay, spec, 2s, done); });
  }

  std::uint64_t epoch = 5;
  boost::asio::io_context io;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<RelayServer> server;
  RelayClient client{io, monotonic_now};
  RelayRef relay;
};

TEST_F(RelayServiceTest, a_call_is_applied_queried_and_removed) {
  const auto applied = apply(simple_call("c1"));
  ASSERT_TRUE(applied.has_value()) << applied.error().message();
  ASSERT_EQ(applied->streams.size(), 2U);
  EXPECT_EQ(applied->streams[0].rtp.local.port % 2, 0);
  const auto queried = wait_for([&](auto done) { client.query(relay, "c1", 2s, done); });
  ASSERT_TRUE(queried.has_value()) << queried.error().message();
  EXPECT_EQ(queried->streams[1].rtp.local, applied->streams[1].rtp.local);
  EXPECT_TRUE(wait_for([&](auto done) { client.remove(relay, "c1", 2s, done); }).has_value());
  const auto again = wait_for([&](auto done) { client.remove(relay, "c1", 2s, done); });
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, make_error_code(EngineErrc::unknown_call))
      << "the engine's own code comes back";
}

TEST_F(RelayServiceTest, what_the_engine_refuses_comes_back_as_it_said_it) {
  auto spec = simple_call("c1");
  spec.streams[0].interface = "nowhere";
  const auto refused = apply(spec);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, make_error_code(EngineErrc::unknown_interface));
  EXPECT_NE(refused.error().detail.find("nowhere"), std::string::npos) << refused.error().message();
}

TEST_F(RelayServiceTest, a_request_for_an_earlier_registration_is_refused) {
  epoch = 6;
  const auto refused = apply(simple_call("c1"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, make_error_code(RelayErrc::stale_epoch));
  EXPECT_EQ(engine->size(), 0U);
}

TEST_F(RelayServiceTest, an_operator_is_told_where_a_packet_would_go) {
  auto spec = simple_call("c1");
  const RemoteEndpoint alice{{IpAddress::v4(127, 0, 0, 10), 4000}};
  const RemoteEndpoint bob{{IpAddress::v4(127, 0, 0, 20), 5000}};
  spec.streams[0].remote_rtp = alice;
  spec.streams[1].remote_rtp = bob;
  const auto applied = apply(spec);
  ASSERT_TRUE(applied.has_value()) << applied.error().message();
  const RelayPlace place{.address = relay.address, .timeout = 2s, .tls = {}};
  const auto told = explain_call(place, "c1", alice, 0);
  ASSERT_TRUE(told.has_value()) << told.error().message();
  ASSERT_EQ(told->size(), 4U);
  EXPECT_TRUE(told->at(0).outcome.forwarded);
  EXPECT_EQ(told->at(0).outcome.to, bob);
  EXPECT_EQ(told->at(0).outcome.from, applied->streams[1].rtp.local);
  EXPECT_EQ(told->at(0).outcome.learned, media::Learned::latched);
  EXPECT_EQ(told->at(2).outcome.reason, media::Drop::source_refused);
  EXPECT_EQ(told->at(2).signalled, bob);
  // Nothing was learned and nothing counted.
  const auto state = query_call(place, "c1");
  ASSERT_TRUE(state.has_value()) << state.error().message();
  EXPECT_FALSE(state->streams[0].rtp.latched);
  EXPECT_EQ(state->streams[0].rtp.received.packets, 0U);
  EXPECT_EQ(state->drops, media::DropCounts{});
  const auto one = explain_call(place, "c1", alice, applied->streams[0].rtcp.local.port);
  ASSERT_TRUE(one.has_value());
  ASSERT_EQ(one->size(), 1U);
  EXPECT_EQ(one->front().component, media::ComponentKind::rtcp);
}

TEST_F(RelayServiceTest, an_operators_question_that_has_no_answer_says_why) {
  const RemoteEndpoint alice{{IpAddress::v4(127, 0, 0, 10), 4000}};
  const RelayPlace place{.address = relay.address, .timeout = 2s, .tls = {}};
  const auto unknown = explain_call(place, "nobody", alice, 0);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, make_error_code(EngineErrc::unknown_call));
  EXPECT_EQ(query_call(place, "nobody").error().code, make_error_code(EngineErrc::unknown_call));
  ASSERT_TRUE(apply(simple_call("c1")).has_value());
  for (const char* from : {"224.0.0.1:4000", "10.0.0.1:0"}) {
    const auto refused = explain_call(place, "c1", {*Endpoint::parse(from)}, 0);
    ASSERT_FALSE(refused.has_value()) << from;
    EXPECT_EQ(refused.error().code, make_error_code(EngineErrc::invalid_spec));
    EXPECT_NE(refused.error().detail.find(from), std::string::npos) << refused.error().message();
  }
  const auto gone = query_call({.address = "127.0.0.1:1", .timeout = 500ms, .tls = {}}, "c1");
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().code, make_error_code(RelayErrc::unreachable));
}

TEST_F(RelayServiceTest, a_relay_that_is_not_there_fails_at_once) {
  const auto before = std::chrono::steady_clock::now();
  const RelayRef nobody{"r9", "127.0.0.1:1", 0};
  const auto failed =
      wait_for([&](auto done) { client.apply(nobody, simple_call("c1"), 2s, done); });
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, make_error_code(RelayErrc::unreachable))
      << failed.error().message();
  EXPECT_LT(std::chrono::steady_clock::now() - before, 1s);
}

TEST_F(RelayServiceTest, a_call_that_ends_by_itself_is_told_to_those_who_watch) {
  std::optional<CallEnded> ended;
  client.set_on_ended([&](const RelayRef& from, const CallEnded& event) {
    EXPECT_EQ(from.id, "r1");
    ended = event;
  });
  ASSERT_TRUE(apply(simple_call("warm-up")).has_value());
  // The watch was begun before the call was applied; the server saw it first.
  ASSERT_TRUE(apply(simple_call("short", 500ms)).has_value());
  run_until([&] { return ended.has_value(); });
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->reason, media::EndReason::setup_timeout);
  EXPECT_EQ(ended->state.key, "short");
}

TEST_F(RelayServiceTest, a_port_in_use_is_an_error_that_names_it) {
  const std::string taken = "127.0.0.1:" + std::to_string(server->port());
  const auto second = RelayServer::start({.listen = taken, .epoch = {}}, *engine);
  ASSERT_FALSE(second.has_value());
  EXPECT_NE(second.error().message().find(taken), std::string::npos);
}

class RelayTlsTest : public RelayServiceTest {
 protected:
  void start_server() override {
    auto listening = RelayServer::start(
        {.listen = "127.0.0.1:0", .epoch = {}, .tls = context("relay")}, *engine);
    ASSERT_TRUE(listening.has_value()) << listening.error().message();
    server = std::move(*listening);
    relay = {"r1", "127.0.0.1:" + std::to_string(server->port()), 0};
  }
  std::shared_ptr<pool::TlsContext> context(const std::string& roles) {
    auto opened = pool::TlsContext::open({.files = authority.issue(roles)});
    EXPECT_TRUE(opened) << opened.error().message();
    return *opened;
  }
  // What came of asking with this certificate: the error's words, or nothing.
  std::string outcome(RelayClient& asking, const std::string& operation) {
    const auto result = wait_for([&](auto done) {
      if (operation == "Apply") return asking.apply(relay, simple_call("c1"), 2s, done);
      if (operation == "Query") return asking.query(relay, "c1", 2s, done);
      asking.remove(relay, "c1", 2s, done);
    });
    return result ? "" : result.error().message();
  }

  test::Authority authority;
};

TEST_F(RelayTlsTest, a_role_may_do_what_it_is_for) {
  const auto ask = [this](const std::string& role, const std::string& operation) {
    RelayClient asking(io, monotonic_now, context(role));
    return outcome(asking, operation);
  };
  EXPECT_EQ(ask("controller", "Apply"), "");
  EXPECT_EQ(ask("operator", "Query"), "");
  for (const std::string role : {"operator", "relay", "registrar", "intercept"}) {
    for (const std::string operation : {"Apply", "Remove"}) {
      EXPECT_NE(ask(role, operation).find("forbidden: " + operation + " takes the role controller"),
                std::string::npos)
          << role << ": " << ask(role, operation);
    }
  }
  EXPECT_NE(ask("intercept", "Query").find("takes the role controller or operator"),
            std::string::npos);
  EXPECT_EQ(engine->size(), 1U);
  EXPECT_EQ(ask("controller", "Remove"), "");
  EXPECT_GE(server->refused_peers(), 9U);  // and watches, which may come later
}

TEST_F(RelayTlsTest, a_controller_asks_only_who_is_a_relay) {
  const auto controller = context("controller");
  RelayClient asking(io, monotonic_now, controller);
  EXPECT_EQ(outcome(asking, "Apply"), "");
  auto false_relay =
      RelayServer::start({.listen = "127.0.0.1:0", .epoch = {}, .tls = controller}, *engine);
  ASSERT_TRUE(false_relay.has_value());
  relay.address = "127.0.0.1:" + std::to_string((*false_relay)->port());
  EXPECT_NE(outcome(asking, "Apply").find("127.0.0.1 is no relay by its certificate"),
            std::string::npos);
  RelayClient plain(io, monotonic_now);
  EXPECT_NE(outcome(plain, "Apply"), "");
  asking.stop();
  plain.stop();
}

}  // namespace
}  // namespace rtpool::control
