// Each policy's distribution against its theory: Pearson's chi-square over 40,000 choices with a
// fixed seed, and the probability p of a deviation at least as great if the theory holds. Where a
// policy follows the load, the theory is stated with the test.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "pool/policy.h"

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;

constexpr Instant kNow{milliseconds(1000)};
constexpr int kChoices = 40'000;
constexpr std::uint64_t kSeed = 20'260'101;
using Counts = std::map<std::string, double>;

// The upper regularised incomplete gamma function Q(a, x), by its series or its continued fraction
// (Abramowitz and Stegun, 6.5.29 and 6.5.31).
double upper_gamma(double a, double x) {
  if (x <= 0) return 1;
  const double front = std::exp(-x + a * std::log(x) - std::lgamma(a));
  if (x < a + 1) {
    double term = 1 / a;
    double sum = term;
    for (int n = 1; n < 1'000 && term > sum * 1e-15; ++n) sum += term *= x / (a + n);
    return 1 - sum * front;
  }
  double b = x + 1 - a;
  double c = 1e300;
  double d = 1 / b;
  double h = d;
  for (int n = 1; n < 1'000; ++n) {
    const double an = -n * (n - a);
    b += 2;
    d = 1 / (an * d + b);
    c = b + an / c;
    h *= d * c;
    if (std::abs(d * c - 1) < 1e-15) break;
  }
  return front * h;
}

double probability(double chi_square, std::size_t degrees) {
  return upper_gamma(static_cast<double>(degrees) / 2, chi_square / 2);
}

TEST(ChiSquare, ProbabilitiesAreThoseOfTheTables) {
  EXPECT_NEAR(probability(11.345, 3), 0.01, 1e-5);
  EXPECT_NEAR(probability(0.115, 3), 0.99, 1e-4);
  EXPECT_NEAR(probability(3.841, 1), 0.05, 1e-4);
  EXPECT_NEAR(probability(23.209, 10), 0.01, 1e-5);
}

PoolElement relay(const std::string& name, double load = 0, std::uint32_t weight = 1,
                  std::uint32_t priority = 0) {
  PoolElement element;
  element.id = element_id(name);
  element.name = name;
  element.epoch = 1;
  element.load = static_cast<std::uint32_t>(load * kFullLoad);
  element.values.weight = weight;
  element.values.priority = priority;
  return element;
}

// Element i has expected[i] of the choices, in any unit; those of 0 must never be chosen.
void expect_shares(Policy policy, const Counts& counts, const Counts& expected) {
  double all = 0;
  for (const auto& [name, share] : expected) all += share;
  double chi_square = 0;
  std::size_t cells = 0;
  double total = 0;
  for (const auto& [name, count] : counts) {
    total += count;
    ASSERT_TRUE(expected.contains(name) && expected.at(name) > 0) << name << " was chosen";
  }
  for (const auto& [name, share] : expected) {
    if (share == 0) continue;
    const double mean = total * share / all;
    const double count = counts.contains(name) ? counts.at(name) : 0;
    chi_square += (count - mean) * (count - mean) / mean;
    ++cells;
  }
  const double p = cells < 2 ? 1 : probability(chi_square, cells - 1);
  std::printf("  %-24s chi-square %8.4f  p %.4f\n", std::string(name_of(policy)).c_str(),
              chi_square, p);
  testing::Test::RecordProperty("p", std::to_string(p));
  EXPECT_GT(p, 0.01);
}

Counts draw(Policy policy, const std::vector<PoolElement>& view, int choices = kChoices) {
  Selector selector(policy, kSeed);
  selector.set_view(policy, view);
  Counts counts;
  for (int i = 0; i < choices; ++i) {
    const auto chosen = selector.select(kNow, {.exclude = {}, .zone = {}});
    ++counts[chosen ? (*chosen)->name : "none"];
  }
  return counts;
}

TEST(Distribution, RoundRobinGivesEachTheSame) {
  expect_shares(Policy::round_robin,
                draw(Policy::round_robin, {relay("a", 0.9), relay("b"), relay("c"), relay("d")}),
                {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}});
}

