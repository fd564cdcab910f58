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

Executor::Executor() : timer_thread_([this] { time_loop(); }) {}

Executor::~Executor() {
  stop();
}

Instant Executor::now() {
  return Instant(std::chrono::steady_clock::now().time_since_epoch());
}

void Executor::post(Task task) {
  Lock lock(mutex_);
  if (stopped_) return;
  tasks_.push_back(std::move(task));
  work(lock);
}

// Runs what is queued, unless a thread is at it.
void Executor::work(Lock& lock) {
  if (working_) return;
  working_ = true;
  worker_ = std::this_thread::get_id();
  while (!tasks_.empty()) {
    batch_.swap(tasks_);
    lock.unlock();
    for (Task& task : batch_) task();
    batch_.clear();
    lock.lock();
  }
  working_ = false;
  worker_ = {};
  idle_.notify_all();
}

void Executor::after(Duration delay, Task task) {
  const std::scoped_lock lock(mutex_);
  if (stopping_) return;
  const Instant due = now() + delay;
  const bool first = timers_.empty() || due < timers_.top().due;
  timers_.push({.due = due, .number = ++timer_number_, .task = std::move(task)});
  if (first) wake_.notify_one();
}

bool Executor::run(const Task& task) {
  std::mutex mutex;
  std::condition_variable finished;
  bool ran = false;
  {
    Lock lock(mutex_);
    RTPOOL_ASSERT(worker_ != std::this_thread::get_id());
    if (stopping_) return false;
    tasks_.push_back([&] {
      task();
      const std::scoped_lock done(mutex);
      ran = true;
      finished.notify_one();
    });
    work(lock);
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
  if (timer_thread_.joinable()) timer_thread_.join();
  Lock lock(mutex_);
  idle_.wait(lock, [this] { return !working_ && tasks_.empty(); });
  stopped_ = true;
}

std::size_t Executor::queued() const {
  const std::scoped_lock lock(mutex_);
  return tasks_.size();
}

void Executor::time_loop() {
  Lock lock(mutex_);
  while (!stopping_) {
    const Instant time = now();
    while (!timers_.empty() && timers_.top().due <= time) {
      tasks_.push_back(timers_.top().task);
      timers_.pop();
    }
    if (!tasks_.empty()) work(lock);
    if (stopping_) break;
    if (timers_.empty()) {
      wake_.wait(lock);
    } else if (timers_.top().due > now()) {
      wake_.wait_until(lock, to_steady(timers_.top().due));
    }
  }
  // Timers may hold the last reference to what they serve; they end without the lock.
  auto timers = std::move(timers_);
  timers_ = {};
  lock.unlock();
}

}  // namespace rtpool::pool
