// The selector's indexes against a plain selector that scans everything: after any history of
// changes both make the same choice, or, where chance decides, choose from the same elements.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pool/policy.h"

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;

// The rules as their documents say them, by scanning.
class PlainSelector {
 public:
  explicit PlainSelector(Policy policy) : policy_(policy) {}

  void put(const PoolElement& element) {
    Known& known = known_[element.id];
    if (known.element.epoch != element.epoch) known = Known{};
    if (known.element.load_sequence != element.load_sequence) known.hand_outs = 0;
    known.element = element;
    settle(known);
  }
  void remove(PoolElementId id) { known_.erase(id); }
  void shun(PoolElementId id, Instant until) {
    if (!known_.contains(id)) return;
    known_.at(id).shunned_until = until;
    settle(known_.at(id));
  }

  // Those that the policy may choose: one, except where it draws.
  std::vector<PoolElementId> candidates(Instant now, const SelectRequest& request) {
    for (auto& [id, known] : known_) {
      if (known.hand_outs > 0 && now - known.first_hand_out > std::chrono::seconds(1)) {
        known.hand_outs = 0;
      }
      if (known.shunned_until <= now && known.shunned_until != Instant{}) {
        known.shunned_until = {};
        settle(known);
      }
    }
    std::vector<Known*> best;
    std::vector<std::uint64_t> best_rank;
    for (auto& [id, known] : known_) {
      if (known.element.drained || known.element.full()) continue;
      if (std::count(request.exclude.begin(), request.exclude.end(), id) > 0) continue;
      const bool far = !request.zone.empty() && known.element.zone != request.zone;
      const bool srv = policy_ == Policy::srv;
      const bool spare = known.element.values.weight == 0;
      const std::vector<std::uint64_t> rank = {
          known.rank, far, srv ? known.element.values.priority : 0, srv && spare};
      if (best.empty() || rank < best_rank) best.clear();
      if (!best.empty() && rank > best_rank) continue;
      best_rank = rank;
      best.push_back(&known);
    }
    std::vector<PoolElementId> ids;
    if (!draws()) {
      const auto least = std::min_element(best.begin(), best.end(), [&](Known* a, Known* b) {
        return std::tuple(cost(*a), a->chosen_at, a->element.id) <
               std::tuple(cost(*b), b->chosen_at, b->element.id);
      });
      if (least != best.end()) ids.push_back((*least)->element.id);
      return ids;
    }
    for (const Known* known : best) ids.push_back(known->element.id);
    return ids;
  }

  void chosen(Instant now, PoolElementId id) {
    Known& known = known_.at(id);
    known.chosen_at = ++choices_;
    if (known.hand_outs++ == 0) known.first_hand_out = now;
    if (policy_ != Policy::weighted_round_robin) return;
    pass_ = std::max(pass_, known.pass);
    known.pass += step(known);
  }

  [[nodiscard]] bool draws() const {
    return policy_ == Policy::random || policy_ == Policy::weighted_random ||
           policy_ == Policy::randomized_least_used || policy_ == Policy::srv;
  }

 private:
  struct Known {
    PoolElement element;
    std::uint64_t chosen_at = 0;
    std::uint64_t pass = 0;
    std::uint64_t hand_outs = 0;
    Instant first_hand_out{};
    Instant shunned_until{};
    std::uint64_t rank = 0;
    std::optional<std::pair<std::uint64_t, std::string>> seat;
  };

  static std::uint64_t step(const Known& known) {
    return 72'072'000 / std::max<std::uint32_t>(1, known.element.values.weight);
  }
  static std::uint64_t degradation(const Known& known) {
    const auto& values = known.element.values;
    if (values.load_degradation > 0) return values.load_degradation;
    return kFullLoad / (values.capacity > 0 ? values.capacity : 1000);
  }
  // One that comes to others is due among them as if it had just been born.
  void settle(Known& known) {
    const PoolElement& e = known.element;
    const bool doubtful = e.suspect || known.shunned_until != Instant{};
    known.rank = (doubtful ? 4U : 0U) + (e.damped ? 2U : 0U) +
                 (e.values.weight == 0 && policy_ != Policy::srv ? 1U : 0U);
    std::optional<std::pair<std::uint64_t, std::string>> seat;
    if (!e.drained && !e.full()) seat.emplace(known.rank, e.zone);
    const bool moved = seat && (!known.seat || seat->first != known.seat->first ||
                                (seat->second != known.seat->second && !e.zone.empty()));
    if (moved) known.pass = std::max(known.pass, pass_ + step(known) / 2);
    known.seat = seat;
  }
  [[nodiscard]] std::uint64_t cost(const Known& known) const {
    switch (policy_) {
      case Policy::weighted_round_robin:
        return known.pass;
      case Policy::priority:
        return 0xffffffffU - known.element.values.priority;
      case Policy::least_used:
        return known.element.load;
      case Policy::least_used_degradation:
        return known.element.load + known.hand_outs * degradation(known);
      case Policy::priority_least_used:
        return known.element.load + degradation(known);
      default:
        return 0;
    }
  }

