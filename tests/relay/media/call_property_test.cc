// Whatever comes in whatever order: a verdict never names an endpoint that is not the party's, and
// the counters account for every datagram.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "relay/base/random.h"
#include "tests/relay/media/scene.h"

namespace rtpool::media::testing {
namespace {

class PropertyTest : public CallTest {
 protected:
  // Addresses that are Alice's or Bob's at some time; everything else is a stranger's.
  const std::array<IpAddress, 3> kAlices{ip("203.0.113.10"), ip("203.0.113.11"), ip("192.168.1.5")};
  const std::array<IpAddress, 2> kBobs{ip("192.0.2.20"), ip("192.0.2.21")};

  static std::uint64_t seed() {
    const char* given = std::getenv("RTPOOL_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : 20261121;
  }
  RemoteEndpoint pick_source(Random& random) {
    const auto port = static_cast<std::uint16_t>(4000 + random.below(4));
    switch (random.below(3)) {
      case 0:
        return {{kAlices[random.below(3)], port}};
      case 1:
        return {{kBobs[random.below(2)], port}};
      default:
        return {
            {IpAddress::v4(203, 0, 113, static_cast<std::uint8_t>(60 + random.below(4))), port}};
    }
  }
  Packet pick_packet(Random& random) {
    Packet packet;
    switch (random.below(8)) {
      case 0:
        packet = rtcp(random.below(3));
        break;
      case 1:
        packet = dtls();
        break;
      case 2:
        packet = check({.username = "b:a", .password = "x"});
        break;
      case 3:
        break;
      default:
        packet = rtp({.sequence = static_cast<std::uint16_t>(random.below(200)),
                      .ssrc = random.below(3),
                      .payload = random.below(40)});
    }
    if (!packet.empty() && random.below(10) == 0) {
      packet[random.below(static_cast<std::uint32_t>(packet.size()))] =
          static_cast<std::byte>(random.below(256));
    }
    if (random.below(20) == 0) packet.resize(random.below(20));
    return packet;
  }
  void change_something(Random& random) {
    StreamSpec& stream = spec.streams[random.below(2)];
    const bool is_alice = stream.id == kAliceId;
    switch (random.below(7)) {
      case 0:
        stream.send = !stream.send;
        break;
      case 1:
        stream.rtcp_mux = !stream.rtcp_mux;
        break;
      case 2:
        stream.pass_dtls = !stream.pass_dtls;
        break;
      case 3:
        if (random.below(4) == 0) stream.remote_rtp.reset();
        break;
      case 4:
        stream.opaque = random.below(8) == 0;
        break;
      case 5:
        stream.latch = random.below(3) == 0 ? LatchPolicy::signalled : LatchPolicy::learn;
        break;
      default: {
        const auto port = static_cast<std::uint16_t>(4000 + random.below(4));
        stream.remote_rtp = {{is_alice ? kAlices[random.below(3)] : kBobs[random.below(2)], port}};
        if (random.below(3) != 0) ++stream.learn_epoch;
        stream.sip_source.reset();
        if (random.below(2) == 0) stream.sip_source = is_alice ? kAlices[0] : kBobs[0];
      }
    }
    update();
  }
};

TEST_F(PropertyTest, NeverSendsToOrHearsAThirdParty) {
  const std::uint64_t first_seed = seed();
  std::uint64_t forwarded = 0;
  for (std::uint64_t run = 0; run < 40; ++run) {
    SCOPED_TRACE("RTPOOL_SEED=" + std::to_string(first_seed + run));
    Random random(first_seed + run);
    *static_cast<Scene*>(this) = Scene();
    start();
    std::uint64_t datagrams = 0;
    RemoteEndpoint alices_usual = kAlice;
    RemoteEndpoint bobs_usual = kBob;
    for (int step = 0; step < 3000; ++step) {
      wait(std::chrono::milliseconds(random.below(50)));
      if (random.below(200) == 0) wait(std::chrono::seconds(random.below(15)));
      if (random.below(100) == 0) change_something(random);
      const StreamId at = random.below(2) == 0 ? kAliceId : kBobId;
      const auto component = random.below(4) == 0 ? ComponentKind::rtcp : ComponentKind::rtp;
      // Half of it from whoever was heard last there: a call, not only noise.
      RemoteEndpoint& usual = at == kAliceId ? alices_usual : bobs_usual;
      const RemoteEndpoint source = random.below(2) == 0 ? usual : pick_source(random);
      const Verdict verdict =
          receive(at, component, source, pick_packet(random), random.below(50) == 0);
      ++datagrams;
      if (verdict.action == Action::drop) {
        ASSERT_NE(verdict.reason, Drop::none);
        continue;
      }
      ASSERT_EQ(verdict.action, Action::forward) << "nothing to answer without ICE";
      ++forwarded;
      usual = source;
      const auto is_one_of = [](const auto& set, const IpAddress& address) {
        return std::find(set.begin(), set.end(), address) != set.end();
      };
      const IpAddress& to = verdict.to->address;
      // Alice's port is heard by what is hers and sends to what is Bob's.
      ASSERT_TRUE(at == kAliceId ? is_one_of(kAlices, source.address)
                                 : is_one_of(kBobs, source.address))
          << source.to_string();
      ASSERT_TRUE(at == kAliceId ? is_one_of(kBobs, to) : is_one_of(kAlices, to))
          << verdict.to->to_string();
      ASSERT_NE(verdict.to->port, 0);
    }
    std::uint64_t sent = 0;
    std::uint64_t dropped = 0;
    for (const StreamState& stream : call().state(now).streams) {
      sent += stream.rtp.sent.packets + stream.rtcp.sent.packets;
      dropped += stream.rtp.dropped + stream.rtcp.dropped;
    }
    ASSERT_EQ(sent + dropped, datagrams);
  }
  EXPECT_GT(forwarded, 5000u) << "the property would hold of a relay that is off";
}

}  // namespace
}  // namespace rtpool::media::testing
