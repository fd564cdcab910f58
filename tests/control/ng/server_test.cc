#include "control/ng/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "control/ng/reply.h"
#include "tests/control/ng/transcripts.h"
#include "tests/control/ng/udp_peer.h"

namespace rtpool::ng {
namespace {

const IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);

// A server whose handler keeps what it is given; the test answers when it likes.
class ServerTest : public testing::Test {
 protected:
  struct Asked {
    Request request;
    Responder responder;
  };

  void start(IpAddress address = kLoopback, ServerOptions options = {}) {
    auto started = Server::start(
        context_, Endpoint{address, 0},
        [this](Request request, Responder responder) {
          asked_.push_back(Asked{std::move(request), std::move(responder)});
        },
        std::move(options));
    ASSERT_TRUE(started) << started.error().message();
    server_ = std::move(*started);
  }

  [[nodiscard]] Endpoint server_at(IpAddress address) const {
    return {address, server_->local().port};
  }

  void ask(std::string_view datagram) { ask(peer_, kLoopback, datagram); }
  void ask(UdpPeer& peer, IpAddress at, std::string_view datagram) {
    peer.send(server_at(at), datagram);
    run();
  }

  // Long enough for what is on its way on loopback to arrive.
  void run() {
    context_.restart();
    context_.run_for(std::chrono::milliseconds(20));
  }

  std::string answer() { return answer(peer_); }
  static std::string answer(UdpPeer& peer) {
    const auto received = peer.receive(0);
    return received ? received->first : "";
  }

