// What the scheduler has given the calling thread: how a shard knows how busy it is.
//
// Made and used on the thread that it measures; about two microseconds a reading, so once per tick
// and not per batch. Waiting is what /proc/thread-self/schedstat calls run delay; a kernel without
// it (or a container without /proc) gives none.
#pragma once

#include "relay/base/time.h"

namespace rtpool::io {

struct ThreadUsage {
  Duration running{};  // CPU time since the thread began
  Duration waiting{};  // time that it could have run and another thread had the core
};

class ThreadUsageReader {
 public:
  ThreadUsageReader();
  ~ThreadUsageReader();
  ThreadUsageReader(const ThreadUsageReader&) = delete;
  ThreadUsageReader& operator=(const ThreadUsageReader&) = delete;

  [[nodiscard]] ThreadUsage read() const;

 private:
  int file_ = -1;
};

}  // namespace rtpool::io
