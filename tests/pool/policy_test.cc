// Selection by RFC 5356's policies, and the rules above them. Distributions are held against their
// theory by chi-square with fixed seeds.
#include "pool/policy.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;

constexpr Instant kNow{milliseconds(1000)};

PoolElement relay(std::string name, std::uint32_t load_percent = 0, std::uint32_t weight = 1) {
  PoolElement element;
  element.id = element_id(name);
  element.name = std::move(name);
  element.endpoint = "127.0.0.1:7410";
  element.epoch = 1;
  element.load = kFullLoad / 100 * load_percent;
  element.values.weight = weight;
  return element;
}

Selector selector(Policy policy, const std::vector<PoolElement>& view, std::uint64_t seed = 1) {
  Selector selector(policy, seed);
  selector.set_view(policy, view);
  return selector;
}

std::string choose(Selector& selector, const SelectRequest& request = {.exclude = {}, .zone = {}},
                   Instant now = kNow) {
  const auto chosen = selector.select(now, request);
  return chosen ? (*chosen)->name
                : std::string(name_of(static_cast<Errc>(chosen.error().code.value())));
}

std::map<std::string, int> choose_many(Selector& selector, int times) {
  std::map<std::string, int> counts;
  for (int i = 0; i < times; ++i) ++counts[choose(selector)];
  return counts;
}

double chi_square(const std::map<std::string, int>& counts,
                  const std::map<std::string, double>& shares, int times) {
  double sum = 0;
  for (const auto& [name, share] : shares) {
    const auto it = counts.find(name);
    const double difference = (it == counts.end() ? 0 : it->second) - share * times;
    sum += difference * difference / (share * times);
  }
  return sum;
}

constexpr double kThreeFreedomsAtOnePercent = 11.345;

TEST(Policy, RoundRobinTakesEachInTurn) {
  auto pool = selector(Policy::round_robin, {relay("a"), relay("b"), relay("c")});
  const auto counts = choose_many(pool, 300);
  for (const auto& [name, count] : counts) EXPECT_EQ(count, 100) << name;
  EXPECT_EQ(counts.size(), 3U);
}

TEST(Policy, WeightedRoundRobinKeepsTheWeightsInEveryCycleAndSpreadsThem) {
  auto pool = selector(Policy::weighted_round_robin,
                       {relay("a", 0, 5), relay("b", 0, 1), relay("c", 0, 1)});
  std::string cycle;
  for (int i = 0; i < 7; ++i) cycle += choose(pool);
  EXPECT_EQ(std::count(cycle.begin(), cycle.end(), 'a'), 5);
  EXPECT_EQ(cycle.find("aaaa"), std::string::npos) << cycle;
}

