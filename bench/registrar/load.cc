#include "bench/registrar/load.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "bench/registrar/stubs.h"
#include "pool/client.h"

namespace rtpool::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

double seconds_between(Time from, Time to) {
  return std::chrono::duration<double>(to - from).count();
}
std::uint32_t us_since(Time then) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - then);
  return static_cast<std::uint32_t>(std::max<std::int64_t>(us.count(), 0));
}

// What the threads of gRPC add to, and the end that is waited for.
class Tally {
 public:
  void add(std::uint32_t us, const grpc::Status& status) {
    const std::scoped_lock lock(mutex_);
    if (status.ok()) {
      ++result_.done;
      result_.latencies_us.push_back(us);
    } else {
      if (result_.failed++ == 0) result_.first_error = status.error_message();
    }
  }
  void began() {
    const std::scoped_lock lock(mutex_);
    ++open_;
  }
  void ended() {
    const std::scoped_lock lock(mutex_);
    --open_;
    idle_.notify_all();
  }
  void wait_idle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return open_ == 0; });
  }
  LoadResult take(double seconds) {
    const std::scoped_lock lock(mutex_);
    result_.seconds = seconds;
    std::sort(result_.latencies_us.begin(), result_.latencies_us.end());
    return std::move(result_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  LoadResult result_;
  std::size_t open_ = 0;
};

// One resolution after another, or a single one.
struct Resolution {
  grpc::ClientContext context;
  pool::v1::ResolveRequest request;
  pool::v1::ResolveReply reply;
  Time began;
};

class Resolver {
 public:
  Resolver(const LoadTarget& target, unsigned pools) : stubs_(target), pools_(pools) {}

  void start(Time due, bool go_on) {
    tally.began();
    auto* one = new Resolution;
    one->began = due;
    const auto number = next_++;
    one->request.set_pool(pool_name(static_cast<unsigned>(number % pools_)));
    one->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
    stubs_.at(number).async()->Resolve(&one->context, &one->request, &one->reply,
                                       [this, one, go_on](const grpc::Status& status) {
                                         tally.add(us_since(one->began), status);
                                         delete one;
                                         if (go_on && !stop.load(std::memory_order_relaxed))
                                           start(Clock::now(), true);
                                         tally.ended();
                                       });
  }

  Tally tally;
  std::atomic<bool> stop{false};

 private:
  Stubs stubs_;
  unsigned pools_;
  std::atomic<std::uint64_t> next_{0};
};

// A stream that registers again and again, for as long as `go_on` says; each time under a name.
class Registrar final
    : public grpc::ClientBidiReactor<pool::v1::ServeRequest, pool::v1::ServeReply> {
 public:
  struct Shared {
    explicit Shared(const LoadTarget& target) : stubs(target) {}
    Stubs stubs;
    Tally tally;
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> next{0};
  };

  // `once`: one registration on this stream, and the next on a new one.
  Registrar(Shared& shared, bool once) : shared_(shared), once_(once) {
    shared_.tally.began();
    const auto number = shared_.next++;
    fill_registration(*request_.mutable_registration(), "bench", "e" + std::to_string(number));
    began_ = Clock::now();
    shared_.stubs.at(number).async()->Serve(&context_, this);
    StartWrite(&request_);
    StartRead(&reply_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    shared_.tally.add(us_since(began_), grpc::Status::OK);
    one_done();
  }
  void OnWriteDone(bool ok) override {
    if (ok) one_done();
  }
  void OnDone(const grpc::Status& status) override {
    const bool expected = status.error_code() == grpc::StatusCode::CANCELLED || status.ok();
    if (!expected) shared_.tally.add(0, status);
    Shared& shared = shared_;
    const bool again = once_ && expected && !shared.stop.load(std::memory_order_relaxed);
    delete this;
    if (again) new Registrar(shared, true);
    shared.tally.ended();
  }

 private:
  // The reply may be here before the request is known to be written.
  void one_done() {
    if (--pending_ > 0) return;
    if (once_ || shared_.stop.load(std::memory_order_relaxed)) {
      context_.TryCancel();
      return;
    }
    pending_ = 2;
    began_ = Clock::now();
    StartRead(&reply_);
    StartWrite(&request_);
  }

  Shared& shared_;
  bool once_;
  std::atomic<int> pending_{2};
  Time began_;
  grpc::ClientContext context_;
  pool::v1::ServeRequest request_;
  pool::v1::ServeReply reply_;
};

LoadResult registrations(const LoadTarget& target, unsigned streams, double seconds, bool once) {
  Registrar::Shared shared(target);
  const Time began = Clock::now();
  for (unsigned i = 0; i < streams; ++i) new Registrar(shared, once);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  shared.stop = true;
  const double took = seconds_between(began, Clock::now());
  shared.tally.wait_idle();
  return shared.tally.take(took);
}

}  // namespace

std::uint32_t LoadResult::quantile_us(double share) const {
  if (latencies_us.empty()) return 0;
  const auto index = static_cast<std::size_t>(share * static_cast<double>(latencies_us.size()));
  return latencies_us[std::min(index, latencies_us.size() - 1)];
}

LoadResult resolve(const LoadTarget& target, unsigned pools, unsigned in_flight, double rate,
                   double seconds) {
  Resolver resolver(target, pools);
  const Time began = Clock::now();
  if (rate <= 0) {
    for (unsigned i = 0; i < in_flight; ++i) resolver.start(Clock::now(), true);
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  } else {
    const auto total = static_cast<std::uint64_t>(rate * seconds);
    for (std::uint64_t i = 0; i < total; ++i) {
      const Time due = began + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(static_cast<double>(i) / rate));
      if (Clock::now() < due) std::this_thread::sleep_until(due);
      resolver.start(due, false);
    }
  }
  resolver.stop = true;
  const double took = seconds_between(began, Clock::now());
  resolver.tally.wait_idle();
  return resolver.tally.take(took);
}

