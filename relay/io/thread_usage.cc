#include "relay/io/thread_usage.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <string_view>

namespace rtpool::io {
namespace {

// The second of the three numbers of schedstat: nanoseconds on the run queue.
Duration run_delay(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) return {};
  const std::string_view second = text.substr(space + 1);
  std::int64_t nanoseconds = 0;
  std::from_chars(second.data(), second.data() + second.size(), nanoseconds);
  return Duration(nanoseconds);
}

}  // namespace

ThreadUsageReader::ThreadUsageReader()
    : file_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}

ThreadUsageReader::~ThreadUsageReader() {
  if (file_ >= 0) ::close(file_);
}

ThreadUsage ThreadUsageReader::read() const {
  ThreadUsage usage;
  timespec cpu{};
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu) == 0) {
    usage.running = std::chrono::seconds(cpu.tv_sec) + Duration(cpu.tv_nsec);
  }
  std::array<char, 96> text{};
  const ssize_t size = file_ < 0 ? 0 : ::pread(file_, text.data(), text.size(), 0);
  if (size > 0) usage.waiting = run_delay({text.data(), static_cast<std::size_t>(size)});
  return usage;
}

}  // namespace rtpool::io
