// Records through registrars over real gRPC on loopback: one, several, dead and frozen ones. The
// program runs itself again as a registrar of its own process where one is frozen (see main).
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <future>
#include <set>
#include <thread>

#include "pool/errc.h"
#include "pool/memory_store.h"
#include "pool/record_client.h"
#include "pool/registrar_service.h"
#include "tests/pool/store_calls.h"

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr Duration kDeadline = milliseconds(900);

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Several registrars that share what is in it, as they share an etcd. `lose` makes it do the next
// swaps and fail all the same, as a server does that dies before it answers.
class SharedStore final : public Store {
 public:
  explicit SharedStore(std::shared_ptr<MemoryStore> inner) : inner_(std::move(inner)) {}
  void get(const std::string& key, GetDone done) override { inner_->get(key, std::move(done)); }
  void compare_and_swap(Swap change, SwapDone done) override {
    if (lose.fetch_sub(1) <= 0) return inner_->compare_and_swap(std::move(change), std::move(done));
    inner_->compare_and_swap(std::move(change), [](const Result<SwapOutcome>&) {});
    done(Error(Errc::store_failed, "lost"));
  }
  std::atomic<int> lose{0};

 private:
  std::shared_ptr<MemoryStore> inner_;
};

struct Server {
  std::unique_ptr<RegistrarServer> registrar;
  SharedStore* store = nullptr;
};

Server start_registrar(const std::shared_ptr<MemoryStore>& shared,
                       const std::string& listen = "127.0.0.1:0") {
  Server server;
  RegistrarServer::Options options;
  options.listen = listen;
  auto store = std::make_unique<SharedStore>(shared);
  server.store = store.get();
  options.store = std::move(store);
  auto started = RegistrarServer::start(std::move(options));
  EXPECT_TRUE(started) << started.error().message();
  server.registrar = std::move(*started);
  return server;
}

std::unique_ptr<RecordClient> start_client(std::vector<std::string> registrars) {
  RecordClient::Options options;
  options.registrars = std::move(registrars);
  options.pool = "media";
  auto client = RecordClient::start(std::move(options));
  EXPECT_TRUE(client) << client.error().message();
  return std::move(*client);
}

Result<StoreEntry> get(RecordClient& client, const std::string& key,
                       Duration deadline = kDeadline) {
  auto answer = std::make_shared<std::promise<Result<StoreEntry>>>();
  client.get(key, deadline, [answer](Result<StoreEntry> e) { answer->set_value(std::move(e)); });
  return answer->get_future().get();
}

Result<SwapOutcome> swap(RecordClient& client, const std::string& key, std::uint64_t expected,
                         std::optional<std::string> value, Duration deadline = kDeadline) {
  auto answer = std::make_shared<std::promise<Result<SwapOutcome>>>();
  client.swap(key, expected, std::move(value), deadline,
              [answer](Result<SwapOutcome> o) { answer->set_value(std::move(o)); });
  return answer->get_future().get();
}

// A registrar in a process of its own, on a port that is free now.
class RegistrarProcess {
 public:
  RegistrarProcess() {
    endpoint_ = start_registrar(std::make_shared<MemoryStore>()).registrar->endpoint();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::execl("/proc/self/exe", "pool_record_test", "--registrar", endpoint_.c_str(),
              static_cast<char*>(nullptr));
      ::_exit(127);
    }
  }
  ~RegistrarProcess() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  RegistrarProcess(const RegistrarProcess&) = delete;
  RegistrarProcess& operator=(const RegistrarProcess&) = delete;
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  // Returns once all of its threads stand still.
  void freeze() const {
    ::kill(pid_, SIGSTOP);
    ::waitpid(pid_, nullptr, WUNTRACED);
  }

 private:
  std::string endpoint_;
  pid_t pid_ = -1;
};

TEST(Records, AreWrittenReadChangedAndRemovedThroughARegistrar) {
  const auto server = start_registrar(std::make_shared<MemoryStore>());
  const auto client = start_client({server.registrar->endpoint()});
  const std::string key("call\0\xff/x", 8);
  const std::string value("\0\x01\xfe", 3);

  EXPECT_EQ(get(*client, key)->revision, 0U);
  const auto put = swap(*client, key, 0, value);
  ASSERT_TRUE(put) << put.error().message();
  EXPECT_TRUE(put->swapped);
  EXPECT_EQ(get(*client, key)->value, value);
  EXPECT_EQ(get(*client, key)->revision, put->current.revision);

  const auto stale = swap(*client, key, put->current.revision + 1, "other");
  EXPECT_FALSE(stale->swapped);
  EXPECT_EQ(stale->current.value, value);

  EXPECT_TRUE(swap(*client, key, put->current.revision, std::nullopt)->swapped);
  EXPECT_EQ(get(*client, key)->revision, 0U);
}

