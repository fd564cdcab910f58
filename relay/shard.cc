#include "relay/shard.h"

#include <pthread.h>

#include <csignal>
#include <future>
#include <string>
#include <utility>

#include "relay/base/cores.h"

namespace rtpool {

struct Shard::Ready {
  std::promise<Error> result;  // an error without code: all is well
};

std::thread start_thread(const std::string& name, std::function<void()> body) {
  // A thread inherits its creator's mask: blocked here for a moment, blocked there for good.
  sigset_t all{};
  sigset_t before{};
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), name.substr(0, 15).c_str());
  return thread;
}

Result<std::unique_ptr<Shard>> Shard::start(std::uint32_t number, const ShardOptions& options,
                                            Worker::EventSink sink) {
  std::unique_ptr<Shard> shard(new Shard);
  Ready ready;
  auto result = ready.result.get_future();
  shard->thread_ =
      start_thread("rtpool-shard" + std::to_string(number),
                   [&ready, options, shard = shard.get(), sink = std::move(sink)]() mutable {
                     shard->run(options, std::move(sink), ready);
                   });
  Error error = result.get();
  if (error.code) {
    shard->thread_.join();
    return error;
  }
  return shard;
}

Shard::~Shard() {
  stop();
}

void Shard::stop() {
  if (!thread_.joinable()) return;
  worker_->post(StopShard{});
  last_post_done_.set_value();
  thread_.join();
}

void Shard::run(const ShardOptions& options, Worker::EventSink sink, Ready& ready) {
  // First of all, so that what it allocates lies near.
  if (options.core && !stay_on_core(*options.core)) {
    ready.result.set_value({io::IoErrc::core_refused, std::to_string(*options.core)});
    return;
  }
  auto opened = io::open_packet_io(options.io);
  if (!opened) {
    ready.result.set_value(opened.error());
    return;
  }
  features_ = opened->features;
  const io::ThreadUsageReader usage;
  worker_ = std::make_unique<Worker>(*opened->io, clock_, options.batch_window, std::move(sink),
                                     [&usage] { return usage.read(); });
  ready.result.set_value({});  // `ready` is gone from here on
  while (worker_->run_once()) {
  }
  last_post_done_.get_future().wait();
}

}  // namespace rtpool
