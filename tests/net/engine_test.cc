// The engine as control/ uses it, with real sockets on loopback and real time, over each kind of
// packet I/O.
#include "relay/engine.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <limits>
#include <mutex>
#include <thread>

#include "relay/base/cores.h"
#include "relay/base/random.h"
#include "tests/net/engine_calls.h"
#include "tests/support/udp_phone.h"

namespace rtpool {
namespace {

using namespace std::chrono_literals;
using media::CallSpec;
using media::CallState;
using media::StreamId;
using media::StreamSpec;
using test::audio_call;
using test::code_of;
using test::eventually;
using test::kLoopback;
using test::rtp;
using test::sequence_of;
using test::some_ports;
using test::start;
using test::UdpPhone;

class OverEachIo : public testing::TestWithParam<io::IoKind> {
 protected:
  static EngineOptions options_with(std::uint16_t ports) {
    EngineOptions options;
    options.media_addresses = {{"default", kLoopback, kLoopback}};
    options.ports = some_ports(ports);
    options.port_rest = 300ms;
    options.io = GetParam();
    return options;
  }
};
class EngineCall : public OverEachIo {};
class EngineSpec : public OverEachIo {};
class EnginePorts : public OverEachIo {};
class EngineLife : public OverEachIo {};
class EngineStart : public OverEachIo {};

CallState must(Result<CallState> state) {
  EXPECT_TRUE(state) << state.error().message();
  return state ? std::move(*state) : CallState{};
}
Result<CallState> query(Engine& engine, const std::string& key) {
  std::promise<Result<CallState>> promise;
  engine.query(key, [&](Result<CallState> state) { promise.set_value(std::move(state)); });
  return promise.get_future().get();
}
Result<CallState> remove(Engine& engine, const std::string& key) {
  std::promise<Result<CallState>> promise;
  engine.remove(key, [&](Result<CallState> state) { promise.set_value(std::move(state)); });
  return promise.get_future().get();
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

TEST_P(EngineCall, CarriesMediaBothWays) {
  // Given a call between Alice and Bob.
  const auto engine = start(options_with(40));
  UdpPhone alice;
  UdpPhone bob;
  const CallState call = must(engine->apply(audio_call("a", alice, bob)));
  ASSERT_EQ(call.streams.size(), 2U);
  const LocalEndpoint towards_alice = call.streams[0].rtp.local;
  const LocalEndpoint towards_bob = call.streams[1].rtp.local;
  EXPECT_EQ(towards_alice.port % 2, 0);
  EXPECT_EQ(call.streams[0].rtcp.local.port, towards_alice.port + 1);
  // When both speak.
  for (std::uint16_t i = 0; i < 100; ++i) {
    alice.send(towards_alice, rtp(i, 0xa));
    bob.send(towards_bob, rtp(i, 0xb));
  }
  // Then each hears the other, from the port it was told, in order.
  for (std::uint16_t i = 0; i < 100; ++i) {
    const auto at_bob = bob.receive();
    const auto at_alice = alice.receive();
    ASSERT_TRUE(at_bob && at_alice);
    EXPECT_EQ(at_bob->packet, rtp(i, 0xa));
    EXPECT_EQ(at_bob->source, towards_bob);
    EXPECT_EQ(at_alice->packet, rtp(i, 0xb));
    EXPECT_EQ(at_alice->source, towards_alice);
  }
  const CallState end = must(remove(*engine, "a"));
  EXPECT_EQ(end.streams[0].rtp.received.packets, 100U);
  EXPECT_EQ(end.streams[1].rtp.sent.packets, 100U);
}

TEST_P(EngineCall, CarriesIpv6AndBridgesItToIpv4) {
  auto options = options_with(40);
  options.media_addresses.push_back({"default", test::kLoopback6, test::kLoopback6});
  const auto engine = start(options);
  UdpPhone alice(test::kLoopback6);
  UdpPhone bob;
  const CallState call = must(engine->apply(audio_call("six", alice, bob)));
  alice.send(call.streams[0].rtp.local, rtp(1));
  bob.send(call.streams[1].rtp.local, rtp(2));
  const auto at_bob = bob.receive();
  const auto at_alice = alice.receive();
  ASSERT_TRUE(at_bob && at_alice);
  EXPECT_EQ(sequence_of(at_bob->packet), 1);
  EXPECT_EQ(sequence_of(at_alice->packet), 2);
}

TEST_P(EngineCall, DatagramsThatComeBeforeTheShardWait) {
  // Given a phone that speaks the moment apply() has answered.
  const auto engine = start(options_with(200));
  for (int round = 0; round < 20; ++round) {
    UdpPhone alice;
    UdpPhone bob;
    const std::string key = "early" + std::to_string(round);
    const CallState call = must(engine->apply(audio_call(key, alice, bob)));
    alice.send(call.streams[0].rtp.local, rtp(1));
    // Then its first packet arrives.
    EXPECT_TRUE(bob.receive());
    must(remove(*engine, key));
  }
}

TEST_P(EngineCall, AnEmptyDatagramAndGarbageDoNotHarmIt) {
  const auto engine = start(options_with(40));
  UdpPhone alice;
  UdpPhone bob;
  const CallState call = must(engine->apply(audio_call("g", alice, bob)));
  const LocalEndpoint here = call.streams[0].rtp.local;
  const std::vector<std::byte> garbage(300, std::byte{0x7f});
  const std::vector<std::byte> oversize(60'000, std::byte{0x80});
  for (std::uint16_t i = 0; i < 50; ++i) {
    alice.send(here, {});
    alice.send(here, garbage);
    alice.send(here, oversize);
    alice.send(here, rtp(i));
    ASSERT_TRUE(bob.receive()) << i;
  }
  EXPECT_EQ(bob.drain(100ms), 0U);
  const CallState state = must(query(*engine, "g"));
  EXPECT_EQ(state.drops[static_cast<std::size_t>(media::Drop::empty)], 50U);
  EXPECT_EQ(state.drops[static_cast<std::size_t>(media::Drop::truncated)], 50U);
}

TEST_P(EngineSpec, TheSameTwiceChangesNothingAndAnOlderOneIsRefused) {
  const auto engine = start(options_with(40));
  UdpPhone alice;
  UdpPhone bob;
  CallSpec spec = audio_call("r", alice, bob);
  const CallState first = must(engine->apply(spec));
  const CallState again = must(engine->apply(spec));
  EXPECT_EQ(again.streams[0].rtp.local, first.streams[0].rtp.local);
  spec.media_timeout = 10s;
  EXPECT_EQ(code_of(engine->apply(spec)), EngineErrc::stale_revision);
  spec.revision = 2;
  EXPECT_EQ(must(engine->apply(spec)).streams[0].rtp.local, first.streams[0].rtp.local);
  spec.revision = 1;
  EXPECT_EQ(code_of(engine->apply(spec)), EngineErrc::stale_revision);
  EXPECT_EQ(engine->counts().ports_leased, 4U);
}

TEST_P(EngineSpec, StreamsComeGoAndMove) {
  // Given a call on one interface of two.
  auto options = options_with(80);
  const IpAddress second = IpAddress::v4(127, 0, 0, 2);
  options.media_addresses.push_back({"other", second, IpAddress::v4(192, 0, 2, 7)});
  const auto engine = start(options);
  UdpPhone alice;
  UdpPhone bob;
  CallSpec spec = audio_call("m", alice, bob);
  const CallState before = must(engine->apply(spec));
  // When Alice's stream moves to the other and a third one is added,
  spec.revision = 2;
  spec.streams[0].interface = "other";
  StreamSpec video;
  video.id = StreamId{3};
  spec.streams.push_back(video);
  const CallState moved = must(engine->apply(spec));
  // then Bob's port stays, Alice's is new, and media flows from there.
  EXPECT_EQ(moved.streams[0].rtp.local.address, second);
  EXPECT_EQ(moved.streams[0].rtp.advertised.address, IpAddress::v4(192, 0, 2, 7));
  EXPECT_EQ(moved.streams[1].rtp.local, before.streams[1].rtp.local);
  EXPECT_NE(moved.streams[2].rtp.local.port, 0);
  alice.send(moved.streams[0].rtp.local, rtp(1));
  ASSERT_TRUE(bob.receive());
  // When streams go, so do their ports.
  spec.revision = 3;
  spec.streams.pop_back();
  must(engine->apply(spec));
  EXPECT_TRUE(eventually([&] { return engine->counts().ports_leased == 4; }));
  alice.send(moved.streams[0].rtp.local, rtp(2));
  EXPECT_TRUE(bob.receive());
}

TEST_P(EngineSpec, MultiplexingReleasesTheOddPortAndTakesItBack) {
  const auto engine = start(options_with(40));
  UdpPhone alice;
  UdpPhone bob;
  CallSpec spec = audio_call("x", alice, bob);
  spec.streams[0].rtcp_mux = true;
  const CallState muxed = must(engine->apply(spec));
  EXPECT_EQ(muxed.streams[0].rtcp.local.port, 0);
  EXPECT_EQ(engine->counts().ports_leased, 4U);
  spec.revision = 2;
  spec.streams[0].rtcp_mux = false;
  const CallState split = must(engine->apply(spec));
  EXPECT_EQ(split.streams[0].rtp.local, muxed.streams[0].rtp.local);
  EXPECT_EQ(split.streams[0].rtcp.local.port, muxed.streams[0].rtp.local.port + 1);
  spec.revision = 3;
  spec.streams[0].rtcp_mux = true;
  const CallState again = must(engine->apply(spec));
  EXPECT_EQ(again.streams[0].rtp.local, muxed.streams[0].rtp.local);
  alice.send(again.streams[0].rtp.local, rtp(1));
  EXPECT_TRUE(bob.receive());
  must(remove(*engine, "x"));
  EXPECT_TRUE(eventually([&] { return engine->counts().ports_leased == 0; }));
}

TEST_P(EngineSpec, WhatCannotBeIsRefusedAndChangesNothing) {
  auto options = options_with(8);
  options.max_calls = 3;
  const auto engine = start(options);
  UdpPhone alice;
  UdpPhone bob;
  CallSpec spec = audio_call("ok", alice, bob);
  const CallState standing = must(engine->apply(spec));
  // An interface that there is not.
  CallSpec wrong = audio_call("bad", alice, bob);
  wrong.streams[1].interface = "nowhere";
  EXPECT_EQ(code_of(engine->apply(wrong)), EngineErrc::unknown_interface);
  // No media port of ours as a target: that would be a loop.
  wrong = audio_call("bad", alice, bob);
  wrong.streams[0].remote_rtp = RemoteEndpoint{standing.streams[1].rtp.local};
  EXPECT_EQ(code_of(engine->apply(wrong)), EngineErrc::invalid_spec);
  wrong.streams[0].remote_rtp = RemoteEndpoint{{IpAddress::v4(224, 0, 0, 1), 5000}};
  EXPECT_EQ(code_of(engine->apply(wrong)), EngineErrc::invalid_spec);
  wrong = audio_call("", alice, bob);
  EXPECT_EQ(code_of(engine->apply(wrong)), EngineErrc::invalid_spec);
  EXPECT_EQ(engine->counts().ports_leased, 4U);
  // More streams than there are ports: none is kept.
  spec.revision = 2;
  for (std::uint32_t id = 3; id < 10; ++id) {
    StreamSpec extra;
    extra.id = StreamId{id};
    spec.streams.push_back(extra);
  }
  EXPECT_EQ(code_of(engine->apply(spec)), EngineErrc::out_of_ports);
  EXPECT_TRUE(eventually([&] { return engine->counts().ports_leased == 4; }));
  EXPECT_EQ(must(query(*engine, "ok")).revision, 1U);
  alice.send(standing.streams[0].rtp.local, rtp(1));
  EXPECT_TRUE(bob.receive());
}

TEST_P(EngineSpec, TheCallLimitHolds) {
  auto options = options_with(200);
  options.max_calls = 2;
  const auto engine = start(options);
  UdpPhone alice;
  UdpPhone bob;
  must(engine->apply(audio_call("1", alice, bob)));
  must(engine->apply(audio_call("2", alice, bob)));
  EXPECT_EQ(code_of(engine->apply(audio_call("3", alice, bob))), EngineErrc::too_many_calls);
  must(remove(*engine, "1"));
  must(engine->apply(audio_call("3", alice, bob)));
}

TEST_P(EnginePorts, RestAfterTheCallAndServeAgain) {
  // Given a range of just one call's ports.
  const auto engine = start(options_with(4));
  UdpPhone alice;
  UdpPhone bob;
  const CallState first = must(engine->apply(audio_call("first", alice, bob)));
  must(remove(*engine, "first"));
  // When the call has ended, its ports are not leased at once,
  EXPECT_EQ(code_of(engine->apply(audio_call("second", alice, bob))), EngineErrc::out_of_ports);
  // but can be bound by anybody soon, and are leased again after their rest.
  EXPECT_TRUE(
      eventually([&] { return io::UdpSocket::bind(first.streams[0].rtp.local, {}).has_value(); }));
  EXPECT_TRUE(
      eventually([&] { return engine->apply(audio_call("second", alice, bob)).has_value(); }));
}

TEST_P(EnginePorts, APortTakenByAnotherProgramIsPassedOver) {
  const auto options = options_with(16);
  const auto engine = start(options);
  std::vector<io::UdpSocket> others;
  for (std::uint16_t pair = 0; pair < 6; ++pair) {
    const auto odd = static_cast<std::uint16_t>(((options.ports.first + 1) & ~1) + 2 * pair + 1);
    auto other = io::UdpSocket::bind(LocalEndpoint{{kLoopback, odd}}, {});
    if (other) others.push_back(std::move(*other));
  }
  UdpPhone alice;
  UdpPhone bob;
  EXPECT_TRUE(engine->apply(audio_call("a", alice, bob)));
}

TEST_P(EnginePorts, LatePacketsOfAnEndedCallDoNotReachItsSuccessor) {
  // Given calls that follow each other on the same few ports, and a phone that doesn't stop.
  auto options = options_with(4);
  options.port_rest = 0ms;
  const auto engine = start(options);
  UdpPhone stubborn;
  UdpPhone alice;
  UdpPhone bob;
  for (int round = 0; round < 20; ++round) {
    Result<CallState> call = Error{EngineErrc::out_of_ports};
    ASSERT_TRUE(eventually([&] {
      call = engine->apply(audio_call(std::to_string(round), alice, bob));
      return call.has_value();
    }));
    alice.send(call->streams[0].rtp.local, rtp(1, 0xa));
    ASSERT_TRUE(bob.receive());
    for (int i = 0; i < 10; ++i) stubborn.send(call->streams[0].rtp.local, rtp(99, 0xbad));
    must(remove(*engine, std::to_string(round)));
  }
  EXPECT_EQ(bob.drain(100ms), 0U);
}

// Its ports were bound before anybody thought of the call.
TEST_P(EnginePorts, WhatCameBeforeTheCallIsNotTheCalls) {
  const auto options = options_with(80);
  const auto engine = start(options);
  EXPECT_EQ(engine->limits().prebound_ports, 10U);
  UdpPhone stray;
  for (std::uint32_t port = options.ports.first; port <= options.ports.last; ++port) {
    stray.send(Endpoint{kLoopback, static_cast<std::uint16_t>(port)}, rtp(99, 0xbad));
  }
  UdpPhone alice;
  UdpPhone bob;
  must(engine->apply(audio_call("a", alice, bob)));
  const CallState state = must(query(*engine, "a"));
  for (const media::StreamState& stream : state.streams) {
    EXPECT_EQ(stream.rtp.received.packets + stream.rtcp.received.packets, 0U);
  }
  EXPECT_EQ(state.drops, media::DropCounts{});
  EXPECT_EQ(bob.drain(20ms), 0U);
}

TEST_P(EngineLife, AThousandCallsLeaveNothingBehind) {
  const auto engine = start(options_with(8000));
  UdpPhone alice;
  UdpPhone bob;
  const auto round = [&](const std::string& prefix) {
    for (int i = 0; i < 1000; ++i) {
      must(engine->apply(audio_call(prefix + std::to_string(i), alice, bob)));
    }
    for (int i = 0; i < 1000; ++i) must(remove(*engine, prefix + std::to_string(i)));
    EXPECT_TRUE(eventually([&] { return engine->counts().ports_leased == 0; }));
  };
  const auto at_rest = [&] { return engine->counts().ports_resting == 0; };
  round("warm");
  EXPECT_TRUE(eventually(at_rest));
  const std::size_t descriptors = open_descriptors();
  // Queues and tables keep the room of the busiest moment so far, which comes in some rounds; what
  // a call leaves behind comes in every one.
  constexpr std::uint64_t kRounds = 5;
  std::int64_t least_growth = std::numeric_limits<std::int64_t>::max();
  for (std::uint64_t i = 0; i < kRounds; ++i) {
    const std::size_t memory = mallinfo2().uordblks;
    round("counted");
    EXPECT_TRUE(eventually(at_rest));
    least_growth = std::min(least_growth, static_cast<std::int64_t>(mallinfo2().uordblks) -
                                              static_cast<std::int64_t>(memory));
  }
  EXPECT_TRUE(eventually([&] { return open_descriptors() == descriptors; }));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(least_growth, 8 * 1024) << "8 bytes a call";
#endif
  EXPECT_EQ(engine->size(), 0U);
  const EngineCounts counts = engine->counts();
  EXPECT_EQ(counts.calls_created, 1000 * (1 + kRounds));
  EXPECT_EQ(counts.calls_ended[static_cast<std::size_t>(media::EndReason::deleted)],
            1000 * (1 + kRounds));
}

TEST_P(EngineLife, SilentAndUnansweredCallsEnd) {
  const auto engine = start(options_with(40));
  std::mutex mutex;
  std::vector<CallEnded> ended;
  engine->set_on_ended([&](CallEnded event) {
    const std::lock_guard lock(mutex);
    ended.push_back(std::move(event));
  });
  UdpPhone alice;
  UdpPhone bob;
  CallSpec silent = audio_call("silent", alice, bob);
  silent.media_timeout = 300ms;
  CallSpec unanswered = audio_call("unanswered", alice, bob);
  unanswered.answered = false;
  unanswered.setup_timeout = 200ms;
  CallSpec endless = audio_call("endless", alice, bob);
  must(engine->apply(silent));
  must(engine->apply(unanswered));
  must(engine->apply(endless));
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return ended.size() == 2;
  }));
  const std::lock_guard lock(mutex);
  for (const CallEnded& event : ended) {
    EXPECT_EQ(event.reason, event.state.key == "silent" ? media::EndReason::media_timeout
                                                        : media::EndReason::setup_timeout);
  }
  EXPECT_EQ(engine->list(10), std::vector<std::string>{"endless"});
  EXPECT_EQ(code_of(query(*engine, "silent")), EngineErrc::unknown_call);
  EXPECT_TRUE(eventually([&] { return engine->counts().ports_leased == 4; }));
}

TEST_P(EngineLife, ManyThreadsAtOnce) {
  // Given two shards, with media flowing through a standing call.
  auto options = options_with(2000);
  options.shards = 2;
  options.port_rest = 20ms;
  const auto engine = start(options);
  UdpPhone alice;
  UdpPhone bob;
  const CallState standing = must(engine->apply(audio_call("standing", alice, bob)));
  // When four threads create, change, look at and remove calls of the same few names.
  std::atomic<int> answered{0};
  std::atomic<int> asked{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      rtpool::Random random(static_cast<std::uint64_t>(t));
      for (int i = 0; i < 250; ++i) {
        const std::string key = "call" + std::to_string(random.below(10));
        CallSpec spec = audio_call(key, alice, bob);
        spec.revision = static_cast<std::uint64_t>(i + 1);
        spec.streams[0].rtcp_mux = random.below(2) == 1;
        (void)engine->apply(spec);
        ++asked;
        const auto done = [&](const Result<CallState>&) { ++answered; };
        if (random.below(3) == 0) {
          engine->remove(key, done);
        } else {
          engine->query(key, done);
        }
        (void)engine->counts();
      }
    });
  }
  for (std::uint16_t i = 0; i < 200; ++i) {
    alice.send(standing.streams[0].rtp.local, rtp(i));
    EXPECT_TRUE(bob.receive());
  }
  for (std::thread& thread : threads) thread.join();
  // Then every question was answered, and what is left can be removed.
  EXPECT_TRUE(eventually([&] { return answered == asked; }));
  for (const std::string& key : engine->list(1000)) must(remove(*engine, key));
  EXPECT_TRUE(eventually([&] { return engine->counts().ports_leased == 0; }));
}

