// The steps before a verdict, each alone: what a datagram is, and whether its source is heard.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <vector>

#include "relay/base/random.h"
#include "relay/media/demux.h"
#include "relay/media/latch.h"

namespace {

using namespace rtpool;
using namespace rtpool::media;

RemoteEndpoint at(std::uint8_t who, std::uint16_t port) {
  return {{IpAddress::v4(203, 0, 113, who), port}};
}

// Datagrams of every kind in a random order, so that no branch can be learned by heart.
void classify_mixed(benchmark::State& state) {
  Random random(1);
  std::vector<std::array<std::byte, 2>> datagrams(4096);
  for (auto& datagram : datagrams) {
    for (auto& byte : datagram) byte = static_cast<std::byte>(random.below(256));
  }
  std::size_t turn = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(classify(Bytes(datagrams[turn])));
    turn = (turn + 1) % datagrams.size();
  }
}
BENCHMARK(classify_mixed);

void classify_rtp(benchmark::State& state) {
  const std::array<std::byte, 2> rtp{std::byte{0x80}, std::byte{8}};
  for (auto _ : state) {
    Bytes datagram(rtp);
    benchmark::DoNotOptimize(datagram);
    benchmark::DoNotOptimize(classify(datagram));
  }
}
BENCHMARK(classify_rtp);

Latch learned(Instant now) {
  Latch latch;
  latch.configure({.signalled = at(10, 4000),
                   .local = IpAddress::v4(198, 51, 100, 1),
                   .advertised = IpAddress::v4(198, 51, 100, 1),
                   .learning_window = std::chrono::seconds(10)},
                  now);
  latch.admit(at(10, 4000), now, {.media = true});
  return latch;
}

// The packet that counts: heard, and what it says of its party is noted.
void latch_heard(benchmark::State& state) {
  Instant now{std::chrono::hours(1)};
  Latch latch = learned(now);
  const RemoteEndpoint party = at(10, 4000);
  for (auto _ : state) {
    now += std::chrono::milliseconds(20);
    Latch::Gate gate = latch.check(party, now);
    benchmark::DoNotOptimize(gate);
    if (gate != Latch::Gate::heard) return state.SkipWithError("not heard");
    latch.touch(now, true);
    benchmark::DoNotOptimize(latch.target(now));
  }
}
BENCHMARK(latch_heard);

void latch_refused(benchmark::State& state) {
  Instant now{std::chrono::hours(1)};
  Latch latch = learned(now);
  const RemoteEndpoint stranger = at(66, 666);
  for (auto _ : state) {
    now += std::chrono::microseconds(10);
    Latch::Gate gate = latch.check(stranger, now);
    benchmark::DoNotOptimize(gate);
    if (gate != Latch::Gate::refused) return state.SkipWithError("not refused");
  }
}
BENCHMARK(latch_refused);

// A NAT gives a party another port: the first packet from there.
void latch_learns(benchmark::State& state) {
  Instant now{std::chrono::hours(1)};
  const Latch fresh = learned(now);
  for (auto _ : state) {
    Latch latch = fresh;
    const RemoteEndpoint moved = at(10, 4002);
    benchmark::DoNotOptimize(latch.check(moved, now));
    benchmark::DoNotOptimize(latch.admit(moved, now, {.media = true, .continues = true}));
  }
}
BENCHMARK(latch_learns);

}  // namespace