LoadResult renew(const LoadTarget& target, unsigned streams, double seconds) {
  return registrations(target, streams, seconds, false);
}

LoadResult register_new(const LoadTarget& target, unsigned in_flight, double seconds) {
  return registrations(target, in_flight, seconds, true);
}

LoadResult watch(const LoadTarget& target, unsigned subscribers, unsigned changes) {
  struct Round {
    std::mutex mutex;
    std::condition_variable all;
    Time began;
    bool wanted = false;  // drained
    unsigned number = 0;  // of the change under way; 0: none
    unsigned seen = 0;
    LoadResult result;
  } round;
  struct Subscriber {
    std::unique_ptr<pool::PoolUserClient> client;
    std::atomic<bool> ready{false};
    unsigned seen = 0;  // the last change
  };
  Population population(target, {.pools = 1, .elements = 10});
  if (!population.wait_registered(5, nullptr)) return {.failed = 1, .first_error = "no elements"};
  std::vector<std::unique_ptr<Subscriber>> all;
  for (unsigned i = 0; i < subscribers; ++i) {
    all.push_back(std::make_unique<Subscriber>());
    Subscriber* self = all.back().get();
    pool::PoolUserClient::Options options;
    options.registrars = {target.registrar};
    options.tls = target.tls;
    options.pool = pool_name(0);
    options.on_change = [self, &round, subscribers] {
      if (!self->ready) return;
      const auto us = [&] { return us_since(round.began); };
      const auto view = self->client->view();
      const std::scoped_lock lock(round.mutex);
      if (round.number == self->seen) return;
      for (const auto& element : view.elements) {
        if (element.name != element_name(0, 0) || element.drained != round.wanted) continue;
        self->seen = round.number;
        round.result.latencies_us.push_back(us());
        ++round.result.done;
        if (++round.seen == subscribers) round.all.notify_all();
      }
    };
    auto started = pool::PoolUserClient::start(std::move(options));
    if (!started) return {.failed = 1, .first_error = started.error().message()};
    self->client = std::move(*started);
  }
  for (auto& subscriber : all) {
    if (!subscriber->client->wait_ready(std::chrono::seconds(10))) {
      return {.failed = 1, .first_error = "a subscriber sees no pool"};
    }
    subscriber->ready = true;
  }
  const Stubs stubs(target);
  const Time began = Clock::now();
  for (unsigned change = 1; change <= changes; ++change) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    grpc::ClientContext context;
    pool::v1::DrainRequest request;
    pool::v1::Done reply;
    request.set_pool(pool_name(0));
    request.set_name(element_name(0, 0));
    std::unique_lock lock(round.mutex);
    round.wanted = !round.wanted;
    round.number = change;
    round.seen = 0;
    round.began = Clock::now();
    const bool drain = round.wanted;
    lock.unlock();
    const auto status = drain ? stubs.at(0).Drain(&context, request, &reply)
                              : stubs.at(0).Undrain(&context, request, &reply);
    lock.lock();
    const bool ok = status.ok() && round.all.wait_for(lock, std::chrono::seconds(2),
                                                      [&] { return round.seen == subscribers; });
    if (!ok) {
      ++round.result.failed;
      if (round.result.first_error.empty()) {
        round.result.first_error =
            status.ok() ? "a subscriber saw nothing" : status.error_message();
      }
    }
  }
  for (auto& subscriber : all) subscriber->client->stop();
  round.result.seconds = seconds_between(began, Clock::now());
  std::sort(round.result.latencies_us.begin(), round.result.latencies_us.end());
  return std::move(round.result);
}

long count_elements(const LoadTarget& target) {
  const auto pools = pool::list_pools(target.registrar, "", std::chrono::seconds(2), target.tls);
  if (!pools) return -1;
  std::size_t count = 0;
  for (const auto& pool : *pools) count += pool.elements.size();
  return static_cast<long>(count);
}

}  // namespace rtpool::bench