TEST(Distribution, WeightedRoundRobinGivesTheWeights) {
  expect_shares(Policy::weighted_round_robin,
                draw(Policy::weighted_round_robin,
                     {relay("a", 0, 1), relay("b", 0, 7), relay("c", 0, 19), relay("d", 0, 1000)}),
                {{"a", 1}, {"b", 7}, {"c", 19}, {"d", 1000}});
}

TEST(Distribution, RandomIsUniform) {
  std::vector<PoolElement> view;
  Counts expected;
  for (int i = 0; i < 11; ++i) {
    view.push_back(relay("r" + std::to_string(i), i / 20.0, static_cast<std::uint32_t>(1 + i)));
    expected["r" + std::to_string(i)] = 1;
  }
  expect_shares(Policy::random, draw(Policy::random, view), expected);
}

TEST(Distribution, WeightedRandomFollowsTheWeightsAndLeavesZeroOut) {
  expect_shares(
      Policy::weighted_random,
      draw(Policy::weighted_random, {relay("a", 0, 1), relay("b", 0, 2), relay("c", 0, 3),
                                     relay("d", 0, 4), relay("e", 0, 90), relay("spare", 0, 0)}),
      {{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}, {"e", 90}, {"spare", 0}});
}

// All of weight 0: the last resort, evenly.
TEST(Distribution, WeightedRandomAmongSparesIsUniform) {
  expect_shares(
      Policy::weighted_random,
      draw(Policy::weighted_random, {relay("a", 0, 0), relay("b", 0, 0), relay("c", 0, 0)}),
      {{"a", 1}, {"b", 1}, {"c", 1}});
}

TEST(Distribution, PriorityGivesAllToTheHighestInTurn) {
  expect_shares(
      Policy::priority,
      draw(Policy::priority, {relay("a", 0, 1, 5), relay("b", 0, 9, 5), relay("low", 0, 9, 4)}),
      {{"a", 1}, {"b", 1}, {"low", 0}});
}

// The lowest priority's class alone, by weight, as RFC 2782 draws it.
TEST(Distribution, SrvDrawsByWeightInTheBestClass) {
  expect_shares(Policy::srv,
                draw(Policy::srv, {relay("a", 0, 10, 1), relay("b", 0, 20, 1), relay("c", 0, 70, 1),
                                   relay("spare", 0, 0, 1), relay("next", 0, 1000, 2)}),
                {{"a", 10}, {"b", 20}, {"c", 70}, {"spare", 0}, {"next", 0}});
}

// RFC 5356: the weight is what is free, maximum minus load.
TEST(Distribution, RandomizedLeastUsedFollowsWhatIsFree) {
  expect_shares(Policy::randomized_least_used,
                draw(Policy::randomized_least_used,
                     {relay("a", 0.99), relay("b", 0.9), relay("c", 0.5), relay("d", 0)}),
                {{"a", 1}, {"b", 10}, {"c", 50}, {"d", 100}});
}

// While no load is reported, all go to the least loaded, in turn among equals.
TEST(Distribution, LeastUsedGivesAllToTheLeastLoadedInTurn) {
  expect_shares(Policy::least_used,
                draw(Policy::least_used,
                     {relay("a", 0.2), relay("b", 0.2), relay("c", 0.2), relay("d", 0.3)}),
                {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 0}});
}

// What levels out is load + added * calls: element i gets (level - load_i) / added_i calls, with
// the level that makes these sum up to all calls. As water finds its level.
Counts levelled(const std::vector<PoolElement>& view, const std::map<std::string, double>& added,
                double calls) {
  double low = 0;
  double high = 1e15;
  Counts expected;
  for (int round = 0; round < 200; ++round) {
    const double level = (low + high) / 2;
    double sum = 0;
    for (const PoolElement& element : view) {
      const double share = std::max(0.0, (level - element.load) / added.at(element.name));
      expected[element.name] = share;
      sum += share;
    }
    (sum > calls ? high : low) = level;
  }
  return expected;
}

