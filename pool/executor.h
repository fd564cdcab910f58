// One thread that runs what it is given, in order, and timers: the home of the registrar's core and
// of each client's state, so that neither needs a lock of its own. post() and after() may be called
// from any thread; a task may block nobody. stop() runs what is queued, drops the timers and joins;
// not from the thread itself.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <queue>
#include <thread>
#include <vector>

#include "relay/base/time.h"

namespace rtpool::pool {

class Executor {
 public:
  using Task = std::function<void()>;

  Executor();
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  static Instant now();  // the steady clock

  void post(Task task);
  void after(Duration delay, Task task);
  // Waits until the task has run; true. False, and not run, once stopped.
  bool run(const Task& task);
  void stop();  // idempotent
  [[nodiscard]] std::size_t queued() const;

 private:
  struct Timer {
    Instant due;
    std::uint64_t number;
    Task task;
    bool operator>(const Timer& other) const {
      return due != other.due ? due > other.due : number > other.number;
    }
  };

  void loop();

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Task> tasks_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::uint64_t timer_number_ = 0;
  bool stopping_ = false;
  bool stopped_ = false;  // the thread has left its loop
  std::thread thread_;
};

}  // namespace rtpool::pool
