// The load against relays of the test's own, good and bad ones: what a bad relay does must show.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "bench/call_run.h"
#include "bench/load/calls.h"
#include "bench/load/media_load.h"
#include "bench/load/rtcp_sample.h"
#include "bench/net.h"

namespace rtpool::bench {
namespace {

const IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);
constexpr std::int64_t kMillisecond = 1'000'000;

// Forwards between the telephones of each call on the caller's thread; `copies` says how many times
// the n-th packet of all goes out.
class TestRelay {
 public:
  TestRelay(Telephones& telephones, std::function<int(int)> copies)
      : telephones_(telephones), copies_(std::move(copies)) {
    for (std::size_t i = 0; i < telephones.size(); ++i) {
      sockets_.push_back(open_udp_socket(kLoopback, 0));
      EXPECT_TRUE(
          telephones.connect(i, audio_sdp("relay", {kLoopback, bound_port(sockets_.back())})));
    }
  }
  ~TestRelay() {
    for (const int socket : sockets_) close(socket);
  }

  // Telephone i sends to socket i; its peer is heard on that of the peer.
  void forward() {
    std::array<std::byte, 2048> buffer;
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      while (const auto arrival = receive_datagram(sockets_[i], buffer)) {
        const std::size_t peer = crossed ? (i + 2) % sockets_.size() : Telephones::peer(i);
        for (int copy = copies_(forwarded++); copy > 0; --copy) {
          send_datagram(sockets_[peer], Bytes(buffer).first(arrival->bytes),
                        telephones_.at(peer).local_rtp);
        }
      }
    }
  }

  int forwarded = 0;
  bool crossed = false;  // sends to telephones of other calls

 private:
  Telephones& telephones_;
  std::function<int(int)> copies_;
  std::vector<int> sockets_;
};

MediaResult run_load(Telephones& telephones, TestRelay& relay, unsigned in_flight) {
  MediaLoad load(telephones, {.in_flight = in_flight, .seed = 5});
  const auto idle = [&relay] { relay.forward(); };
  load.run(30 * kMillisecond, idle);
  load.begin_count();
  load.run(200 * kMillisecond, idle);
  load.end_count();
  relay.forward();
  load.drain(50 * kMillisecond);
  return load.result();
}

TEST(MediaLoad, AccountsForEveryPacketOfAGoodRelay) {
  for (const std::size_t shared : {0U, 1U}) {
    Telephones telephones({.address = kLoopback, .calls = 3, .shared_sockets = shared});
    TestRelay relay(telephones, [](int) { return 1; });
    const MediaResult result = run_load(telephones, relay, 0);
    EXPECT_GE(result.sent, 6U);
    EXPECT_EQ(result.received, result.sent);
    EXPECT_EQ(result.latency.count(), result.sent);
    EXPECT_GT(result.latency.quantile_ns(0.5), 0);
    EXPECT_EQ(result.duplicated + result.reordered + result.foreign + result.silent, 0U);
    EXPECT_GE(result.window_ns, 200 * kMillisecond);
  }
}

TEST(MediaLoad, SeesLossAndRepetition) {
  Telephones telephones({.address = kLoopback, .calls = 3});
  TestRelay relay(telephones, [](int n) { return n % 5 == 0 ? 0 : n % 5 == 1 ? 2 : 1; });
  const MediaResult result = run_load(telephones, relay, 0);
  EXPECT_GT(result.lost(), 0U);
  EXPECT_GT(result.duplicated, 0U);
  EXPECT_EQ(result.foreign, 0U);
}

TEST(MediaLoad, SeesPacketsAtTheWrongTelephone) {
  Telephones telephones({.address = kLoopback, .calls = 3});
  TestRelay relay(telephones, [](int) { return 1; });
  relay.crossed = true;
  const MediaResult result = run_load(telephones, relay, 0);
  EXPECT_EQ(result.received, 0U);
  EXPECT_EQ(result.lost(), result.sent);
  EXPECT_EQ(result.silent, telephones.size());
  EXPECT_GT(result.foreign, 0U);
}

TEST(MediaLoad, ClosedLoopKeepsABoundedNumberInFlight) {
  Telephones telephones({.address = kLoopback, .calls = 3});
  TestRelay relay(telephones, [](int) { return 1; });
  const MediaResult result = run_load(telephones, relay, 2);
  EXPECT_GT(result.sent, 60U * 6U);  // paced it would be at most 11 of each stream
  EXPECT_EQ(result.lost(), 0U);
  EXPECT_EQ(result.duplicated + result.foreign, 0U);
}

TEST(MediaLoad, ClosedLoopGoesOnAfterLoss) {
  Telephones telephones({.address = kLoopback, .calls = 2});
  TestRelay relay(telephones, [](int n) { return n < 8 ? 0 : 1; });  // all of the first
  const MediaResult result = run_load(telephones, relay, 2);
  EXPECT_GT(result.received, 0U);
  EXPECT_EQ(result.lost(), 0U);
}

