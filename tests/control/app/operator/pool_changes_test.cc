// What is told of a pool that changes.
#include "control/app/operator/pool_changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rtpool::control {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using View = pool::PoolUserClient::View;

pool::PoolElement relay(const std::string& name) {
  return {.id = pool::element_id(name), .name = name, .endpoint = name + ":7410", .epoch = 1};
}

View view(std::vector<pool::PoolElement> elements) {
  return {.elements = std::move(elements),
          .registrars_in_contact = 2,
          .registrars = 2,
          .ever_filled = true};
}

std::vector<std::string> events(const View& before, const View& after) {
  std::vector<std::string> told;
  for (const auto& change : changes_between(before, after))
    told.push_back(change.event + (change.element.name.empty() ? "" : " " + change.element.name));
  return told;
}

TEST(PoolChanges, NothingIsToldOfWhatStays) {
  auto loaded = relay("x");
  loaded.load = 5;
  loaded.calls = 3;
  EXPECT_THAT(events(view({relay("x")}), view({loaded})), IsEmpty());
}

TEST(PoolChanges, ComingAndGoing) {
  EXPECT_THAT(events(view({relay("b")}), view({relay("a"), relay("b")})), ElementsAre("joined a"));
  EXPECT_THAT(events(view({relay("a")}), view({})), ElementsAre("left a"));
  auto doubted = relay("a");
  doubted.suspect = true;
  EXPECT_THAT(events(view({relay("a")}), view({doubted})), ElementsAre("suspect a"));
  EXPECT_THAT(events(view({doubted}), view({})), ElementsAre("died a"));
  EXPECT_THAT(events(view({doubted}), view({relay("a")})), ElementsAre("heard a"));
  auto again = relay("a");
  again.epoch = 2;
  again.endpoint = "elsewhere:1";
  EXPECT_THAT(events(view({relay("a")}), view({again})), ElementsAre("restarted a", "moved a"));
}

TEST(PoolChanges, WithARegistrarOutOfContactNobodySaysWhyOneIsGone) {
  View after = view({});
  after.registrars_in_contact = 1;
  EXPECT_THAT(events(view({relay("a")}), after), ElementsAre("contact", "gone a"));
}

TEST(PoolChanges, DrainingFillingAndPanic) {
  auto drained = relay("a");
  drained.drained = true;
  auto full = relay("a");
  full.values.capacity = full.calls = 10;
  EXPECT_THAT(events(view({relay("a")}), view({drained})), ElementsAre("drained a"));
  EXPECT_THAT(events(view({drained}), view({relay("a")})), ElementsAre("undrained a"));
  EXPECT_THAT(events(view({relay("a")}), view({full})), ElementsAre("full a"));
  EXPECT_THAT(events(view({full}), view({relay("a")})), ElementsAre("room a"));
  View panic = view({});
  panic.panic = true;
  EXPECT_THAT(events(view({}), panic), ElementsAre("panic"));
  EXPECT_THAT(events(panic, view({})), ElementsAre("calm"));
}

}  // namespace
}  // namespace rtpool::control