TEST(Records, OfAnotherPoolAreOthers) {
  const auto server = start_registrar(std::make_shared<MemoryStore>());
  const auto client = start_client({server.registrar->endpoint()});
  RecordClient::Options options;
  options.registrars = {server.registrar->endpoint()};
  options.pool = "other";
  const auto other = std::move(*RecordClient::start(std::move(options)));
  ASSERT_TRUE(swap(*client, "call", 0, "x")->swapped);
  EXPECT_EQ(get(*other, "call")->revision, 0U);
}

TEST(Records, OfTheGreatestSizePassAndLargerOnesAreRefusedByName) {
  const auto server = start_registrar(std::make_shared<MemoryStore>());
  const auto client = start_client({server.registrar->endpoint()});
  const std::string key(kMaxRecordKeyBytes, 'k');
  const std::string value(kMaxRecordBytes, 'v');
  ASSERT_TRUE(swap(*client, key, 0, value)->swapped);
  EXPECT_EQ(get(*client, key)->value.size(), kMaxRecordBytes);

  const auto large = swap(*client, "call", 0, value + "v");
  ASSERT_FALSE(large);
  EXPECT_EQ(name_of(large.error()), "bad_argument");
  EXPECT_NE(large.error().detail.find("65537 bytes; at most 65536"), std::string::npos)
      << large.error().detail;
  EXPECT_EQ(name_of(get(*client, key + "k").error()), "bad_argument");
  EXPECT_EQ(name_of(get(*client, "").error()), "bad_argument");
}

TEST(Records, ADeadRegistrarIsSteppedOverAtOnce) {
  const auto shared = std::make_shared<MemoryStore>();
  auto first = start_registrar(shared);
  const auto second = start_registrar(shared);
  const auto client = start_client({first.registrar->endpoint(), second.registrar->endpoint()});
  const auto put = swap(*client, "call", 0, "one");
  ASSERT_TRUE(put->swapped);
  first.registrar->stop();

  const auto begin = Clock::now();
  const auto changed = swap(*client, "call", put->current.revision, "two");
  std::printf("[ measured ] swap with the first of two registrars gone: %.1f ms\n",
              ms_since(begin));
  ASSERT_TRUE(changed) << changed.error().message();
  EXPECT_TRUE(changed->swapped);
  EXPECT_LT(ms_since(begin), 300) << "not after a third of the deadline";
  EXPECT_EQ(get(*client, "call")->value, "two");
}

TEST(Records, AFrozenRegistrarCostsAThirdOfTheDeadlineOnce) {
  const auto server = start_registrar(std::make_shared<MemoryStore>());
  const RegistrarProcess frozen;
  const auto client = start_client({frozen.endpoint(), server.registrar->endpoint()});
  ASSERT_TRUE([&] {
    for (int i = 0; i < 100; ++i) {
      const auto alone = start_client({frozen.endpoint()});
      if (get(*alone, "call")) return true;
      std::this_thread::sleep_for(milliseconds(50));
    }
    return false;
  }());
  ASSERT_TRUE(get(*client, "call"));
  frozen.freeze();

  auto begin = Clock::now();
  ASSERT_TRUE(swap(*client, "call", 0, "one")->swapped);
  std::printf("[ measured ] first swap with a frozen registrar: %.1f ms of a deadline of 900\n",
              ms_since(begin));
  EXPECT_GE(ms_since(begin), 250);
  EXPECT_LT(ms_since(begin), 800);
  begin = Clock::now();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(get(*client, "call")->value, "one");
  EXPECT_LT(ms_since(begin), 250) << "the one that answered is asked first";
}

TEST(Records, AnswersComeByTheDeadlineWhereEveryRegistrarIsFrozen) {
  const RegistrarProcess frozen;
  const auto client = start_client({frozen.endpoint()});
  for (int i = 0; i < 100 && !get(*client, "call"); ++i) {
    std::this_thread::sleep_for(milliseconds(50));
  }
  ASSERT_TRUE(get(*client, "call"));
  frozen.freeze();
  const auto begin = Clock::now();
  const auto answer = get(*client, "call", milliseconds(150));
  ASSERT_FALSE(answer);
  EXPECT_EQ(name_of(answer.error()), "store_failed");
  EXPECT_GE(ms_since(begin), 149);
  EXPECT_LT(ms_since(begin), 400);
  EXPECT_NE(answer.error().detail.find(frozen.endpoint() + ": no answer in time"),
            std::string::npos)
      << answer.error().detail;
}