TEST(RtcpSample, CountsWhatArrived) {
  Telephones telephones({.address = kLoopback, .calls = 2});
  std::atomic<bool> over = false;
  TestRelay relay(telephones, [](int n) { return n == 1 ? 0 : 1; });
  std::thread forwarding([&] {
    while (!over) relay.forward();
  });
  const RtcpSample sample = sample_rtcp(telephones, 2, 1000, 100 * kMillisecond);
  over = true;
  forwarding.join();
  EXPECT_EQ(sample.sent, 4U);
  EXPECT_EQ(sample.lost, 1U);
}

// Answers NG requests on a thread of its own, as `reply` says; an empty dictionary: not at all.
class TestServer {
 public:
  explicit TestServer(std::function<ng::Value(const ng::Value&)> reply)
      : reply_(std::move(reply)), socket_(open_udp_socket(kLoopback, 0)), thread_([this] {
          while (!over_) serve();
        }) {}
  ~TestServer() {
    over_ = true;
    thread_.join();
    close(socket_);
  }
  [[nodiscard]] Endpoint endpoint() const { return {kLoopback, bound_port(socket_)}; }

 private:
  void serve() {
    std::array<std::byte, 4096> buffer;
    const auto arrival = receive_datagram(socket_, buffer);
    if (!arrival) return std::this_thread::yield();
    const auto frame = ng::split_frame(as_text(Bytes(buffer).first(arrival->bytes)));
    ASSERT_TRUE(frame);
    const auto encoding = ng::detect_encoding(frame->body);
    ASSERT_TRUE(encoding);
    const auto request = ng::parse(frame->body, *encoding);
    ASSERT_TRUE(request);
    const ng::Value value = reply_(*request);
    if (value.members().empty()) return;
    const std::string out = std::string(frame->cookie) + " " + ng::encode(value, *encoding);
    send_datagram(socket_, as_bytes(out), arrival->source);
  }

  std::function<ng::Value(const ng::Value&)> reply_;
  int socket_;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

ng::Value good_reply(const ng::Value& request) {
  ng::Value reply = ng::Value::dictionary({{"result", "ok"}});
  if (request.find("sdp") != nullptr) reply.set("sdp", audio_sdp("relay", {kLoopback, 4000}));
  return reply;
}

TEST(Calls, OffersAnswersAndDeletesEachCallOnceInBothEncodings) {
  for (const ng::Encoding encoding : {ng::Encoding::bencode, ng::Encoding::json}) {
    std::map<std::string, int> commands;
    std::set<std::string> ids;
    Telephones telephones({.address = kLoopback, .calls = 20, .shared_sockets = 1});
    {
      TestServer server([&](const ng::Value& request) {
        ++commands[*request.find_text("command")];
        ids.insert(*request.find_text("call-id"));
        return good_reply(request);
      });
      NgClient ng(server.endpoint(), encoding, 1);
      Calls calls(ng, telephones, 1, true);
      EXPECT_TRUE(calls.set_up(0, 20, 4)) << calls.problem();
      EXPECT_TRUE(calls.tear_down(0, 20, 4)) << calls.problem();
      EXPECT_EQ(calls.times().offer.count(), 20U);
      EXPECT_EQ(calls.times().remove.count(), 20U);
    }
    EXPECT_EQ(commands,
              (std::map<std::string, int>{{"offer", 20}, {"answer", 20}, {"delete", 20}}));
    EXPECT_EQ(ids.size(), 20U);
    EXPECT_EQ(telephones.at(7).relay_rtp, (Endpoint{kLoopback, 4000}));
  }
}

TEST(Calls, SaysWhyACallFailed) {
  Telephones telephones({.address = kLoopback, .calls = 3, .shared_sockets = 1});
  TestServer server([&](const ng::Value& request) {
    if (*request.find_text("command") != "answer") return good_reply(request);
    return ng::Value::dictionary({{"result", "error"}, {"error-reason", "no ports left"}});
  });
  NgClient ng(server.endpoint(), ng::Encoding::bencode, 1);
  Calls calls(ng, telephones, 1, true);
  EXPECT_FALSE(calls.set_up(0, 3, 1));
  EXPECT_EQ(calls.failures(), 3U);
  EXPECT_EQ(calls.problem(), "answer of call 0: no ports left");
}

TEST(NgClient, RepeatsARequestWhoseReplyDoesNotCome) {
  std::atomic<int> asked = 0;
  TestServer server(
      [&](const ng::Value& request) { return ++asked == 1 ? ng::Value() : good_reply(request); });
  NgClient ng(server.endpoint(), ng::Encoding::bencode, 1);
  const NgReply reply = ng.ask(ng::Value::dictionary({{"command", "ping"}}), 3000 * kMillisecond);
  EXPECT_TRUE(reply.ok()) << reply.problem();
  EXPECT_EQ(ng.repeated(), 1U);
  EXPECT_GE(reply.took_ns, 900 * kMillisecond);  // from when it was first sent
}

}  // namespace
}  // namespace rtpool::bench
