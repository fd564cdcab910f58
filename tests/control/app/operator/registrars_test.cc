// What several registrars say, put side by side.
#include "control/app/operator/registrars.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "control/app/operator/pool_table.h"
#include "pool/errc.h"

namespace rtpool::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

pool::ListedElement listed(const std::string& name, std::uint64_t epoch = 7) {
  pool::ListedElement one;
  one.element = {.id = pool::element_id(name),
                 .name = name,
                 .endpoint = name + ".example:7410",
                 .epoch = epoch,
                 .values = {.capacity = 100},
                 .calls = 3};
  one.last_heard_ago = 20ms;
  return one;
}

RegistrarAnswer answer(const std::string& registrar, std::vector<pool::ListedElement> elements,
                       const std::string& pool = "media") {
  return {registrar,
          std::vector<pool::ListedPool>{{.pool = pool, .elements = std::move(elements)}}};
}

RegistrarAnswer silence(const std::string& registrar) {
  return {registrar, Error(pool::Errc::stopped, "no answer")};
}

TEST(Merge, RegistrarsThatSayTheSameAgree) {
  const Fleet fleet =
      merge({answer("a:1", {listed("x"), listed("y")}), answer("b:1", {listed("y"), listed("x")})});
  ASSERT_EQ(fleet.pools.size(), 1U);
  const SeenPool& pool = fleet.pools[0];
  EXPECT_THAT(pool.differences, IsEmpty());
  ASSERT_EQ(pool.elements.size(), 2U);
  EXPECT_EQ(pool.elements[0].element.name, "x");
  EXPECT_EQ(agreement(fleet, pool), "2 of 2 agree");
  EXPECT_EQ(totals_of(pool.elements).calls, 6U);
  EXPECT_EQ(totals_of(pool.elements).capacity, 200U);
}

TEST(Merge, WhatDiffersIsSaidWithItsPlaces) {
  auto drained = listed("x");
  drained.element.drained = true;
  const Fleet fleet =
      merge({answer("a:1", {drained, listed("y")}), answer("b:1", {listed("x")}), silence("c:1")});
  const SeenPool& pool = fleet.pools.at(0);
  EXPECT_THAT(pool.differences,
              ElementsAre("x is drained (a:1), up (b:1)", "y is not known at b:1"));
  EXPECT_TRUE(pool.elements[0].element.drained) << "drained if any says so";
  EXPECT_EQ(agreement(fleet, pool), "differ");
  EXPECT_EQ(fleet.answering(), 2U);
  EXPECT_EQ(fleet.trouble(), "c:1: no answer");
}

TEST(Merge, TheHighestEpochCountsAndSuspicionTakesAll) {
  auto old = listed("x", 7);
  old.element.suspect = true;
  const Fleet restarted = merge({answer("a:1", {old}), answer("b:1", {listed("x", 8)})});
  const SeenElement& seen = restarted.pools.at(0).elements.at(0);
  EXPECT_EQ(seen.element.epoch, 8U);
  EXPECT_FALSE(seen.element.suspect);
  EXPECT_THAT(restarted.pools[0].differences[0], HasSubstr("of epoch 7 (a:1), of epoch 8 (b:1)"));
  const Fleet doubted = merge({answer("a:1", {old}), answer("b:1", {listed("x", 7)})});
  EXPECT_FALSE(doubted.pools.at(0).elements.at(0).element.suspect) << "one still hears it";
  const Fleet silent = merge({answer("a:1", {old}), answer("b:1", {old})});
  EXPECT_TRUE(silent.pools.at(0).elements.at(0).element.suspect);
}

TEST(Merge, NobodyAnsweringIsAFleetWithoutPools) {
  const Fleet fleet = merge({silence("a:1"), silence("b:1")});
  EXPECT_THAT(fleet.pools, IsEmpty());
  EXPECT_EQ(fleet.answering(), 0U);
  EXPECT_EQ(fleet.find("media"), nullptr);
}

TEST(PoolTables, HaveALineForEachAndStableKeys) {
  auto full = listed("y");
  full.element.calls = 100;
  const Fleet fleet = merge({answer("a:1", {listed("x"), full})});
  const std::string list = pool_list_text(fleet, false);
  EXPECT_EQ(std::count(list.begin(), list.end(), '\n'), 2);
  EXPECT_THAT(list, HasSubstr("1 of 1 agree"));
  const auto json = pool_list_json(fleet);
  EXPECT_EQ(json["pools"][0]["states"]["up"], 1);
  EXPECT_EQ(json["pools"][0]["states"]["full"], 1);
  EXPECT_EQ(json["registrars"][0]["answers"], true);
  const auto show = pool_show_json(fleet, fleet.pools[0]);
  EXPECT_EQ(show["relays"][1]["state"], "full");
  EXPECT_EQ(show["relays"][0]["last_heard_ms"], 20);
  EXPECT_THAT(pool_show_text(fleet, fleet.pools[0], false),
              HasSubstr("y      full   0.0%    100       100"));
}

TEST(InParallel, RunsEachOnce) {
  std::vector<std::atomic<int>> runs(100);
  in_parallel(runs.size(), 7, [&](std::size_t i) { ++runs[i]; });
  for (const auto& count : runs) EXPECT_EQ(count, 1);
  in_parallel(0, 7, [](std::size_t) { FAIL(); });
}

}  // namespace
}  // namespace rtpool::control
