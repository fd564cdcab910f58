// What stands between the kernel and a verdict, and what a call costs to set up: the shard's loop
// over I/O without a kernel, the call table over such I/O and over real sockets on loopback, and
// ports bound ahead or when needed.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/relay/empty_io.h"
#include "relay/base/bytes.h"
#include "relay/engine.h"
#include "relay/io/clock.h"
#include "relay/media/call.h"
#include "relay/port_book.h"
#include "relay/worker.h"

namespace rtpool::bench {
namespace {

constexpr std::size_t kBatch = 64;
const IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);

RemoteEndpoint party(std::uint8_t who, std::uint16_t port) {
  return {{IpAddress::v4(203, 0, 113, who), port}};
}

media::CallSpec two_parties(const std::string& key) {
  media::CallSpec spec;
  spec.key = key;
  spec.revision = 1;
  spec.answered = true;
  spec.streams.resize(2);
  spec.streams[0] = {
      .id = media::StreamId{1}, .remote_rtp = party(10, 4000), .forward_to = media::StreamId{2}};
  spec.streams[1] = {
      .id = media::StreamId{2}, .remote_rtp = party(20, 5000), .forward_to = media::StreamId{1}};
  return spec;
}

CreateCall create_call(std::uint64_t number, Instant now) {
  const auto local = [](std::uint16_t port) { return LocalEndpoint{{kLoopback, port}}; };
  const std::vector<media::StreamSockets> endpoints{{.rtp = local(30000), .rtcp = local(30001)},
                                                    {.rtp = local(30002), .rtcp = local(30003)}};
  CreateCall create{
      CallId{number},
      std::make_unique<media::Call>(two_parties("bench"), endpoints, media::CallOptions{}, now),
      {}};
  for (const std::uint16_t even : {std::uint16_t{30000}, std::uint16_t{30002}}) {
    const auto stream = media::StreamId{even == 30000 ? 1U : 2U};
    for (const auto component : {media::ComponentKind::rtp, media::ComponentKind::rtcp}) {
      create.sockets.push_back({io::UdpSocket(), stream, component, LeaseKey{0, even}});
    }
  }
  return create;
}

// A shard without a kernel: `calls` of them stand, four sockets each.
struct Shard {
  explicit Shard(std::size_t calls)
      : io(4 * calls + 16),
        worker(
            io, clock, Duration{}, [](ShardEvent) {}, [] { return io::ThreadUsage{}; }) {
    for (std::size_t i = 0; i < calls; ++i) {
      worker.post(create_call(i + 1, clock.now()));
      worker.run_once();
    }
  }