TEST_P(EngineLife, StopsWithPacketsInFlightAndFreesItsPorts) {
  const auto options = options_with(400);
  UdpPhone alice;
  UdpPhone bob;
  std::vector<LocalEndpoint> ports;
  std::atomic<bool> stop{false};
  std::thread speaker;
  int answered = 0;
  {
    const auto engine = start(options);
    for (int i = 0; i < 50; ++i) {
      const CallState call = must(engine->apply(audio_call(std::to_string(i), alice, bob)));
      ports.push_back(call.streams[0].rtp.local);
    }
    speaker = std::thread([&] {
      while (!stop) {
        for (const LocalEndpoint& port : ports) alice.send(port, rtp(1));
      }
    });
    ASSERT_TRUE(bob.receive());
    // Questions asked just before the end are answered, one way or the other.
    for (int i = 0; i < 50; ++i) engine->query(std::to_string(i), [&](auto&&) { ++answered; });
  }
  EXPECT_EQ(answered, 50);
  for (const LocalEndpoint& port : ports)
    EXPECT_TRUE(io::UdpSocket::bind(port, {})) << port.to_string();
  stop = true;
  speaker.join();
}

TEST_P(EngineStart, SaysWhatIsWrong) {
  auto options = options_with(40);
  options.media_addresses[0].local = options.media_addresses[0].advertised =
      IpAddress::v4(192, 0, 2, 1);
  auto engine = Engine::start(options);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, EngineErrc::bind_failed);
  EXPECT_NE(engine.error().detail.find("192.0.2.1"), std::string::npos);

  options = options_with(40);
  options.ports = {30'001, 30'001};
  engine = Engine::start(options);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, EngineErrc::out_of_ports);

  options = options_with(40);
  options.media_addresses.push_back(options.media_addresses[0]);
  engine = Engine::start(options);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, EngineErrc::invalid_spec);

  options.media_addresses.clear();
  EXPECT_FALSE(Engine::start(options));

  options = options_with(40);
  options.cores = {kMaxCores - 1};
  engine = Engine::start(options);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, EngineErrc::invalid_spec);
  EXPECT_NE(engine.error().detail.find("core 1023; this process may run on "), std::string::npos);
}

TEST_P(EngineStart, SaysWhatForwards) {
  const auto engine = start(options_with(40));
  EXPECT_EQ(engine->limits().io, GetParam());
  EXPECT_EQ(engine->limits().io_uring_missing, "");
  if (GetParam() == io::IoKind::epoll) {
    EXPECT_FALSE(engine->limits().fixed_files);
  }
}

const auto kEachIo = testing::Values(io::IoKind::uring, io::IoKind::epoll);
std::string name_of(const testing::TestParamInfo<io::IoKind>& kind) {
  return std::string(io::to_string(kind.param));
}
INSTANTIATE_TEST_SUITE_P(Over, EngineCall, kEachIo, name_of);
INSTANTIATE_TEST_SUITE_P(Over, EngineSpec, kEachIo, name_of);
INSTANTIATE_TEST_SUITE_P(Over, EnginePorts, kEachIo, name_of);
INSTANTIATE_TEST_SUITE_P(Over, EngineLife, kEachIo, name_of);
INSTANTIATE_TEST_SUITE_P(Over, EngineStart, kEachIo, name_of);

}  // namespace
}  // namespace rtpool