TEST(Policy, RandomIsUniform) {
  auto pool = selector(Policy::random, {relay("a"), relay("b"), relay("c"), relay("d")}, 42);
  const auto counts = choose_many(pool, 40'000);
  EXPECT_LT(chi_square(counts, {{"a", .25}, {"b", .25}, {"c", .25}, {"d", .25}}, 40'000),
            kThreeFreedomsAtOnePercent);
}

TEST(Policy, WeightedRandomFollowsTheWeights) {
  auto pool =
      selector(Policy::weighted_random,
               {relay("a", 0, 1), relay("b", 0, 2), relay("c", 0, 3), relay("d", 0, 4)}, 42);
  const auto counts = choose_many(pool, 40'000);
  EXPECT_LT(chi_square(counts, {{"a", .1}, {"b", .2}, {"c", .3}, {"d", .4}}, 40'000),
            kThreeFreedomsAtOnePercent);
}

TEST(Policy, RandomizedLeastUsedFollowsTheFreeShare) {
  auto pool = selector(Policy::randomized_least_used,
                       {relay("a", 90), relay("b", 80), relay("c", 70), relay("d", 60)}, 42);
  const auto counts = choose_many(pool, 40'000);
  EXPECT_LT(chi_square(counts, {{"a", .1}, {"b", .2}, {"c", .3}, {"d", .4}}, 40'000),
            kThreeFreedomsAtOnePercent);
}

TEST(Policy, TheSameSeedMakesTheSameChoices) {
  auto one = selector(Policy::random, {relay("a"), relay("b"), relay("c")}, 7);
  auto two = selector(Policy::random, {relay("a"), relay("b"), relay("c")}, 7);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(choose(one), choose(two));
}

TEST(Policy, PriorityTakesTheHighestAndComesBackToIt) {
  auto high = relay("high");
  high.values.priority = 10;
  const auto low = relay("low");
  auto pool = selector(Policy::priority, {high, low});
  EXPECT_EQ(choose(pool), "high");
  pool.remove(high.id);
  EXPECT_EQ(choose(pool), "low");
  pool.put(high);
  EXPECT_EQ(choose(pool), "high");
}

TEST(Policy, LeastUsedTakesTheLowestLoadAndAlternatesAmongEquals) {
  auto pool = selector(Policy::least_used, {relay("a", 50), relay("b", 20), relay("c", 20)});
  const auto counts = choose_many(pool, 100);
  EXPECT_EQ(counts, (std::map<std::string, int>{{"b", 50}, {"c", 50}}));
}

TEST(Policy, DegradationSpreadsABurstBetweenTwoLoadReports) {
  // Of 1000 calls each, b has 50 more than a: after 50 calls at a they take turns.
  auto pool = selector(Policy::least_used_degradation, {relay("a", 10), relay("b", 15)});
  const auto counts = choose_many(pool, 150);
  EXPECT_NEAR(counts.at("a"), 100, 1);
  EXPECT_NEAR(counts.at("b"), 50, 1);
}

TEST(Policy, ALoadReportEndsItsHandOuts) {
  auto a = relay("a", 10);
  auto pool = selector(Policy::least_used_degradation, {a, relay("b", 12)});
  choose_many(pool, 20);
  a.load_sequence = 1;  // the report says that the load is what it was
  pool.put(a);
  for (int i = 0; i < 15; ++i) EXPECT_EQ(choose(pool), "a");
}

TEST(Policy, HandOutsThatNoReportAnswersAreForgottenAfterASecond) {
  auto pool = selector(Policy::least_used_degradation, {relay("a", 10), relay("b", 11)});
  choose_many(pool, 30);
  const Instant later = kNow + milliseconds(1500);
  EXPECT_EQ(choose(pool, {.exclude = {}, .zone = {}}, later), "a");
}

TEST(Policy, PriorityLeastUsedCountsWhatOneMoreCallWouldAdd) {
  auto small = relay("small", 10);
  small.values.capacity = 2;  // one call is half of it
  auto pool = selector(Policy::priority_least_used, {small, relay("big", 30)});
  EXPECT_EQ(choose(pool), "big");
}

TEST(Policy, DrainedAndFullElementsArePassedOver) {
  auto drained = relay("drained");
  drained.drained = true;
  auto full = relay("full");
  full.values.capacity = 10;
  full.calls = 10;
  auto pool = selector(Policy::least_used, {drained, full, relay("free", 99)});
  EXPECT_EQ(choose_many(pool, 10), (std::map<std::string, int>{{"free", 10}}));
}

TEST(Policy, AFullPoolIsToldFromAnEmptyOne) {
  auto full = relay("full");
  full.load = kFullLoad;
  auto pool = selector(Policy::least_used, {full});
  EXPECT_EQ(choose(pool), "all_full");
  auto empty = selector(Policy::least_used, {});
  EXPECT_EQ(choose(empty), "none_available");
}

TEST(Policy, APoolIsFullOnlyIfAllOfItIs) {
  auto full = relay("full");
  full.load = kFullLoad;
  auto drained = relay("drained");
  drained.drained = true;
  auto pool = selector(Policy::least_used, {full, drained, relay("free")});
  const std::vector<PoolElementId> free = {element_id("free")};
  EXPECT_EQ(choose(pool, {.exclude = free, .zone = {}}), "none_available")
      << "the one that was tried has room";
  const std::vector<PoolElementId> tried = {element_id("full")};
  pool.remove(element_id("free"));
  EXPECT_EQ(choose(pool, {.exclude = tried, .zone = {}}), "all_full")
      << "the one that was tried is full like the rest";
  pool.remove(element_id("full"));
  EXPECT_EQ(choose(pool), "none_available") << "drained is not full";
}

TEST(Policy, DampedOnesComeAfterAllOthersButTheDoubtful) {
  auto damped = relay("damped");
  damped.damped = true;
  auto suspect = relay("suspect");
  suspect.suspect = true;
  auto both = relay("both");
  both.damped = both.suspect = true;
  auto pool = selector(Policy::round_robin, {damped, suspect, both, relay("spare", 99, 0)});
  for (const std::string next : {"spare", "damped", "suspect", "both"}) {
    EXPECT_EQ(choose(pool), next);
    EXPECT_EQ(choose(pool), next);
    pool.remove(element_id(next));
  }
}

PoolElement srv(std::string name, std::uint32_t priority, std::uint32_t weight) {
  auto element = relay(std::move(name), 0, weight);
  element.values.priority = priority;
  return element;
}

TEST(Policy, SrvUsesAClassOnlyWhenAllBetterOnesAreGoneDrainedOrFull) {
  auto best = srv("best", 10, 1);
  auto spare = srv("spare", 10, 0);
  auto next = srv("next", 20, 60);
  const auto last = srv("last", 30, 1);
  auto pool = selector(Policy::srv, {last, next, spare, best});
  EXPECT_EQ(choose_many(pool, 50), (std::map<std::string, int>{{"best", 50}}));
  best.drained = true;
  pool.put(best);
  EXPECT_EQ(choose_many(pool, 50), (std::map<std::string, int>{{"spare", 50}}))
      << "weight 0 is the last resort of its class, which is better than the next one";
  spare.load = kFullLoad;
  pool.put(spare);
  EXPECT_EQ(choose_many(pool, 50), (std::map<std::string, int>{{"next", 50}}));
  next.suspect = true;
  pool.put(next);
  EXPECT_EQ(choose(pool), "last");
  const std::vector<PoolElementId> tried = {element_id("last")};
  EXPECT_EQ(choose(pool, {.exclude = tried, .zone = {}}), "next");
  best.drained = false;
  pool.put(best);
  EXPECT_EQ(choose(pool), "best") << "and back at once";
}

TEST(Policy, WeightZeroIsTheLastResortAndNotDisabled) {
  auto pool = selector(Policy::weighted_random, {relay("spare", 0, 0), relay("normal", 0, 1)});
  EXPECT_EQ(choose_many(pool, 50), (std::map<std::string, int>{{"normal", 50}}));
  pool.remove(element_id("normal"));
  EXPECT_EQ(choose(pool), "spare");
}

TEST(Policy, TheOwnZoneComesFirstAndSpillsOver) {
  auto near = relay("near", 80);
  near.zone = "vienna";
  auto far = relay("far", 1);
  far.zone = "graz";
  auto pool = selector(Policy::least_used, {near, far});
  EXPECT_EQ(choose(pool, {.exclude = {}, .zone = "vienna"}), "near");
  near.load = kFullLoad;
  pool.put(near);
  EXPECT_EQ(choose(pool, {.exclude = {}, .zone = "vienna"}), "far");
}

TEST(Policy, SuspectsAndShunnedOnesComeAfterEverythingElse) {
  auto suspect = relay("suspect");
  suspect.suspect = true;
  auto pool = selector(Policy::round_robin, {suspect, relay("shunned"), relay("spare", 0, 0)});
  pool.shun(element_id("shunned"), kNow + milliseconds(1000));
  EXPECT_EQ(choose_many(pool, 9), (std::map<std::string, int>{{"spare", 9}}));
  pool.remove(element_id("spare"));
  EXPECT_EQ(choose_many(pool, 10).size(), 2U) << "better a doubtful one than none";
  EXPECT_EQ(choose(pool, {.exclude = {}, .zone = {}}, kNow + milliseconds(2000)), "shunned");
}

TEST(Policy, AnExcludedElementIsNotOfferedAgain) {
  auto pool = selector(Policy::round_robin, {relay("a"), relay("b")});
  const std::vector<PoolElementId> tried = {element_id("a")};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(choose(pool, {.exclude = tried, .zone = {}}), "b");
  const std::vector<PoolElementId> all = {element_id("a"), element_id("b"), element_id("a")};
  EXPECT_EQ(choose(pool, {.exclude = all, .zone = {}}), "none_available");
}

TEST(Policy, ARankingNamesNoElementTwice) {
  auto pool = selector(Policy::random, {relay("a"), relay("b"), relay("c")}, 3);
  const auto answer = pool.ranking(kNow, 16, {.exclude = {}, .zone = {}});
  ASSERT_EQ(answer.size(), 3U);
  EXPECT_NE(answer[0].name, answer[1].name);
  EXPECT_NE(answer[1].name, answer[2].name);
  EXPECT_NE(answer[0].name, answer[2].name);
}

TEST(Policy, NamesAndNumbersBelongTogether) {
  for (const auto policy :
       {Policy::round_robin, Policy::weighted_round_robin, Policy::random, Policy::weighted_random,
        Policy::priority, Policy::least_used, Policy::least_used_degradation,
        Policy::priority_least_used, Policy::randomized_least_used, Policy::srv}) {
    EXPECT_EQ(*policy_of(name_of(policy)), policy);
  }
  EXPECT_FALSE(policy_of("fastest"));
}

}  // namespace
}  // namespace rtpool::pool
