// The store of one registrar: compare-and-swap, lifetimes and limits.
#include "pool/memory_store.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "pool/errc.h"
#include "tests/pool/store_calls.h"

namespace rtpool::pool {
namespace {

using std::chrono::seconds;

std::uint64_t revision_of(MemoryStore& store, const std::string& key) {
  return get(store, key)->revision;
}

TEST(MemoryStore, SwapsOnlyWhatStillHasTheExpectedRevision) {
  MemoryStore store;
  const auto first = swap(store, {.key = "record/media/a", .expected = 0, .value = "one"});
  ASSERT_TRUE(first && first->swapped);
  EXPECT_GT(first->current.revision, 0U);

  const auto blind = swap(store, {.key = "record/media/a", .expected = 0, .value = "two"});
  EXPECT_FALSE(blind->swapped);
  EXPECT_EQ(blind->current.value, "one");
  EXPECT_EQ(blind->current.revision, first->current.revision);

  const auto second =
      swap(store, {.key = "record/media/a", .expected = first->current.revision, .value = "two"});
  EXPECT_TRUE(second->swapped);
  EXPECT_GT(second->current.revision, first->current.revision);
  EXPECT_EQ(get(store, "record/media/a")->value, "two");
}

TEST(MemoryStore, RemovesOnlyWhatStillHasTheExpectedRevision) {
  MemoryStore store;
  const auto put = swap(store, {.key = "record/media/a", .expected = 0, .value = "one"});
  EXPECT_FALSE(swap(store, {.key = "record/media/a", .expected = 77})->swapped);
  EXPECT_TRUE(swap(store, {.key = "record/media/a", .expected = put->current.revision})->swapped);
  EXPECT_EQ(revision_of(store, "record/media/a"), 0U);
  EXPECT_TRUE(swap(store, {.key = "record/media/a", .expected = 0})->swapped) << "it is not there";
  EXPECT_EQ(store.size(), 0U);
  EXPECT_EQ(store.record_bytes(), 0U);
}

TEST(MemoryStore, ARecordLivesForItsLifetimeAfterTheLastChangeAndADefinitionForEver) {
  Instant now{};
  MemoryStore store({.now = [&] { return now; }});
  const auto put = swap(
      store, {.key = "record/media/a", .expected = 0, .value = "one", .lifetime = seconds(10)});
  swap(store, {.key = "pool/media", .expected = 0, .value = "random"});
  swap(store, {.key = "record/media/b", .expected = 0, .value = "for ever"});

  now += seconds(9);
  const auto renewed = swap(store, {.key = "record/media/a",
                                    .expected = put->current.revision,
                                    .value = "two",
                                    .lifetime = seconds(10)});
  ASSERT_TRUE(renewed->swapped);
  now += seconds(9);
  EXPECT_EQ(get(store, "record/media/a")->value, "two");
  now += seconds(1);
  EXPECT_EQ(revision_of(store, "record/media/a"), 0U);
  EXPECT_NE(revision_of(store, "pool/media"), 0U);
  EXPECT_NE(revision_of(store, "record/media/b"), 0U);
  EXPECT_EQ(store.record_bytes(), std::string("record/media/bfor ever").size());
}

TEST(MemoryStore, RefusesMoreRecordsThanItMayHoldAndKeepsEveryEpoch) {
  Instant now{};
  MemoryStore store({.max_entries = 2, .max_records = 2, .now = [&] { return now; }});
  swap(store, {.key = "element/media/r1", .expected = 0, .value = "7 1"});
  swap(store, {.key = "record/media/a", .expected = 0, .value = "x", .lifetime = seconds(1)});
  const auto kept = swap(store, {.key = "record/media/b", .expected = 0, .value = "x"});

  const auto refused = swap(store, {.key = "record/media/c", .expected = 0, .value = "x"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(name_of(refused.error()), "store_full");
  EXPECT_TRUE(
      swap(store, {.key = "record/media/b", .expected = kept->current.revision, .value = "changed"})
          ->swapped)
      << "a change takes no more room";
  EXPECT_NE(revision_of(store, "element/media/r1"), 0U);

  now += seconds(1);
  EXPECT_TRUE(swap(store, {.key = "record/media/c", .expected = 0, .value = "x"})->swapped)
      << "a record that has expired makes room";
}

TEST(MemoryStore, RefusesRecordsBeyondItsBytesAndKeepsTheOldValue) {
  MemoryStore store({.max_record_bytes = 32});
  const auto put = swap(store, {.key = "record/m/a", .expected = 0, .value = std::string(20, 'x')});
  ASSERT_TRUE(put);
  EXPECT_FALSE(swap(store, {.key = "record/m/b", .expected = 0, .value = ""}));
  EXPECT_FALSE(swap(
      store,
      {.key = "record/m/a", .expected = put->current.revision, .value = std::string(23, 'y')}));
  EXPECT_EQ(get(store, "record/m/a")->value, std::string(20, 'x'));
  EXPECT_EQ(store.record_bytes(), 30U);
  EXPECT_TRUE(swap(store, {.key = "pool/m", .expected = 0, .value = std::string(100, 'd')}))
      << "definitions have a limit of their own";
}

TEST(MemoryStore, ForgetsTheDefinitionWrittenLongestAgoWhenFull) {
  MemoryStore store({.max_entries = 2});
  for (const char* key : {"a", "b", "c"}) swap(store, {.key = key, .expected = 0, .value = "x"});
  EXPECT_EQ(store.size(), 2U);
  EXPECT_EQ(revision_of(store, "a"), 0U);
}

}  // namespace
}  // namespace rtpool::pool
