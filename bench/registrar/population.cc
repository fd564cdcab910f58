#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "bench/registrar/load.h"
#include "bench/registrar/stubs.h"

namespace rtpool::bench {

std::string pool_name(unsigned pool) {
  return "pool-" + std::to_string(pool);
}

struct Population::Impl {
  class Element;

  std::vector<std::unique_ptr<pool::v1::Registrar::Stub>> stubs;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Element*> elements;  // that gRPC still knows
  unsigned wanted = 0;
  unsigned registered = 0;
  bool ending = false;
  std::thread pacer;

  void beat_all(unsigned heartbeat_ms);
};

// One element's stream: registers, then sends a heartbeat whenever it is told to.
class Population::Impl::Element final
    : public grpc::ClientBidiReactor<pool::v1::ServeRequest, pool::v1::ServeReply> {
 public:
  Element(Impl& impl, pool::v1::Registrar::Stub& stub, const std::string& pool,
          const std::string& name)
      : impl_(impl) {
    fill_registration(*request_.mutable_registration(), pool, name);
    stub.async()->Serve(&context_, this);
    AddHold();  // beat() comes from another thread
    StartWrite(&request_);
    StartRead(&reply_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) {
      if (!released_.exchange(true)) RemoveHold();
      return;
    }
    if (reply_.has_registered()) {
      const std::scoped_lock lock(impl_.mutex);
      ++impl_.registered;
      impl_.changed.notify_all();
    }
    StartRead(&reply_);
  }
  void OnWriteDone(bool ok) override { writing_ = !ok; }
  void OnDone(const grpc::Status&) override {
    const std::scoped_lock lock(impl_.mutex);
    std::erase(impl_.elements, this);
    impl_.changed.notify_all();
    delete this;
  }

  // Under the population's mutex, so that it is not deleted meanwhile.
  void beat(std::uint64_t number) {
    if (released_ || writing_.exchange(true)) return;
    auto& heartbeat = *request_.mutable_heartbeat();
    heartbeat.set_number(number);
    heartbeat.set_load(static_cast<std::uint32_t>(number * 1'000'003U) >> 8U);
    heartbeat.set_calls(static_cast<std::uint32_t>(number % 500));
    StartWrite(&request_);
  }
  void cancel() { context_.TryCancel(); }

 private:
  Impl& impl_;
  grpc::ClientContext context_;
  pool::v1::ServeRequest request_;
  pool::v1::ServeReply reply_;
  std::atomic<bool> writing_{true};
  std::atomic<bool> released_{false};
};

// A thousandth of all each thousandth of the interval.
void Population::Impl::beat_all(unsigned heartbeat_ms) {
  using Clock = std::chrono::steady_clock;
  const auto step = std::chrono::microseconds(heartbeat_ms);
  auto due = Clock::now();
  for (std::uint64_t round = 0;; ++round) {
    due += step;
    std::this_thread::sleep_until(due);
    const std::scoped_lock lock(mutex);
    if (ending) return;
    for (std::size_t i = round % 1000; i < elements.size(); i += 1000) {
      elements[i]->beat(round / 1000 + 1);
    }
  }
}

Population::Population(const LoadTarget& target, const Options& options) : impl_(new Impl) {
  impl_->wanted = options.elements;
  const unsigned channels =
      (options.elements + options.streams_per_channel - 1) / options.streams_per_channel;
  for (unsigned i = 0; i < channels; ++i) impl_->stubs.push_back(Stubs::connect(target));
  for (unsigned i = 0; i < options.elements; ++i) {
    const unsigned pool = i % options.pools;
    const std::scoped_lock lock(impl_->mutex);
    impl_->elements.push_back(new Impl::Element(*impl_, *impl_->stubs[i % channels],
                                                pool_name(pool),
                                                element_name(pool, i / options.pools)));
  }
  impl_->pacer = std::thread([this, ms = options.heartbeat_ms] { impl_->beat_all(ms); });
}

bool Population::wait_registered(double seconds, unsigned* registered) {
  std::unique_lock lock(impl_->mutex);
  const bool all = impl_->changed.wait_for(lock, std::chrono::duration<double>(seconds),
                                           [this] { return impl_->registered >= impl_->wanted; });
  if (registered != nullptr) *registered = impl_->registered;
  return all;
}

Population::~Population() {
  {
    std::unique_lock lock(impl_->mutex);
    impl_->ending = true;
    for (auto* element : impl_->elements) element->cancel();
    impl_->changed.wait(lock, [this] { return impl_->elements.empty(); });
  }
  if (impl_->pacer.joinable()) impl_->pacer.join();
  delete impl_;
}

}  // namespace rtpool::bench
