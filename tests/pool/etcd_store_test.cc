// The etcd store against real etcd on loopback: one member and three, killed, frozen, without a
// quorum, gone and back. Times are printed as measured; the bounds asserted are wider.
#include "pool/etcd_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <mutex>
#include <thread>

#include "pool/ledger.h"
#include "tests/pool/store_calls.h"
#include "tests/support/etcd_cluster.h"
#include "tests/support/tcp_proxy.h"

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::EtcdCluster;
using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

bool eventually(milliseconds timeout, const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + timeout;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

// The lines that a store wrote.
class LogBook {
 public:
  Log log() {
    return [this](LogLevel, std::string_view text) {
      const std::scoped_lock lock(mutex_);
      lines_.emplace_back(text);
    };
  }
  [[nodiscard]] int count(const std::string& part) const {
    const std::scoped_lock lock(mutex_);
    return static_cast<int>(std::count_if(
        lines_.begin(), lines_.end(),
        [&](const std::string& line) { return line.find(part) != std::string::npos; }));
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

std::unique_ptr<EtcdStore> open_store(const std::string& url, EtcdStore::Options options = {}) {
  auto parsed = parse_etcd_url(url);
  EXPECT_TRUE(parsed) << parsed.error().message();
  options.url = *parsed;
  auto store = EtcdStore::open(std::move(options));
  EXPECT_TRUE(store) << store.error().message();
  return std::move(*store);
}

std::unique_ptr<EtcdStore> open_ready(const std::string& url, EtcdStore::Options options = {}) {
  auto store = open_store(url, std::move(options));
  EXPECT_TRUE(eventually(seconds(20), [&] { return store->trouble().empty(); }))
      << store->trouble();
  return store;
}

TEST(EtcdStore, SwapsReadsAndRemovesByRevision) {
  const EtcdCluster etcd(1);
  const auto store = open_ready(etcd.url());
  EXPECT_EQ(get(*store, "pool/media")->revision, 0U);
  const std::string value("\0\xff!", 3);
  const auto put = swap(*store, {.key = "pool/media", .expected = 0, .value = value});
  ASSERT_TRUE(put) << put.error().message();
  EXPECT_TRUE(put->swapped);
  EXPECT_EQ(get(*store, "pool/media")->value, value);
  EXPECT_EQ(get(*store, "pool/media")->revision, put->current.revision);

  const auto blind = swap(*store, {.key = "pool/media", .expected = 0, .value = "other"});
  EXPECT_FALSE(blind->swapped);
  EXPECT_EQ(blind->current.value, value);
  EXPECT_EQ(blind->current.revision, put->current.revision);

  const auto changed =
      swap(*store, {.key = "pool/media", .expected = put->current.revision, .value = "other"});
  EXPECT_TRUE(changed->swapped);
  EXPECT_GT(changed->current.revision, put->current.revision);
  EXPECT_FALSE(swap(*store, {.key = "pool/media", .expected = put->current.revision})->swapped);
  EXPECT_TRUE(swap(*store, {.key = "pool/media", .expected = changed->current.revision})->swapped);
  EXPECT_EQ(get(*store, "pool/media")->revision, 0U);
  EXPECT_TRUE(swap(*store, {.key = "pool/media", .expected = 0})->swapped) << "it is not there";
}

TEST(EtcdStore, IsOneForAllThatShareItsPrefix) {
  const EtcdCluster etcd(1);
  const auto one = open_ready(etcd.url());
  const auto two = open_ready(etcd.url("?prefix=/rtpool"));
  const auto other = open_ready(etcd.url("?prefix=/elsewhere/"));
  ASSERT_TRUE(swap(*one, {.key = "pool/media", .expected = 0, .value = "x"})->swapped);
  EXPECT_EQ(get(*two, "pool/media")->value, "x");
  EXPECT_FALSE(swap(*two, {.key = "pool/media", .expected = 0, .value = "y"})->swapped);
  EXPECT_EQ(get(*other, "pool/media")->revision, 0U);
}

TEST(EtcdStore, GivesEachProcessAHigherEpochWhicheverRegistrarItAsks) {
  const EtcdCluster etcd(1);
  const auto one = open_ready(etcd.url());
  const auto two = open_ready(etcd.url());
  const auto claim = [](Store& store, std::uint64_t incarnation, std::uint64_t epoch) {
    EpochClaim wanted;
    wanted.registration.pool = "media";
    wanted.registration.name = "r1";
    wanted.registration.incarnation = incarnation;
    wanted.registration.epoch = epoch;
    wanted.first_epoch = 100;
    auto answer = std::make_shared<std::promise<Result<std::uint64_t>>>();
    claim_epoch(store, wanted, [answer](Result<std::uint64_t> r) { answer->set_value(r); });
    const auto result = answer->get_future().get();
    return result ? std::to_string(*result) : std::string(name_of(result.error()));
  };
  EXPECT_EQ(claim(*one, 1, 0), "100");
  EXPECT_EQ(claim(*two, 1, 0), "100") << "the same process at another registrar";
  EXPECT_EQ(claim(*two, 2, 0), "101");
  EXPECT_EQ(claim(*one, 1, 100), "stale_epoch");
  EXPECT_EQ(claim(*one, 2, 101), "101");
}

TEST(EtcdStore, RecordsLiveForTheirLifetimeAndShareLeases) {
  const EtcdCluster etcd(1);
  const auto store = open_ready(etcd.url(), {.bucket = seconds(2)});
  swap(*store, {.key = "pool/media", .expected = 0, .value = "x"});
  const auto begin = Clock::now();
  for (int i = 0; i < 50; ++i) {
    const auto put = swap(*store, {.key = "record/media/" + std::to_string(i),
                                   .expected = 0,
                                   .value = "call",
                                   .lifetime = milliseconds(1'500)});
    ASSERT_TRUE(put && put->swapped) << i;
  }
  ASSERT_LT(ms_since(begin), 1'500);
  EXPECT_EQ(etcd.metric(0, "etcd_debugging_lease_granted_total"), 1);
  std::this_thread::sleep_for(milliseconds(1'500) - (Clock::now() - begin));
  EXPECT_EQ(get(*store, "record/media/49")->value, "call");
  EXPECT_TRUE(eventually(seconds(10), [&] {
    return get(*store, "record/media/49")->revision == 0 &&
           get(*store, "record/media/0")->revision == 0;
  }));
  std::printf("[ measured ] records of 1.5 s lifetime, buckets of 2 s: gone after %.1f s\n",
              ms_since(begin) / 1000);
  EXPECT_NE(get(*store, "pool/media")->revision, 0U);
  const auto late = swap(
      *store,
      {.key = "record/media/0", .expected = 0, .value = "call", .lifetime = milliseconds(1'500)});
  EXPECT_TRUE(late && late->swapped) << "with a lease of its own time";
}

TEST(EtcdStore, AnAnswerThatWasLostIsFoundOut) {
  const EtcdCluster etcd(1);
  test::TcpProxy proxy(etcd.port(0));
  const auto direct = open_ready(etcd.url());
  const auto store = open_ready("etcd://" + proxy.endpoint() + "," + etcd.endpoint(0));
  const auto losing = [&](Swap change) {
    // Through the proxy first, whichever of the two answered last.
    const auto through = open_ready("etcd://" + proxy.endpoint() + "," + etcd.endpoint(0));
    const auto lost = proxy.lost_bytes();
    proxy.lose_answers(true);
    auto outcome = swap(*through, std::move(change));
    proxy.lose_answers(false);
    EXPECT_GT(proxy.lost_bytes(), lost);
    return outcome;
  };
  const auto put = losing({.key = "element/media/r1", .expected = 0, .value = "1 7"});
  ASSERT_TRUE(put) << put.error().message();
  EXPECT_TRUE(put->swapped);
  EXPECT_EQ(put->current.value, "1 7");
  EXPECT_EQ(put->current.revision, get(*direct, "element/media/r1")->revision);

  const auto changed =
      losing({.key = "element/media/r1", .expected = put->current.revision, .value = "2 7"});
  ASSERT_TRUE(changed && changed->swapped);
  const auto removed = losing({.key = "element/media/r1", .expected = changed->current.revision});
  ASSERT_TRUE(removed);
  EXPECT_TRUE(removed->swapped);
  EXPECT_EQ(get(*direct, "element/media/r1")->revision, 0U);
}

TEST(EtcdStore, AFrozenMemberIsLeftForAnotherAfterOneAttempt) {
  const EtcdCluster etcd(3);
  const auto leader = etcd.wait_leader();
  ASSERT_TRUE(leader);
  const std::size_t frozen = (*leader + 1) % 3;
  const auto store = open_ready("etcd://" + etcd.endpoint(frozen) + "," + etcd.endpoint(*leader));
  etcd.freeze(frozen);
  auto begin = Clock::now();
  const auto put = swap(*store, {.key = "pool/media", .expected = 0, .value = "x"});
  std::printf("[ measured ] swap with a frozen member first: %.1f ms\n", ms_since(begin));
  ASSERT_TRUE(put && put->swapped);
  EXPECT_LT(ms_since(begin), 700);
  begin = Clock::now();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(get(*store, "pool/media"));
  EXPECT_LT(ms_since(begin), 250) << "it stays with the one that answers";
  etcd.thaw(frozen);
}

// Increments one counter from several threads and stores. What the store says of each swap must
// agree with the counter at the end.
struct Counting {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> swapped{0};
  std::atomic<std::uint64_t> lost{0};
  std::atomic<std::uint64_t> failed{0};

  void run(Store& store) {
    StoreEntry known;
    while (!stop) {
      const std::uint64_t next = known.revision == 0 ? 1 : std::stoull(known.value) + 1;
      // Each thread's values differ, as an epoch's incarnation makes them.
      const auto outcome = pool::swap(
          store,
          {.key = "counter",
           .expected = known.revision,
           .value = std::to_string(next) + " " +
                    std::to_string(std::hash<std::thread::id>()(std::this_thread::get_id()))});
      if (!outcome) {
        ++failed;
        std::this_thread::sleep_for(milliseconds(10));
        continue;
      }
      outcome->swapped ? ++swapped : ++lost;
      known = outcome->current;
    }
  }
};

TEST(EtcdStore, TheLeadersDeathLosesNoChangeAndMakesNoneTwice) {
  EtcdCluster etcd(3);
  ASSERT_TRUE(etcd.wait_leader());
  const auto one = open_ready(etcd.url());
  const auto two = open_ready(etcd.url());
  Counting counting;
  std::vector<std::thread> threads;
  for (Store* store : {one.get(), two.get(), one.get(), two.get()}) {
    threads.emplace_back([&counting, store] { counting.run(*store); });
  }
  double worst = 0;
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(milliseconds(300));
    const auto leader = etcd.wait_leader();
    ASSERT_TRUE(leader);
    const auto before = counting.swapped.load();
    const auto begin = Clock::now();
    etcd.kill(*leader);
    std::this_thread::sleep_for(milliseconds(30));
    const auto after = counting.swapped.load();
    ASSERT_TRUE(eventually(seconds(20), [&] { return counting.swapped > after + 5; }));
    worst = std::max(worst, ms_since(begin));
    EXPECT_GE(after, before);
    etcd.start(*leader);
    ASSERT_TRUE(etcd.wait_leader());
    std::this_thread::sleep_for(milliseconds(500));
  }
  counting.stop = true;
  for (auto& thread : threads) thread.join();
  const auto last = get(*one, "counter");
  ASSERT_TRUE(last);
  const std::uint64_t value = std::stoull(last->value);
  std::printf(
      "[ measured ] leader killed 3 times under load: %llu swapped, %llu lost races, %llu failed; "
      "swaps go on after at most %.0f ms\n",
      static_cast<unsigned long long>(counting.swapped),
      static_cast<unsigned long long>(counting.lost),
      static_cast<unsigned long long>(counting.failed), worst);
  // One that failed may have been done or not; one that is called done was done once.
  EXPECT_GE(value, counting.swapped);
  EXPECT_LE(value, counting.swapped + counting.failed);
}

TEST(EtcdStore, WithoutAQuorumNothingIsAnsweredAndTheReasonIsTold) {
  EtcdCluster etcd(3);
  ASSERT_TRUE(etcd.wait_leader());
  const auto store = open_ready(etcd.url());
  ASSERT_TRUE(swap(*store, {.key = "pool/media", .expected = 0, .value = "x"})->swapped);
  etcd.kill(0);
  etcd.kill(1);
  const auto begin = Clock::now();
  const auto answer = get(*store, "pool/media");
  ASSERT_FALSE(answer) << "what one member remembers may be old";
  EXPECT_EQ(name_of(answer.error()), "store_failed");
  EXPECT_LT(ms_since(begin), 1'500);
  EXPECT_TRUE(eventually(seconds(5), [&] {
    return store->trouble().find(etcd.endpoint(2) + ": up, but its cluster has no leader") !=
           std::string::npos;
  })) << store->trouble();
  etcd.start(0);
  ASSERT_TRUE(eventually(seconds(10), [&] { return store->trouble().empty(); }));
  EXPECT_EQ(get(*store, "pool/media")->value, "x");
}

TEST(EtcdStore, WhileAllOfEtcdIsGoneAnswersComeAtOnceAndItIsFoundAgain) {
  EtcdCluster etcd(3);
  ASSERT_TRUE(etcd.wait_leader());
  LogBook book;
  const auto store = open_ready(etcd.url(), {.log = book.log()});
  ASSERT_TRUE(swap(*store, {.key = "pool/media", .expected = 0, .value = "x"})->swapped);
  for (std::size_t i = 0; i < 3; ++i) etcd.kill(i);
  (void)get(*store, "pool/media");
  ASSERT_TRUE(eventually(seconds(3), [&] { return !store->trouble().empty(); }));

  std::vector<double> times;
  const auto gone = Clock::now();
  while (ms_since(gone) < 2'000) {
    const auto begin = Clock::now();
    const auto answer = get(*store, "pool/media");
    times.push_back(ms_since(begin));
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().detail.find(etcd.endpoint(0)), std::string::npos);
    std::this_thread::sleep_for(milliseconds(2));
  }
  std::sort(times.begin(), times.end());
  std::printf("[ measured ] %zu operations while etcd is gone: p50 %.3f ms, p99 %.3f ms\n",
              times.size(), times[times.size() / 2], times[times.size() * 99 / 100]);
  EXPECT_LT(times[times.size() / 2], 5);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NE(store->trouble().find(etcd.endpoint(i)), std::string::npos) << store->trouble();
  }

  for (std::size_t i = 0; i < 3; ++i) etcd.start(i);
  ASSERT_TRUE(etcd.wait_leader());
  const auto back = Clock::now();
  ASSERT_TRUE(eventually(seconds(10), [&] { return store->trouble().empty(); }));
  std::printf("[ measured ] etcd has a leader again, the store answers after %.0f ms\n",
              ms_since(back));
  EXPECT_EQ(get(*store, "pool/media")->value, "x");
  EXPECT_EQ(book.count("the store fails"), 1);
  EXPECT_EQ(book.count("the store answers"), 2) << "at start, and now";
}

TEST(EtcdStore, StartsWithoutEtcdAndFindsItLater) {
  EtcdCluster etcd(1);
  etcd.kill(0);
  LogBook book;
  const auto store = open_store(etcd.url(), {.log = book.log()});
  EXPECT_FALSE(store->trouble().empty()) << "not reached yet";
  ASSERT_TRUE(eventually(seconds(5), [&] { return book.count("the store fails") == 1; }));
  EXPECT_FALSE(get(*store, "pool/media"));
  etcd.start(0);
  ASSERT_TRUE(eventually(seconds(20), [&] { return store->trouble().empty(); }));
  EXPECT_TRUE(get(*store, "pool/media"));
  EXPECT_EQ(book.count("the store answers"), 1);
}

TEST(EtcdStore, AMemberOfAnotherClusterIsNotBelieved) {
  EtcdCluster mine(1);
  const EtcdCluster other(1);
  const auto stranger = open_ready(other.url());
  ASSERT_TRUE(swap(*stranger, {.key = "pool/media", .expected = 0, .value = "fork"})->swapped);
  const auto store = open_ready("etcd://" + mine.endpoint(0) + "," + other.endpoint(0));
  mine.kill(0);
  EXPECT_FALSE(get(*store, "pool/media"));
  EXPECT_FALSE(swap(*store, {.key = "pool/other", .expected = 0, .value = "fork"}));
  EXPECT_NE(store->trouble().find(other.endpoint(0) + ": a member of another cluster"),
            std::string::npos)
      << store->trouble();
  EXPECT_EQ(get(*stranger, "pool/other")->revision, 0U);
}

TEST(EtcdStore, MoreThanTheLimitInFlightIsOverload) {
  const EtcdCluster etcd(1);
  auto store = open_ready(etcd.url(), {.max_in_flight = 10});
  std::atomic<int> answered{0};
  std::atomic<int> overloaded{0};
  for (int i = 0; i < 200; ++i) {
    store->get("pool/media", [&](const Result<StoreEntry>& entry) {
      if (!entry && name_of(entry.error()) == "overloaded") ++overloaded;
      ++answered;
    });
  }
  store.reset();
  EXPECT_EQ(answered, 200) << "each once, those that were under way too";
  EXPECT_GT(overloaded, 0);
  EXPECT_LT(overloaded, 200);
}

}  // namespace
}  // namespace rtpool::pool
