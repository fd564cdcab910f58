#include "relay/io/busy_poll.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>

#include "relay/io/errc.h"

namespace rtpool::io {
namespace {

// Names that Debian 12's headers do not know yet (include/uapi/linux/io_uring.h and eventpoll.h of
// Linux 6.9).
constexpr unsigned kRegisterNapi = 27;  // IORING_REGISTER_NAPI
struct RingNapi {                       // io_uring_napi
  std::uint32_t microseconds = 0;
  std::uint8_t prefer = 0;
  std::uint8_t padding[3] = {};
  std::uint64_t reserved = 0;
};
struct EpollParams {  // epoll_params
  std::uint32_t microseconds = 0;
  std::uint16_t budget = 0;  // packets per poll
  std::uint8_t prefer = 0;
  std::uint8_t padding = 0;
};
constexpr unsigned long kSetEpollParams = _IOW(0x8a, 0x01, EpollParams);  // EPIOCSPARAMS
constexpr std::uint16_t kBudget = 64;  // as much as needs no capability

std::uint32_t microseconds_of(Duration time) {
  return static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::microseconds>(time).count());
}

// What a kernel says that does not know the request, and one that was built without.
Error refusal() {
  if (errno == ENOTTY || errno == EINVAL) {
    return {IoErrc::busy_poll_unavailable, "this kernel has none; Linux 6.9 or later is needed"};
  }
  if (errno == EOPNOTSUPP) {
    return {IoErrc::busy_poll_unavailable, "this kernel was built without CONFIG_NET_RX_BUSY_POLL"};
  }
  return {IoErrc::busy_poll_unavailable, std::strerror(errno)};
}

}  // namespace

// "Prefer" lets a card whose interrupts were deferred by the operator (napi_defer_hard_irqs) keep
// them off while it is polled; with others it changes nothing.
Error busy_poll_ring(int ring_fd, Duration longest) {
  RingNapi napi{.microseconds = microseconds_of(longest), .prefer = 1};
  if (syscall(__NR_io_uring_register, ring_fd, kRegisterNapi, &napi, 1) < 0) return refusal();
  return {};
}

Error busy_poll_epoll(int epoll_fd, Duration longest) {
  const EpollParams params{
      .microseconds = microseconds_of(longest), .budget = kBudget, .prefer = 1};
  if (ioctl(epoll_fd, kSetEpollParams, &params) != 0) return refusal();
  return {};
}

}  // namespace rtpool::io