// Calls are reported as load at once: least used levels the loads.
TEST(Distribution, LeastUsedLevelsTheLoadsThatAreReported) {
  const std::map<std::string, double> added = {{"a", 100'000}, {"b", 50'000}, {"c", 25'000}};
  std::vector<PoolElement> view = {relay("a"), relay("b", 0.05), relay("c", 0.1)};
  const Counts expected = levelled(view, added, kChoices);
  Selector selector(Policy::least_used, kSeed);
  selector.set_view(Policy::least_used, view);
  Counts counts;
  for (int i = 0; i < kChoices; ++i) {
    PoolElement element = **selector.select(kNow, {.exclude = {}, .zone = {}});
    ++counts[element.name];
    element.load += static_cast<std::uint32_t>(added.at(element.name));
    ++element.load_sequence;
    selector.put(element);
  }
  expect_shares(Policy::least_used, counts, expected);
}

// The same without any report: each hand-out counts as its degradation until the next one.
TEST(Distribution, DegradationLevelsWhatWasHandedOutSinceTheReport) {
  const std::map<std::string, double> added = {{"a", 100'000}, {"b", 50'000}, {"c", 25'000}};
  std::vector<PoolElement> view = {relay("a"), relay("b", 0.05), relay("c", 0.1)};
  for (PoolElement& element : view) {
    element.values.load_degradation = static_cast<std::uint32_t>(added.at(element.name));
  }
  expect_shares(Policy::least_used_degradation, draw(Policy::least_used_degradation, view),
                levelled(view, added, kChoices));
}

// Priority least used takes the lowest load after one more call; with loads reported at once the
// levels are of load + degradation.
TEST(Distribution, PriorityLeastUsedLevelsTheLoadAfterOneMoreCall) {
  const std::map<std::string, double> added = {{"a", 100'000}, {"b", 50'000}, {"c", 25'000}};
  std::vector<PoolElement> view = {relay("a"), relay("b", 0.05), relay("c", 0.1)};
  std::vector<PoolElement> raised = view;
  Selector selector(Policy::priority_least_used, kSeed);
  for (std::size_t i = 0; i < view.size(); ++i) {
    view[i].values.load_degradation = static_cast<std::uint32_t>(added.at(view[i].name));
    raised[i].load += view[i].values.load_degradation;
  }
  selector.set_view(Policy::priority_least_used, view);
  Counts counts;
  for (int i = 0; i < kChoices; ++i) {
    PoolElement element = **selector.select(kNow, {.exclude = {}, .zone = {}});
    ++counts[element.name];
    element.load += element.values.load_degradation;
    ++element.load_sequence;
    selector.put(element);
  }
  expect_shares(Policy::priority_least_used, counts, levelled(raised, added, kChoices));
}

TEST(Distribution, ABurstBetweenTwoReportsDiffersByOneCallAtMost) {
  for (const int relays : {2, 3, 10, 100}) {
    for (const int burst : {1, 7, 99, 1000}) {
      std::vector<PoolElement> view;
      for (int i = 0; i < relays; ++i) view.push_back(relay("r" + std::to_string(i), 0.5));
      const Counts counts = draw(Policy::least_used_degradation, view, burst);
      double most = 0;
      double least = counts.size() < view.size() ? 0 : burst;
      for (const auto& [name, count] : counts) {
        most = std::max(most, count);
        least = std::min(least, count);
      }
      EXPECT_LE(most - least, 1) << burst << " calls over " << relays << " relays";
    }
  }
}

TEST(Distribution, TheBestDiesTheNextClassServesAndItsReturnIsFollowedAtOnce) {
  for (const Policy policy : {Policy::priority, Policy::srv}) {
    const std::uint32_t best = policy == Policy::srv ? 1 : 2;
    Selector selector(policy, kSeed);
    const auto primary = relay("primary", 0, 1, best);
    selector.set_view(policy, std::vector{primary, relay("standby", 0, 1, 3 - best)});
    const auto chosen = [&] { return (*selector.select(kNow, {.exclude = {}, .zone = {}}))->name; };
    EXPECT_EQ(chosen(), "primary");
    selector.remove(primary.id);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(chosen(), "standby");
    selector.put(primary);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(chosen(), "primary") << "failback";
  }
}

}  // namespace
}  // namespace rtpool::pool