TEST(Records, WithNoRegistrarAtAllTheAnswerComesBeforeTheDeadline) {
  const auto shared = std::make_shared<MemoryStore>();
  const std::string nobody = start_registrar(shared).registrar->endpoint();
  const auto client = start_client({nobody});
  const auto begin = Clock::now();
  const auto answer = get(*client, "call");
  ASSERT_FALSE(answer);
  EXPECT_EQ(name_of(answer.error()), "store_failed");
  EXPECT_LT(ms_since(begin), 600);
  // And it finds one that comes back at the same place.
  const auto back = start_registrar(shared, nobody);
  bool found = false;
  for (int i = 0; i < 100 && !found; ++i) {
    found = get(*client, "call").has_value();
    if (!found) std::this_thread::sleep_for(milliseconds(20));
  }
  EXPECT_TRUE(found);
}

TEST(Records, ASwapWhoseAnswerWasLostIsReportedAsSwapped) {
  const auto shared = std::make_shared<MemoryStore>();
  const auto first = start_registrar(shared);
  const auto second = start_registrar(shared);
  const auto client = start_client({first.registrar->endpoint(), second.registrar->endpoint()});
  first.store->lose = 1;
  const auto put = swap(*client, "call", 0, "one");
  ASSERT_TRUE(put) << put.error().message();
  EXPECT_TRUE(put->swapped) << "the second registrar finds what the first has done";
  EXPECT_EQ(put->current.value, "one");

  second.store->lose = 1;
  const auto removed = swap(*client, "call", put->current.revision, std::nullopt);
  ASSERT_TRUE(removed) << removed.error().message();
  EXPECT_TRUE(removed->swapped);
  EXPECT_EQ(get(*client, "call")->revision, 0U);
}

TEST(Records, AStoreThatFailsEverywhereIsToldAtOnce) {
  const auto shared = std::make_shared<MemoryStore>();
  const auto first = start_registrar(shared);
  const auto second = start_registrar(shared);
  const auto client = start_client({first.registrar->endpoint(), second.registrar->endpoint()});
  ASSERT_TRUE(get(*client, "call"));
  first.store->lose = 1;
  second.store->lose = 1;
  const auto begin = Clock::now();
  const auto answer = swap(*client, "call", 0, "one");
  ASSERT_FALSE(answer);
  EXPECT_EQ(name_of(answer.error()), "store_failed");
  EXPECT_LT(ms_since(begin), 300);
}

TEST(Records, MoreThanTheLimitInFlightIsOverloadAtOnceAndEachIsAnsweredOnce) {
  const auto server = start_registrar(std::make_shared<MemoryStore>());
  const auto client = start_client({server.registrar->endpoint()});
  ASSERT_TRUE(get(*client, "call"));
  constexpr int kAsked = 20'000;
  std::atomic<int> answered{0};
  std::atomic<int> overloaded{0};
  for (int i = 0; i < kAsked; ++i) {
    client->get("call", std::chrono::seconds(5), [&](const Result<StoreEntry>& entry) {
      if (!entry && name_of(entry.error()) == "overloaded") ++overloaded;
      ++answered;
    });
  }
  client->stop();
  EXPECT_EQ(answered, kAsked);
  EXPECT_GT(overloaded, 0);
  EXPECT_LT(overloaded, kAsked);
}

TEST(Records, StopAnswersWhatIsUnderWayAndWhatComesLater) {
  const RegistrarProcess frozen;
  frozen.freeze();
  const auto client = start_client({frozen.endpoint()});
  std::promise<Result<StoreEntry>> answer;
  client->get("call", std::chrono::seconds(30),
              [&](Result<StoreEntry> entry) { answer.set_value(std::move(entry)); });
  const auto begin = Clock::now();
  client->stop();
  EXPECT_EQ(name_of(answer.get_future().get().error()), "store_failed");
  EXPECT_EQ(name_of(get(*client, "call").error()), "store_failed");
  EXPECT_LT(ms_since(begin), 500);
}

TEST(Records, BadOptionsAreRefusedWithTheirName) {
  RecordClient::Options options;
  options.registrars = {"127.0.0.1:7400"};
  options.pool = "me dia";
  EXPECT_EQ(name_of(RecordClient::start(options).error()), "bad_name");
  options.pool = "media";
  options.lifetime = std::chrono::hours(24 * 365);
  EXPECT_EQ(name_of(RecordClient::start(options).error()), "bad_argument");
  options.lifetime = {};
  options.registrars = {"nowhere"};
  EXPECT_EQ(name_of(RecordClient::start(options).error()), "bad_endpoint");
}

int run_registrar(const std::string& listen) {
  const auto server = start_registrar(std::make_shared<MemoryStore>(), listen);
  ::pause();
  return 0;
}

}  // namespace
}  // namespace rtpool::pool

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--registrar") {
    return rtpool::pool::run_registrar(argv[2]);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
