#include "pool/local_records.h"

#include <map>
#include <mutex>
#include <utility>

#include "pool/errc.h"
#include "pool/executor.h"

namespace rtpool::pool {

class LocalRecords::Impl : public std::enable_shared_from_this<LocalRecords::Impl> {
 public:
  Impl(Store& store, std::string pool, Duration lifetime)
      : store_(store), pool_(std::move(pool)), lifetime_(lifetime) {}

  void get(const std::string& key, Duration deadline, Store::GetDone done) {
    ask<Result<StoreEntry>>(check_record_key(key), deadline, std::move(done), [&](auto answer) {
      store_.get(record_store_key(pool_, key), std::move(answer));
    });
  }

  void swap(const std::string& key, std::uint64_t expected, std::optional<std::string> value,
            Duration deadline, Store::SwapDone done) {
    auto ok = check_record_key(key);
    if (ok && value) ok = check_record_value(*value);
    ask<Result<SwapOutcome>>(ok, deadline, std::move(done), [&](auto answer) {
      store_.compare_and_swap({.key = record_store_key(pool_, key),
                               .expected = expected,
                               .value = std::move(value),
                               .lifetime = lifetime_},
                              std::move(answer));
    });
  }

  void stop() {
    std::map<std::uint64_t, Fail> open;
    {
      const std::scoped_lock lock(mutex_);
      stopped_ = true;
      open.swap(open_);
    }
    for (const auto& [number, fail] : open) fail(Error(Errc::store_failed, "stopped"));
    executor_.stop();
  }

 private:
  using Fail = std::function<void(const Error&)>;

  // Whoever takes an operation out of the open ones answers it: the store, its deadline or stop().
  bool claim(std::uint64_t number) {
    const std::scoped_lock lock(mutex_);
    return open_.erase(number) > 0;
  }

  Result<std::uint64_t> open(Fail fail) {
    const std::scoped_lock lock(mutex_);
    if (stopped_) return Error(Errc::store_failed, "stopped");
    if (open_.size() >= kMaxRecordsInFlight) {
      return Error(Errc::overloaded,
                   std::to_string(kMaxRecordsInFlight) + " records are under way");
    }
    open_.emplace(++number_, std::move(fail));
    return number_;
  }

  template <class Answer, class Done, class Start>
  void ask(const Result<void>& ok, Duration deadline, Done done, Start start) {
    if (!ok) return done(ok.error());
    const auto number = open([done](const Error& error) { done(error); });
    if (!number) return done(number.error());
    start([self = shared_from_this(), number = *number, done](Answer answer) {
      if (self->claim(number)) done(std::move(answer));
    });
    // A store in memory has answered by now.
    {
      const std::scoped_lock lock(mutex_);
      if (!open_.contains(*number)) return;
    }
    executor_.after(deadline, [this, number = *number, done] {
      if (claim(number)) done(Error(Errc::store_failed, "no answer in time"));
    });
  }

  Store& store_;
  const std::string pool_;
  const Duration lifetime_;

  std::mutex mutex_;  // guards what follows
  std::map<std::uint64_t, Fail> open_;
  std::uint64_t number_ = 0;
  bool stopped_ = false;

  Executor executor_;  // last: its thread ends before what it uses
};

LocalRecords::LocalRecords(Store& store, std::string pool, Duration lifetime)
    : impl_(std::make_shared<Impl>(store, std::move(pool), lifetime)) {}

LocalRecords::~LocalRecords() {
  stop();
}

void LocalRecords::get(const std::string& key, Duration deadline, Store::GetDone done) {
  impl_->get(key, deadline, std::move(done));
}

void LocalRecords::swap(const std::string& key, std::uint64_t expected,
                        std::optional<std::string> value, Duration deadline, Store::SwapDone done) {
  impl_->swap(key, expected, std::move(value), deadline, std::move(done));
}

void LocalRecords::stop() {
  impl_->stop();
}

}  // namespace rtpool::pool
