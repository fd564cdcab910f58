// Messages to one thread from any. Not for packets: posting locks, for as long as a push_back
// takes. The reader takes everything at once and works on it without the lock.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

namespace rtpool {

template <class T>
class Mailbox {
 public:
  void post(T message) {
    {
      const std::lock_guard lock(mutex_);
      messages_.push_back(std::move(message));
      filled_.store(true, std::memory_order_release);
    }
    ready_.notify_one();
  }

  // Whether there may be something to take; costs no lock.
  [[nodiscard]] bool filled() const { return filled_.load(std::memory_order_acquire); }

  // Swaps what has come into `out`, which is emptied first.
  void take(std::vector<T>& out) {
    out.clear();
    const std::lock_guard lock(mutex_);
    out.swap(messages_);
    filled_.store(false, std::memory_order_release);
  }

  void wait_and_take(std::vector<T>& out) {
    out.clear();
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return !messages_.empty(); });
    out.swap(messages_);
    filled_.store(false, std::memory_order_release);
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<T> messages_;
  std::atomic<bool> filled_{false};
};

}  // namespace rtpool
