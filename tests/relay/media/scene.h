// A call between Alice (stream 1) and Bob (stream 2) through a relay with a public address, told by
// simulated packets and a clock that the test moves. Mallory is a third party who must neither hear
// nor be heard.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <ostream>
#include <string>

#include "relay/media/call.h"
#include "tests/relay/media/packets.h"

namespace rtpool::media {

inline void PrintTo(Drop reason, std::ostream* out) {
  *out << to_string(reason);
}
inline void PrintTo(EndReason reason, std::ostream* out) {
  *out << to_string(reason);
}

}  // namespace rtpool::media

namespace rtpool::media::testing {

using namespace std::chrono_literals;

inline const RemoteEndpoint kAlice = remote("203.0.113.10:4000");
inline const RemoteEndpoint kAliceRtcp = remote("203.0.113.10:4001");
inline const RemoteEndpoint kBob = remote("192.0.2.20:5000");
inline const RemoteEndpoint kBobRtcp = remote("192.0.2.20:5001");
inline const RemoteEndpoint kMallory = remote("203.0.113.66:6666");
inline constexpr StreamId kAliceId{1};
inline constexpr StreamId kBobId{2};

class Scene {
 public:
  Scene() {
    spec.key = "call-1@alice.example";
    spec.revision = 1;
    spec.answered = true;
    spec.streams.resize(2);
    alice() = {.id = kAliceId, .remote_rtp = kAlice, .forward_to = kBobId};
    bob() = {.id = kBobId, .remote_rtp = kBob, .forward_to = kAliceId};
    sockets = {sockets_at(30000), sockets_at(30002)};
  }

  static StreamSockets sockets_at(std::uint16_t port, std::string_view address = "198.51.100.1") {
    const LocalEndpoint rtp{{ip(address), port}};
    LocalEndpoint rtcp = rtp;
    ++rtcp.port;
    return {.rtp = rtp,
            .rtcp = rtcp,
            .advertised_rtp = {{rtp.address, rtp.port}},
            .advertised_rtcp = {{rtcp.address, rtcp.port}}};
  }

  StreamSpec& alice() { return spec.streams[0]; }
  StreamSpec& bob() { return spec.streams[1]; }

  void start() {
    ASSERT_EQ(validate(spec), "");
    call_ = std::make_unique<Call>(spec, sockets, CallOptions{}, now);
  }
  // Applies what the test changed in `spec`.
  void update() {
    ++spec.revision;
    ASSERT_EQ(validate(spec), "");
    call_->update(spec, sockets, now);
  }
  Call& call() { return *call_; }

  Verdict receive(StreamId at, ComponentKind component, const RemoteEndpoint& source,
                  const Packet& packet, bool truncated = false) {
    return call_->receive(*call_->index_of(at), component, now, source, packet, truncated);
  }
  // At the relay's socket that faces Alice, and Bob.
  Verdict to_alice_port(const RemoteEndpoint& source, const Packet& packet) {
    return receive(kAliceId, ComponentKind::rtp, source, packet);
  }
  Verdict to_bob_port(const RemoteEndpoint& source, const Packet& packet) {
    return receive(kBobId, ComponentKind::rtp, source, packet);
  }
  Verdict to_alice_rtcp_port(const RemoteEndpoint& source, const Packet& packet) {
    return receive(kAliceId, ComponentKind::rtcp, source, packet);
  }
  Verdict to_bob_rtcp_port(const RemoteEndpoint& source, const Packet& packet) {
    return receive(kBobId, ComponentKind::rtcp, source, packet);
  }
  // Where a packet of Bob's would go now.
  std::string bob_reaches() {
    const Verdict verdict = to_bob_port(kBob, rtp({.sequence = bobs_sequence_++, .ssrc = 0xb0b}));
    return verdict.action == Action::forward ? verdict.to->to_string()
                                             : std::string(to_string(verdict.reason));
  }
  StreamState state(StreamId id) {
    for (const StreamState& stream : call_->state(now).streams) {
      if (stream.id == id) return stream;
    }
    return {};
  }
  std::uint64_t dropped(Drop reason) { return call_->drops()[static_cast<std::size_t>(reason)]; }
  void wait(Duration span) { now += span; }

  CallSpec spec;
  std::vector<StreamSockets> sockets;
  Instant now{std::chrono::hours(1)};

 private:
  std::unique_ptr<Call> call_;
  std::uint16_t bobs_sequence_ = 1;
};

class CallTest : public ::testing::Test, public Scene {};

MATCHER_P(IsForwardedTo, endpoint, "is forwarded to " + endpoint.to_string()) {
  if (arg.action != Action::forward) {
    *result_listener << "dropped: " << to_string(arg.reason);
    return false;
  }
  *result_listener << "to " << arg.to->to_string();
  return *arg.to == endpoint;
}

MATCHER_P(IsDroppedAs, reason, "is dropped as " + std::string(to_string(reason))) {
  *result_listener << "action " << int(arg.action) << ", reason " << to_string(arg.reason);
  return arg.action == Action::drop && arg.reason == reason;
}

}  // namespace rtpool::media::testing
