#include "pool/executor.h"

#include <chrono>
#include <utility>

#include "relay/base/assert.h"

namespace rtpool::pool {
namespace {

std::chrono::steady_clock::time_point to_steady(Instant instant) {
  return std::chrono::steady_clock::time_point(instant.time_since_epoch());
}

}  // namespace

Executor::Executor() : thread_([this] { loop(); }) {}

Executor::~Executor() {
  stop();
}

Instant Executor::now() {
  return Instant(std::chrono::steady_clock::now().time_since_epoch());
}

void Executor::post(Task task) {
  const std::scoped_lock lock(mutex_);
  if (stopped_) return;
  tasks_.push_back(std::move(task));
  if (tasks_.size() == 1) wake_.notify_one();
}

void Executor::after(Duration delay, Task task) {
  const std::scoped_lock lock(mutex_);
  if (stopping_) return;
  timers_.push({.due = now() + delay, .number = ++timer_number_, .task = std::move(task)});
  wake_.notify_one();
}

bool Executor::run(const Task& task) {
  RTPOOL_ASSERT(std::this_thread::get_id() != thread_.get_id());
  std::mutex mutex;
  std::condition_variable finished;
  bool ran = false;
  {
    const std::scoped_lock lock(mutex_);
    if (stopping_) return false;
    tasks_.push_back([&] {
      task();
      const std::scoped_lock done(mutex);
      ran = true;
      finished.notify_one();
    });
    wake_.notify_one();
  }
  std::unique_lock lock(mutex);
  finished.wait(lock, [&] { return ran; });
  return true;
}

void Executor::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

std::size_t Executor::queued() const {
  const std::scoped_lock lock(mutex_);
  return tasks_.size();
}

void Executor::loop() {
  std::vector<Task> batch;
  std::unique_lock lock(mutex_);
  while (true) {
    const Instant time = now();
    while (!stopping_ && !timers_.empty() && timers_.top().due <= time) {
      tasks_.push_back(timers_.top().task);
      timers_.pop();
    }
    if (!tasks_.empty()) {
      batch.swap(tasks_);
      lock.unlock();
      for (Task& task : batch) task();
      batch.clear();
      lock.lock();
      continue;
    }
    if (stopping_) break;
    if (timers_.empty()) {
      wake_.wait(lock);
    } else {
      wake_.wait_until(lock, to_steady(timers_.top().due));
    }
  }
  stopped_ = true;
  // Timers may hold the last reference to what they serve; they end without the lock.
  auto timers = std::move(timers_);
  timers_ = {};
  lock.unlock();
}

}  // namespace rtpool::pool
