// The thread that binds ports ahead of need, so that nobody who sets up a call waits for the kernel
// to find and bind its sockets. Owned by the engine; wake() from any thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "relay/io/clock.h"
#include "relay/port_book.h"

namespace rtpool {

class PortFiller {
 public:
  PortFiller(PortBook& book, const io::Clock& clock) : book_(book), clock_(clock) {}
  ~PortFiller();  // waits for the bind() it is at
  PortFiller(const PortFiller&) = delete;
  PortFiller& operator=(const PortFiller&) = delete;

  void start();
  // There is something to fill. What could not be had is tried again each second without it.
  void wake();

 private:
  void run();

  PortBook& book_;
  const io::Clock& clock_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable woken_;
  bool due_ = false;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace rtpool
