// Runs what it is given one at a time and in order, and timers: the home of the registrar's core
// and of each client's state, so that neither needs a lock of its own. A task runs on the thread
// that posts it, unless another one is running: then that thread runs it too, afterwards. Nothing
// waits for a thread to wake up. post() and after() may be called from any thread that holds no
// lock which a task takes; a task may block nobody. stop() runs what is queued and drops the
// timers; not from within a task.
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

  using Lock = std::unique_lock<std::mutex>;
  void work(Lock& lock);
  void time_loop();

  mutable std::mutex mutex_;
  std::condition_variable wake_;  // of the timers' thread
  std::condition_variable idle_;
  std::vector<Task> tasks_;
  std::vector<Task> batch_;  // of the thread that is working
  bool working_ = false;
  std::thread::id worker_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::uint64_t timer_number_ = 0;
  bool stopping_ = false;
  bool stopped_ = false;  // what is posted from now on is dropped
  std::thread timer_thread_;
};

}  // namespace rtpool::pool
