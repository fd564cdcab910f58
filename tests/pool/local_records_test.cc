// Records of a pool asked of the store by a function call: what is there, what is refused, and what
// becomes of a question whose store is silent.
#include "pool/local_records.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/errc.h"
#include "pool/memory_store.h"

namespace rtpool::pool {
namespace {

using namespace std::chrono_literals;

// A server that hangs: it keeps the questions, until it is told to answer.
class SilentStore final : public Store {
 public:
  void get(const std::string&, GetDone done) override { asked.push_back(std::move(done)); }
  void compare_and_swap(Swap, SwapDone done) override { done(Error(Errc::store_failed, "no")); }
  std::vector<GetDone> asked;
};

Result<StoreEntry> get(Records& records, const std::string& key) {
  auto answer = std::make_shared<std::promise<Result<StoreEntry>>>();
  auto future = answer->get_future();
  records.get(key, 1s, [answer](Result<StoreEntry> entry) { answer->set_value(std::move(entry)); });
  if (future.wait_for(5s) != std::future_status::ready) return Error(Errc::store_failed, "never");
  return future.get();
}

Result<SwapOutcome> swap(Records& records, const std::string& key, std::uint64_t expected,
                         std::optional<std::string> value) {
  std::optional<Result<SwapOutcome>> answer;
  records.swap(key, expected, std::move(value), 1s,
               [&](Result<SwapOutcome> outcome) { answer = std::move(outcome); });
  if (!answer) return Error(Errc::store_failed, "not at once");
  return std::move(*answer);
}

TEST(LocalRecords, a_record_is_what_a_registrar_would_find) {
  MemoryStore store;
  LocalRecords records(store, "media", 1h);
  const auto written = swap(records, "call 1", 0, "one");
  ASSERT_TRUE(written.has_value()) << written.error().message();
  EXPECT_TRUE(written->swapped);
  EXPECT_EQ(get(records, "call 1")->value, "one");
  std::string by_registrar;
  store.get(record_store_key("media", "call 1"),
            [&](const Result<StoreEntry>& entry) { by_registrar = entry->value; });
  EXPECT_EQ(by_registrar, "one");
  const auto lost = swap(records, "call 1", 0, "two");
  ASSERT_TRUE(lost.has_value());
  EXPECT_FALSE(lost->swapped);
  EXPECT_EQ(lost->current.value, "one");
  EXPECT_TRUE(swap(records, "call 1", written->current.revision, std::nullopt)->swapped);
  EXPECT_EQ(get(records, "call 1")->revision, 0U);
}

TEST(LocalRecords, what_is_too_long_is_refused_as_a_registrar_refuses_it) {
  MemoryStore store;
  LocalRecords records(store, "media", 1h);
  EXPECT_EQ(swap(records, "", 0, "x").error().code, make_error_code(Errc::bad_argument));
  const auto key = swap(records, std::string(kMaxRecordKeyBytes + 1, 'k'), 0, "x");
  EXPECT_EQ(key.error().code, make_error_code(Errc::bad_argument));
  EXPECT_NE(key.error().detail.find("1025 bytes; at most 1024"), std::string::npos);
  const auto value = swap(records, "k", 0, std::string(kMaxRecordBytes + 1, 'v'));
  EXPECT_EQ(value.error().code, make_error_code(Errc::bad_argument));
  EXPECT_EQ(store.size(), 0U);
}

TEST(LocalRecords, a_silent_store_is_waited_for_until_the_deadline) {
  SilentStore store;
  LocalRecords records(store, "media", 1h);
  std::promise<Result<StoreEntry>> answer;
  int answers = 0;
  records.get("call 1", 30ms, [&](Result<StoreEntry> entry) {
    ++answers;
    answer.set_value(std::move(entry));
  });
  auto future = answer.get_future();
  ASSERT_EQ(future.wait_for(5s), std::future_status::ready);
  EXPECT_EQ(future.get().error().code, make_error_code(Errc::store_failed));
  ASSERT_EQ(store.asked.size(), 1U);
  store.asked.front()(StoreEntry{.value = "late", .revision = 1});
  EXPECT_EQ(answers, 1) << "an answer after the deadline is nobody's";
}

TEST(LocalRecords, only_so_many_wait_for_a_silent_store) {
  SilentStore store;
  LocalRecords records(store, "media", 1h);
  std::size_t refused = 0, stopped = 0;
  const auto note = [&](const Result<StoreEntry>& entry) {
    ++(entry.error().code == make_error_code(Errc::overloaded) ? refused : stopped);
  };
  for (std::size_t i = 0; i < kMaxRecordsInFlight + 3; ++i) records.get("k", 1h, note);
  EXPECT_EQ(refused, 3U);
  records.stop();
  EXPECT_EQ(stopped, kMaxRecordsInFlight);
  EXPECT_EQ(get(records, "k").error().code, make_error_code(Errc::store_failed));
}

}  // namespace
}  // namespace rtpool::pool
