#include "relay/port_filler.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>

#include "relay/shard.h"

namespace rtpool {
namespace {

constexpr auto kRetry = std::chrono::seconds(1);
constexpr int kNice = 10;

}  // namespace

PortFiller::~PortFiller() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  woken_.notify_one();
  thread_.join();
}

void PortFiller::start() {
  thread_ = start_thread("rtpool-ports", [this] { run(); });
}

void PortFiller::wake() {
  {
    const std::lock_guard lock(mutex_);
    due_ = true;
  }
  woken_.notify_one();
}

void PortFiller::run() {
  // Calls and packets come first. Should they leave it no time, ports are bound when needed.
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
  std::unique_lock lock(mutex_);
  bool all = true;
  while (true) {
    const auto called = [this] { return due_ || stopping_; };
    all ? woken_.wait(lock, called) : static_cast<void>(woken_.wait_for(lock, kRetry, called));
    if (stopping_) return;
    due_ = false;
    lock.unlock();
    all = book_.fill(clock_.now());
    lock.lock();
  }
}

}  // namespace rtpool