  Policy policy_;
  std::map<PoolElementId, Known> known_;
  std::uint64_t choices_ = 0;
  std::uint64_t pass_ = 0;
};

class Selection : public testing::TestWithParam<Policy> {};

PoolElement any_element(Random& random, std::uint32_t names) {
  PoolElement element;
  element.name = "r" + std::to_string(random.below(names));
  element.id = element_id(element.name);
  element.epoch = 1 + random.below(20) / 19;
  const std::uint32_t zone = random.below(4);
  element.zone = zone == 0 ? "" : "z" + std::to_string(zone);
  element.load = random.below(20) * 1'000'000;
  element.load_sequence = random.below(3);
  element.drained = random.below(8) == 0;
  element.suspect = random.below(6) == 0;
  element.damped = random.below(6) == 0;
  element.values.weight = random.below(5);
  element.values.priority = random.below(3);
  element.values.capacity = random.below(3) * 10;
  element.calls = random.below(12);
  return element;
}

TEST_P(Selection, ChoosesAsAPlainScanDoesAfterAnyHistory) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    Selector quick(GetParam(), seed);
    PlainSelector plain(GetParam());
    Instant now{milliseconds(1000)};
    const std::uint32_t names = 1 + random.below(40);
    for (int step = 0; step < 2'000; ++step) {
      now += milliseconds(random.below(20));
      const auto what = random.below(10);
      const auto id = element_id("r" + std::to_string(random.below(names)));
      if (what < 3) {
        const PoolElement element = any_element(random, names);
        quick.put(element);
        plain.put(element);
      } else if (what == 3) {
        quick.remove(id);
        plain.remove(id);
      } else if (what == 4) {
        const Instant until = now + milliseconds(1 + random.below(400));
        quick.shun(id, until);
        plain.shun(id, until);
      } else {
        std::vector<PoolElementId> exclude;
        for (auto n = random.below(4); n > 0; --n) {
          exclude.push_back(element_id("r" + std::to_string(random.below(names))));
        }
        const std::string zone = random.below(2) == 0 ? "" : "z" + std::to_string(random.below(5));
        const SelectRequest request{.exclude = exclude, .zone = zone};
        const auto expected = plain.candidates(now, request);
        const auto chosen = quick.select(now, request);
        ASSERT_EQ(chosen.has_value(), !expected.empty()) << "seed " << seed << " step " << step;
        if (!chosen) continue;
        ASSERT_EQ(std::count(expected.begin(), expected.end(), (*chosen)->id), 1)
            << "seed " << seed << " step " << step << " chose " << (*chosen)->name;
        plain.chosen(now, (*chosen)->id);
      }
    }
  }
}

// A ranking is a series of choices, each without those before it; here over elements that came and
// changed often enough to leave holes in the indexes.
TEST_P(Selection, RanksEveryElementOnceAndTheBestFirst) {
  Random random(7);
  Selector quick(GetParam(), 1);
  PlainSelector plain(GetParam());
  const Instant now{milliseconds(1000)};
  for (int i = 0; i < 300; ++i) {
    const PoolElement element = any_element(random, 60);
    quick.put(element);
    plain.put(element);
  }
  std::vector<PoolElementId> taken;
  for (const PoolElement& element : quick.ranking(now, 100, {.exclude = {}, .zone = "z1"})) {
    const auto expected = plain.candidates(now, {.exclude = taken, .zone = "z1"});
    ASSERT_EQ(std::count(expected.begin(), expected.end(), element.id), 1) << element.name;
    taken.push_back(element.id);
  }
  EXPECT_TRUE(plain.candidates(now, {.exclude = taken, .zone = "z1"}).empty());
  EXPECT_GT(taken.size(), 20U);
}

INSTANTIATE_TEST_SUITE_P(OfEachPolicy, Selection,
                         testing::Values(Policy::round_robin, Policy::weighted_round_robin,
                                         Policy::random, Policy::weighted_random, Policy::priority,
                                         Policy::least_used, Policy::least_used_degradation,
                                         Policy::priority_least_used, Policy::randomized_least_used,
                                         Policy::srv),
                         [](const testing::TestParamInfo<Policy>& each) {
                           std::string name(name_of(each.param));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace rtpool::pool
