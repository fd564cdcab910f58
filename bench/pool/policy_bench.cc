// A choice by each policy, for pools of 1 to 10,000 elements: the cost per local resolution.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/pool/elements.h"
#include "pool/policy.h"

namespace rtpool::bench {
namespace {

using pool::Policy;

void select(benchmark::State& state, Policy policy) {
  pool::Selector selector(policy, 1);
  const auto view = elements(static_cast<std::size_t>(state.range(0)));
  selector.set_view(policy, view);
  Instant now{std::chrono::seconds(1)};
  for (auto _ : state) {
    now += std::chrono::microseconds(10);  // 100,000 calls a second
    benchmark::DoNotOptimize(selector.select(now, {.exclude = {}, .zone = {}}));
  }
  state.SetItemsProcessed(state.iterations());
}

// The second choice of a call whose first relay did not answer.
void select_again(benchmark::State& state, Policy policy) {
  pool::Selector selector(policy, 1);
  const auto view = elements(static_cast<std::size_t>(state.range(0)));
  selector.set_view(policy, view);
  Instant now{std::chrono::seconds(1)};
  pool::PoolElementId last;
  for (auto _ : state) {
    now += std::chrono::microseconds(10);
    const auto chosen = selector.select(now, {.exclude = {&last, 1}, .zone = {}});
    if (chosen) last = (*chosen)->id;
  }
  state.SetItemsProcessed(state.iterations());
}

// A load report of one element.
void put(benchmark::State& state, Policy policy) {
  pool::Selector selector(policy, 1);
  auto view = elements(static_cast<std::size_t>(state.range(0)));
  selector.set_view(policy, view);
  std::size_t at = 0;
  for (auto _ : state) {
    auto& changed = view[at];
    changed.load = (changed.load + 1'000'003) & 0x7fffffff;
    ++changed.load_sequence;
    selector.put(changed);
    if (++at == view.size()) at = 0;
  }
  state.SetItemsProcessed(state.iterations());
}

void add(const std::string& what, void (*run)(benchmark::State&, Policy), Policy policy) {
  auto* benchmark =
      benchmark::RegisterBenchmark((what + "/" + std::string(name_of(policy))).c_str(),
                                   [run, policy](benchmark::State& state) { run(state, policy); });
  benchmark->RangeMultiplier(10)->Range(1, 10'000);
}

const bool registered = [] {
  for (const auto policy :
       {Policy::round_robin, Policy::weighted_round_robin, Policy::random, Policy::weighted_random,
        Policy::priority, Policy::least_used, Policy::least_used_degradation,
        Policy::priority_least_used, Policy::randomized_least_used, Policy::srv}) {
    add("select", select, policy);
  }
  add("select_again", select_again, Policy::least_used_degradation);
  add("put", put, Policy::least_used_degradation);
  return true;
}();

}  // namespace
}  // namespace rtpool::bench