  boost::asio::io_context context_;
  std::vector<Asked> asked_;
  std::unique_ptr<Server> server_;
  UdpPeer peer_;
};

TEST_F(ServerTest, AnswersAPingWithTheSameCookie) {
  start();

  ask("7_1 d7:command4:pinge");
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(asked_[0].request.command, Command::ping);
  EXPECT_EQ(asked_[0].request.source.address, kLoopback);
  asked_[0].responder.answer(pong());
  run();

  EXPECT_EQ(answer(), "7_1 d6:result4:ponge");
  EXPECT_EQ(server_->counts().requests[static_cast<std::size_t>(Command::ping)], 1U);
  EXPECT_EQ(server_->counts().replies, 1U);
}

TEST_F(ServerTest, AnswersInTheRequestsEncoding) {
  start();
  ask(R"(7_2 {"command":"ping"})");
  asked_.at(0).responder.answer(pong());
  run();
  EXPECT_EQ(answer(), R"(7_2 {"result":"pong"})");
}

TEST_F(ServerTest, ARepeatedRequestRunsOnceAndIsAnsweredEachTime) {
  start();

  ask(transcripts::kOfferPlain);  // the first, and two copies while it is in work
  ask(transcripts::kOfferPlain);
  ask(transcripts::kOfferPlain);
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(answer(), "");
  asked_[0].responder.answer(ok().set("sdp", "v=0"));
  run();

  const std::string first = answer();
  EXPECT_EQ(first, "0_11174_1 d6:result2:ok3:sdp3:v=0e");
  EXPECT_EQ(answer(), first);
  EXPECT_EQ(answer(), first);
  ask(transcripts::kOfferPlain);  // one that comes later
  EXPECT_EQ(answer(), first);
  EXPECT_EQ(answer(), "");
  EXPECT_EQ(asked_.size(), 1U);
  EXPECT_EQ(server_->counts().duplicates, 3U);
}

TEST_F(ServerTest, TheSameCookieFromAnotherProxyIsAnotherRequest) {
  start();
  UdpPeer other;

  ask("1_1 d7:command4:pinge");
  ask(other, kLoopback, "1_1 d7:command4:liste");

  ASSERT_EQ(asked_.size(), 2U);
  EXPECT_EQ(asked_[1].request.command, Command::list);
}

TEST_F(ServerTest, MalformedWithACookieGetsTheErrorTextAndWithoutOneSilence) {
  start();
  const std::pair<const char*, const char*> cases[] = {
      {"c ", "Invalid data (no payload)"},
      {"c x", "Invalid NG data format"},
      {"c de", "Dictionary contains no key \"command\""},
      {"c d7:command3:fooe", "Unrecognized command"},
      {"c d7:command5:offere", "No SDP body in message"},
  };
  for (const auto& [datagram, reason] : cases) {
    ask(datagram);
    EXPECT_EQ(answer(), frame("c", error(reason), Encoding::bencode)) << datagram;
  }
  ask("c {");
  EXPECT_EQ(answer(), R"(c {"result":"error","error-reason":"Failed to parse JSON document"})");
  for (const char* datagram : {"", "nospace", " d7:command4:pinge"}) {
    ask(datagram);
    EXPECT_EQ(answer(), "") << datagram;
  }
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(server_->counts().malformed, 6U);
  EXPECT_EQ(server_->counts().without_cookie, 3U);
  EXPECT_EQ(server_->counts().cache_entries, 0U);
}

TEST_F(ServerTest, AResponderGivenUpAnswersForItself) {
  start();
  ask("1_1 d7:command4:pinge");
  asked_.clear();
  run();
  EXPECT_EQ(answer(), frame("1_1", error(kNotAnswered), Encoding::bencode));
  EXPECT_EQ(server_->counts().not_answered, 1U);
}

TEST_F(ServerTest, AnAnswerMayComeFromAnotherThread) {
  start();
  ask("1_1 d7:command4:pinge");
  std::thread([responder = std::move(asked_.at(0).responder)]() mutable {
    responder.answer(pong());
  }).join();
  run();
  EXPECT_EQ(answer(), "1_1 d6:result4:ponge");
}

TEST_F(ServerTest, AReplyThatNoDatagramHoldsBecomesAnError) {
  start();
  ask("1_1 d7:command4:liste");
  asked_.at(0).responder.answer(ok().set("calls", std::string(65'500, 'x')));
  run();
  EXPECT_EQ(answer(), frame("1_1", error(kReplyTooLarge), Encoding::bencode));
  EXPECT_EQ(server_->counts().reply_too_large, 1U);

  ask("1_2 d7:command4:liste");  // the largest that it does hold
  const std::size_t rest = frame("1_2", ok().set("calls", ""), Encoding::bencode).size() + 4;
  asked_.at(1).responder.answer(ok().set("calls", std::string(65'507 - rest, 'x')));
  run();
  EXPECT_EQ(answer().size(), 65'507U);
}

TEST_F(ServerTest, OverloadIsRefusedSoThatTheProxyTriesItsNextNode) {
  start(kLoopback, {.cache = {.max_entries = 1}});
  ask("1_1 d7:command4:pinge");
  ask("1_2 d8:supportsl10:load limite7:command4:pinge");
  EXPECT_EQ(answer(), "1_2 d6:result10:load limit7:message30:Parallel session limit reachede");
  ask("1_3 d7:command4:pinge");
  EXPECT_EQ(answer(), "1_3 d6:result5:error12:error-reason30:Parallel session limit reachede");
  EXPECT_EQ(asked_.size(), 1U);
  EXPECT_EQ(server_->counts().refused, 2U);
}

TEST_F(ServerTest, TellsHowLongEachCommandTook) {
  std::vector<std::pair<Command, bool>> observed;
  double longest = 0;
  start(kLoopback, {.observe = [&](Command command, double seconds, bool error) {
          observed.emplace_back(command, error);
          longest = std::max(longest, seconds);
        }});
  ask("1_1 d7:command4:pinge");
  ask("1_2 d7:command5:query7:call-id1:xe");
  asked_.at(0).responder.answer(pong());
  asked_.at(1).responder.answer(error(kUnknownCall));
  run();
  EXPECT_THAT(observed, testing::ElementsAre(std::pair(Command::ping, false),
                                             std::pair(Command::query, true)));
  EXPECT_GT(longest, 0.01);
  EXPECT_LT(longest, 5.0);
  EXPECT_EQ(server_->counts().errors[static_cast<std::size_t>(Command::query)], 1U);
}

TEST_F(ServerTest, OnAWildcardTheReplyLeavesFromTheAddressThatWasAsked) {
  start(IpAddress::v4(0, 0, 0, 0));
  const IpAddress second = IpAddress::v4(127, 0, 0, 7);

  ask(peer_, second, "1_1 d7:command4:pinge");
  asked_.at(0).responder.answer(pong());
  run();

  const auto received = peer_.receive(0);
  ASSERT_TRUE(received);
  EXPECT_EQ(received->second, server_at(second));
}

TEST_F(ServerTest, SpeaksIpv6AndOnItsWildcardIpv4Too) {
  UdpPeer v6(*IpAddress::parse("::1"));
  ASSERT_TRUE(v6.bound()) << "this test needs IPv6 on loopback";
  start(*IpAddress::parse("::"));

  ask(v6, *IpAddress::parse("::1"), "6_1 d7:command4:pinge");
  ask(peer_, IpAddress::v4(127, 0, 0, 7), "4_1 d7:command4:pinge");
  ASSERT_EQ(asked_.size(), 2U);
  EXPECT_EQ(asked_[0].request.source.address, IpAddress::parse("::1"));
  EXPECT_EQ(asked_[1].request.source.address, kLoopback);
  for (Asked& asked : asked_) asked.responder.answer(pong());
  run();

  EXPECT_EQ(v6.receive(0)->second, server_at(*IpAddress::parse("::1")));
  EXPECT_EQ(peer_.receive(0)->second, server_at(IpAddress::v4(127, 0, 0, 7)));
}

TEST_F(ServerTest, AnAddressThatCanNotBeBoundIsNamed) {
  start();
  const auto second = Server::start(context_, server_->local(), [](Request, Responder) {});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message(), testing::HasSubstr(server_->local().to_string()));
}

TEST_F(ServerTest, ARespondersAnswerAfterTheServersEndGoesNowhere) {
  start();
  ask("1_1 d7:command4:pinge");
  const Endpoint at = server_->local();
  server_.reset();
  run();
  asked_.at(0).responder.answer(pong());
  run();
  EXPECT_EQ(answer(), "");
  // The port is free again.
  EXPECT_TRUE(Server::start(context_, at, [](Request, Responder) {}));
}

TEST_F(ServerTest, ABurstIsAnsweredWhole) {
  start();
  for (int i = 0; i < 500; ++i)
    peer_.send(server_->local(), "b" + std::to_string(i) + " d7:command4:pinge");
  // More than one batch: the server is woken again and again until it has them all.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (asked_.size() < 500 && std::chrono::steady_clock::now() < deadline) run();
  ASSERT_EQ(asked_.size(), 500U);
  for (Asked& asked : asked_) asked.responder.answer(pong());
  int answers = 0;
  while (answers < 500 && std::chrono::steady_clock::now() < deadline) {
    run();
    while (!answer().empty()) ++answers;
  }
  EXPECT_EQ(answers, 500);
}

}  // namespace
}  // namespace rtpool::ng
