// A controller's view and a registrar's core at up to 10,000 elements in 100 pools, without any
// network.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/pool/elements.h"
#include "pool/pool_view.h"
#include "pool/registrar.h"

namespace rtpool::bench {
namespace {

using pool::PoolElementId;
using pool::PoolUpdate;
using pool::Registrar;
using pool::StreamId;
using std::chrono::milliseconds;

constexpr std::size_t kElements = 10'000;
constexpr std::size_t kPools = 100;

PoolUpdate snapshot(std::size_t size) {
  PoolUpdate update;
  update.snapshot = true;
  update.changed = elements(size);
  return update;
}

void view_snapshot(benchmark::State& state) {
  const PoolUpdate update = snapshot(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    pool::PoolView view(1);
    pool::PoolView::Changes changes;
    benchmark::DoNotOptimize(view.apply(0, update, changes));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(view_snapshot)->RangeMultiplier(10)->Range(1, 10'000);

// Two registrars say that one element's load has changed.
void view_delta(benchmark::State& state) {
  const PoolUpdate all = snapshot(static_cast<std::size_t>(state.range(0)));
  pool::PoolView view(2);
  pool::PoolView::Changes changes;
  view.apply(0, all, changes);
  view.apply(1, all, changes);
  PoolUpdate update;
  update.changed.push_back(all.changed[all.changed.size() / 2]);
  for (auto _ : state) {
    ++update.sequence;
    ++update.changed[0].load_sequence;
    changes = {};
    view.apply(0, update, changes);
    view.apply(1, update, changes);
    benchmark::DoNotOptimize(changes);
  }
  state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(view_delta)->RangeMultiplier(10)->Range(1, 10'000);

pool::Registration registration(std::size_t number) {
  const auto described = element(number);
  return {.pool = "pool-" + std::to_string(number % kPools),
          .name = described.name,
          .endpoint = described.endpoint,
          .zone = "",
          .values = described.values,
          .incarnation = 1};
}

// A registrar with all elements, each on the stream of its number and one.
struct Population {
  Population() {
    for (std::size_t i = 0; i < kElements; ++i) {
      registrations.push_back(registration(i));
    }
  }
  void fill(Registrar& registrar) const {
    for (std::size_t i = 0; i < kElements; ++i) {
      if (!registrar.attach(now, StreamId{i + 1}, registrations[i], 1)) std::abort();
    }
    registrar.take_outbox();
  }
  std::vector<pool::Registration> registrations;
  Instant now{std::chrono::seconds(10)};
};

void attach(benchmark::State& state) {
  const Population population;
  for (auto _ : state) {
    Registrar registrar({}, population.now, 1);
    population.fill(registrar);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kElements));
}
BENCHMARK(attach)->Unit(benchmark::kMillisecond);

// Each element in turn, with a new load; every 50 ms as many ticks as come with them.
void heartbeat(benchmark::State& state) {
  Population population;
  Registrar registrar({}, population.now, 1);
  population.fill(registrar);
  std::uint32_t load = 0;
  std::size_t at = 0;
  for (auto _ : state) {
    population.now += std::chrono::microseconds(5);
    const StreamId stream{at + 1};
    if (!registrar.heartbeat(population.now, stream, {.load = ++load})) std::abort();
    if (at % 1'000 == 0) {
      registrar.tick(population.now);
      registrar.take_outbox();
    }
    if (++at == kElements) at = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(heartbeat);

// What five milliseconds cost when nothing is due.
void idle_tick(benchmark::State& state) {
  Population population;
  Registrar registrar({}, population.now, 1);
  population.fill(registrar);
  for (auto _ : state) {
    registrar.tick(population.now);
    benchmark::DoNotOptimize(registrar.take_outbox());
  }
}
BENCHMARK(idle_tick);

void resolve(benchmark::State& state) {
  Population population;
  Registrar registrar({}, population.now, 1);
  population.fill(registrar);
  std::vector<std::string> pools;
  for (std::size_t i = 0; i < kPools; ++i) pools.push_back("pool-" + std::to_string(i));
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        registrar.resolve(population.now, pools[at], 1, {.exclude = {}, .zone = {}}));
    if (++at == kPools) at = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(resolve);

// From the first stream's end to the last update about it, with a hundred watchers a pool in ten.
void remove_all(benchmark::State& state) {
  Population population;
  for (auto _ : state) {
    state.PauseTiming();
    Registrar registrar({}, population.now, 1);
    population.fill(registrar);
    for (std::uint64_t i = 0; i < 1'000; ++i) {
      const auto pool = "pool-" + std::to_string(i % 10);
      if (!registrar.watch(population.now, pool::WatcherId{i + 1}, pool)) std::abort();
    }
    registrar.take_outbox();
    const Instant later = population.now + registrar.options().fence;
    state.ResumeTiming();
    for (std::size_t i = 0; i < kElements; ++i) {
      registrar.stream_ended(population.now, StreamId{i + 1});
    }
    registrar.tick(later);
    benchmark::DoNotOptimize(registrar.take_outbox());
    state.PauseTiming();
    if (registrar.counts().elements != 0) std::abort();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kElements));
}
BENCHMARK(remove_all)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace rtpool::bench
