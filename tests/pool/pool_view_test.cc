// What a controller believes of a pool when several registrars tell it.
#include "pool/pool_view.h"

#include <gtest/gtest.h>

#include <string>

namespace rtpool::pool {
namespace {

PoolElement relay(const std::string& name, std::uint64_t epoch = 1) {
  PoolElement element;
  element.id = element_id(name);
  element.name = name;
  element.epoch = epoch;
  return element;
}

PoolUpdate snapshot(std::vector<PoolElement> elements, bool settled = true,
                    std::uint64_t sequence = 5) {
  PoolUpdate update;
  update.snapshot = true;
  update.settled = settled;
  update.sequence = sequence;
  update.changed = std::move(elements);
  return update;
}

PoolUpdate delta(std::uint64_t sequence, std::vector<PoolElement> changed,
                 std::vector<PoolElementId> removed = {}, bool settled = true) {
  PoolUpdate update;
  update.sequence = sequence;
  update.settled = settled;
  update.changed = std::move(changed);
  update.removed = std::move(removed);
  return update;
}

std::string names(const PoolView& view) {
  std::string text;
  for (const auto& [id, element] : view.elements()) {
    text += (text.empty() ? "" : " ") + element.name + (element.suspect ? "?" : "");
  }
  return text;
}

struct TwoRegistrars : testing::Test {
  PoolView view{2};
  PoolView::Changes changes;
  bool apply(std::size_t registrar, const PoolUpdate& update) {
    changes = {};
    return view.apply(registrar, update, changes);
  }
};

TEST_F(TwoRegistrars, AnElementStaysWhileEitherHasIt) {
  apply(0, snapshot({relay("a")}));
  apply(1, snapshot({relay("a")}));
  apply(0, delta(6, {}, {element_id("a")}));
  EXPECT_EQ(names(view), "a");
  EXPECT_FALSE(changes.membership);
  apply(1, delta(6, {}, {element_id("a")}));
  EXPECT_EQ(names(view), "");
  EXPECT_TRUE(changes.membership);
}

TEST_F(TwoRegistrars, WithoutAnyContactTheLastViewIsKept) {
  apply(0, snapshot({relay("a")}));
  apply(1, snapshot({relay("a")}));
  view.lost_contact(0, changes);
  view.lost_contact(1, changes);
  EXPECT_EQ(view.contacts(), 0U);
  EXPECT_EQ(names(view), "a");
}

TEST_F(TwoRegistrars, ARegistrarThatHasJustStartedTakesNothingAway) {
  apply(0, snapshot({relay("a")}));
  view.lost_contact(0, changes);
  apply(0, snapshot({}, false));
  EXPECT_EQ(names(view), "a");
  apply(0, snapshot({}, true, 6));
  EXPECT_EQ(names(view), "") << "it has settled, and the element is not back";
}

TEST_F(TwoRegistrars, WhatARegistrarSaysIsGoneIsGoneEvenWhileItSettles) {
  apply(0, snapshot({relay("a")}, false));
  apply(0, delta(6, {}, {element_id("a")}, false));
  EXPECT_EQ(names(view), "");
}

TEST_F(TwoRegistrars, AGapAsksForASnapshotAndChangesNothing) {
  apply(0, snapshot({relay("a")}));
  EXPECT_FALSE(apply(0, delta(7, {relay("b")})));
  EXPECT_EQ(names(view), "a");
  EXPECT_FALSE(apply(1, delta(1, {relay("b")}))) << "no snapshot yet";
  PoolUpdate keepalive;
  keepalive.keepalive = true;
  keepalive.sequence = 5;
  EXPECT_TRUE(apply(0, keepalive));
  keepalive.sequence = 6;
  EXPECT_FALSE(apply(0, keepalive)) << "an update was lost before it";
}

TEST_F(TwoRegistrars, SuspectOnlyIfNobodyHearsIt) {
  auto suspect = relay("a");
  suspect.suspect = true;
  apply(0, snapshot({relay("a")}));
  apply(1, snapshot({suspect}));
  EXPECT_EQ(names(view), "a");
  apply(0, delta(6, {suspect}));
  EXPECT_EQ(names(view), "a?");
}

TEST_F(TwoRegistrars, TheHighestEpochCountsAndDrainedIsWhatAnySays) {
  auto old = relay("a", 1);
  auto young = relay("a", 2);
  young.suspect = true;
  apply(0, snapshot({old}));
  apply(1, snapshot({young}));
  EXPECT_EQ(view.elements().begin()->second.epoch, 2U);
  EXPECT_EQ(names(view), "a?");

  auto drained = relay("b");
  drained.drained = true;
  apply(0, delta(6, {drained}));
  apply(1, delta(6, {relay("b")}));
  EXPECT_TRUE(view.elements().at(element_id("b")).drained);
}

}  // namespace
}  // namespace rtpool::pool
