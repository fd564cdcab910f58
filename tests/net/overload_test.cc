// An engine at its limits: real sockets, real media, real CPU time.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "relay/engine.h"
#include "relay/io/thread_usage.h"
#include "tests/net/engine_calls.h"
#include "tests/support/udp_phone.h"

namespace rtpool {
namespace {

using namespace std::chrono_literals;
using test::audio_call;
using test::code_of;
using test::eventually;
using test::rtp;
using test::start;
using test::UdpPhone;

EngineOptions options_with(std::uint16_t ports) {
  EngineOptions options;
  options.media_addresses = {{"default", test::kLoopback, test::kLoopback}};
  options.ports = test::some_ports(ports);
  return options;
}

std::uint64_t refused(const Engine& engine, Refusal reason) {
  return engine.counts().calls_refused[static_cast<std::size_t>(reason)];
}

class Overload : public testing::Test {
 protected:
  // Sends through a call until `done`, and gives how many arrived.
  template <class Condition>
  std::size_t talk_until(const media::CallState& call, int packets_per_ms, Condition done) {
    std::size_t heard = 0;
    std::uint16_t sequence = 0;
    sent = 0;
    for (int ms = 0; ms < 4000 && !done(); ++ms) {
      for (int i = 0; i < packets_per_ms; ++i) {
        alice.send(call.streams[0].rtp.local, rtp(sequence++));
        ++sent;
      }
      std::this_thread::sleep_for(1ms);
      while (bob.receive(0ms)) ++heard;
    }
    return heard + bob.drain();
  }

  UdpPhone alice;
  UdpPhone bob;
  std::size_t sent = 0;
};

TEST_F(Overload, PacketsMakeARelayRefuseNewCallsAndServeTheStandingOne) {
  auto options = options_with(200);
  options.max_packets_per_second = 1'000;
  options.max_cpu_percent = 0;
  const auto engine = start(options);
  std::atomic<int> begun{0};
  std::atomic<int> ended{0};
  engine->set_on_refusal([&](Refusal why) { ++(why == Refusal::none ? ended : begun); });
  media::CallSpec spec = audio_call("standing", alice, bob);
  const auto standing = engine->apply(spec);
  ASSERT_TRUE(standing) << standing.error().message();

  // Nearly twice as much media as a second may bring, for a while after it begins to refuse.
  Result<media::CallState> last = Error{EngineErrc::unknown_call};
  int refusing_for = 0;
  const std::size_t heard = talk_until(*standing, 2, [&] {
    if (engine->headroom().refusal != Refusal::packets) return false;
    last = engine->apply(audio_call("new", alice, bob));
    return ++refusing_for == 300;
  });
  EXPECT_EQ(refusing_for, 300);
  EXPECT_EQ(code_of(last), EngineErrc::too_many_packets);
  EXPECT_EQ(last.error().detail, "the limit is 1000 packets per second");
  EXPECT_EQ(heard, sent) << "the standing call loses nothing";
  EXPECT_GT(refused(*engine, Refusal::packets), 0U);

  // What stands can be changed and ended.
  spec.revision = 2;
  spec.streams[0].rtcp_mux = true;
  EXPECT_TRUE(engine->apply(spec));
  EXPECT_TRUE(eventually([&] { return engine->headroom().refusal == Refusal::none; }, 1100ms))
      << "room is back within the second that a shard looks back on";
  EXPECT_TRUE(engine->apply(audio_call("new", alice, bob)));
  EXPECT_TRUE(eventually([&] { return begun > 0 && ended > 0; }));
}

TEST_F(Overload, CoresMakeARelayRefuseNewCalls) {
  auto options = options_with(200);
  options.max_cpu_percent = 1;
  const auto engine = start(options);
  const auto standing = engine->apply(audio_call("standing", alice, bob));
  ASSERT_TRUE(standing) << standing.error().message();
  ErrorCode refused_with;
  const std::size_t heard = talk_until(*standing, 20, [&] {
    if (engine->headroom().refusal != Refusal::busy) return false;
    refused_with = code_of(engine->apply(audio_call("new", alice, bob)));
    return true;
  });
  EXPECT_EQ(refused_with, EngineErrc::too_busy);
  EXPECT_EQ(heard, sent);
  EXPECT_TRUE(eventually([&] { return engine->headroom().refusal == Refusal::none; }, 1500ms));
}

TEST_F(Overload, ABurstOfCallsIsTakenAsFarAsItsMediaWillFit) {
  auto options = options_with(2000);
  options.max_bits_per_second = 16'000'000;
  const auto engine = start(options);
  int taken = 0;
  for (int i = 0; i < 300; ++i) {
    taken += engine->apply(audio_call("call" + std::to_string(i), alice, bob)) ? 1 : 0;
  }
  EXPECT_EQ(taken, 100) << "of 160 kbit/s each";
  EXPECT_EQ(refused(*engine, Refusal::bandwidth), 200U);
  for (int i = 0; i < 10; ++i) engine->remove("call" + std::to_string(i), [](auto) {});
  EXPECT_TRUE(engine->apply(audio_call("one more", alice, bob)));
}

TEST_F(Overload, PortsAndCallsAreCountedByReason) {
  auto options = options_with(8);
  options.max_calls = 2;
  const auto engine = start(options);
  EXPECT_TRUE(engine->apply(audio_call("a", alice, bob)));
  EXPECT_TRUE(engine->apply(audio_call("b", alice, bob)));
  EXPECT_EQ(code_of(engine->apply(audio_call("c", alice, bob))), EngineErrc::too_many_calls);
  engine->remove("a", [](auto) {});
  EXPECT_EQ(code_of(engine->apply(audio_call("c", alice, bob))), EngineErrc::out_of_ports)
      << "its ports rest";
  EXPECT_EQ(refused(*engine, Refusal::calls), 1U);
  EXPECT_EQ(refused(*engine, Refusal::ports), 1U);
  EXPECT_EQ(engine->refused(), 2U);
}

TEST(ThreadUsage, GrowsWithWorkAndNotWithSleep) {
  const io::ThreadUsageReader reader;
  const io::ThreadUsage before = reader.read();
  const auto until = std::chrono::steady_clock::now() + 50ms;
  while (std::chrono::steady_clock::now() < until) {
  }
  const io::ThreadUsage worked = reader.read();
  EXPECT_GE((worked.running - before.running) + (worked.waiting - before.waiting), 40ms)
      << "it was never asleep";
  std::this_thread::sleep_for(50ms);
  const io::ThreadUsage slept = reader.read();
  EXPECT_LT(slept.running - worked.running, 25ms);
}

}  // namespace
}  // namespace rtpool