  EmptyIo io;
  io::SystemClock clock;
  Worker worker;
};

// Per packet: from the batch that the kernel gave to the send that it is given.
void forward(benchmark::State& state) {
  Shard shard(static_cast<std::size_t>(state.range(0)));
  // A packet of each party of each call in turn, as the shard's sockets get them.
  std::array<std::byte, 172> rtp{};
  rtp[0] = std::byte{0x80};
  const auto& slots = shard.io.attached();
  std::vector<io::Received> all;
  for (std::size_t i = 0; i < slots.size(); i += 2) {
    all.push_back({slots[i], false, i % 4 == 0 ? party(10, 4000) : party(20, 5000), Bytes(rtp)});
  }
  std::size_t at = 0;
  std::uint16_t sequence = 0;
  for (auto _ : state) {
    shard.io.arriving.clear();
    for (std::size_t i = 0; i < kBatch; ++i) {
      if (at == all.size()) {
        at = 0;
        store_u16(rtp, 2, ++sequence);
        store_u32(rtp, 4, sequence * 160U);
      }
      shard.io.arriving.push_back(all[at++]);
    }
    shard.worker.run_once();
  }
  const auto packets = static_cast<std::uint64_t>(state.iterations()) * kBatch;
  state.SetItemsProcessed(static_cast<std::int64_t>(packets));
  if (shard.io.sent() < packets * 9 / 10) state.SkipWithError("packets were not forwarded");
}
BENCHMARK(forward)->Arg(1)->Arg(400)->Arg(5000);

// A call comes and goes at a shard where others stand.
void shard_create_remove(benchmark::State& state) {
  Shard shard(static_cast<std::size_t>(state.range(0)));
  std::uint64_t number = 1'000'000;
  for (auto _ : state) {
    shard.worker.post(create_call(++number, shard.clock.now()));
    shard.worker.run_once();
    shard.worker.post(RemoveCall{CallId{number}, {}});
    shard.worker.run_once();
    shard.worker.run_once();  // its sockets are closed
  }
}
BENCHMARK(shard_create_remove)->Arg(1)->Arg(1000)->Arg(10'000);

EngineOptions loopback_options() {
  EngineOptions options;
  options.media_addresses = {{"default", kLoopback, kLoopback}};
  options.ports = {10'000, 65'535};
  options.port_rest = Duration{};
  options.max_cpu_percent = 100;
  return options;
}

// apply() and remove() with four real sockets, waited for, where others stand. Wall time, for three
// threads have a part in it.
void engine_apply_remove(benchmark::State& state) {
  auto engine = Engine::start(loopback_options());
  if (!engine) return state.SkipWithError(engine.error().message().c_str());
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    const auto applied = (*engine)->apply(two_parties("standing-" + std::to_string(i)));
    if (!applied) return state.SkipWithError(applied.error().message().c_str());
  }
  std::uint64_t number = 0;
  for (auto _ : state) {
    const std::string key = "c" + std::to_string(++number);
    const auto applied = (*engine)->apply(two_parties(key));
    if (!applied) return state.SkipWithError(applied.error().message().c_str());
    std::promise<void> removed;
    (*engine)->remove(key, [&](const Result<media::CallState>&) { removed.set_value(); });
    removed.get_future().wait();
  }
}
BENCHMARK(engine_apply_remove)->Arg(1)->Arg(1000)->Arg(4000)->UseRealTime();

// What the caller of apply() waits for; the call is removed while the clock stands still.
void engine_apply(benchmark::State& state) {
  EngineOptions options = loopback_options();
  options.prebound_ports = static_cast<std::uint32_t>(state.range(0));
  auto engine = Engine::start(options);
  if (!engine) return state.SkipWithError(engine.error().message().c_str());
  std::uint64_t number = 0;
  for (auto _ : state) {
    const media::CallSpec spec = two_parties("c" + std::to_string(++number));
    const auto begun = std::chrono::steady_clock::now();
    const auto applied = (*engine)->apply(spec);
    const auto done = std::chrono::steady_clock::now();
    if (!applied) return state.SkipWithError(applied.error().message().c_str());
    state.SetIterationTime(std::chrono::duration<double>(done - begun).count());
    std::promise<void> removed;
    (*engine)->remove(spec.key, [&](const Result<media::CallState>&) { removed.set_value(); });
    removed.get_future().wait();
  }
}
BENCHMARK(engine_apply)->ArgName("prebound")->Arg(0)->Arg(256)->UseManualTime();

// A pair of ports with its sockets: bound when needed, or ahead and drawn from those.
void lease_pair(benchmark::State& state) {
  const auto ahead = static_cast<std::size_t>(state.range(0));
  PortBook book({10'000, 65'535}, Duration{});
  book.add(kLoopback);
  book.bind_ahead(ahead, {}, [] {});
  const Instant now{};
  std::size_t left = 0;
  for (auto _ : state) {
    if (ahead > 0 && left == 0) {
      state.PauseTiming();
      book.fill(now);
      left = ahead;
      state.ResumeTiming();
    }
    auto lease = book.lease(0, true, {}, now);
    if (!lease) return state.SkipWithError(lease.error().message().c_str());
    state.PauseTiming();
    lease->sockets = {};
    book.abandon(lease->key);
    --left;
    state.ResumeTiming();
  }
}
BENCHMARK(lease_pair)->ArgName("prebound")->Arg(0)->Arg(1024);

}  // namespace
}  // namespace rtpool::bench
