// What io_uring alone can be short of. What it has in common with epoll is in packet_io_test.cc.
#include "relay/io/uring_io.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace rtpool::io {
namespace {

// Exit status 0 when the ring says that there are too few descriptors for its table of sockets.
[[noreturn]] void make_ring_with_few_descriptors() {
  const rlimit low{256, 256};
  if (setrlimit(RLIMIT_NOFILE, &low) != 0) _exit(2);
  const auto io = UringIo::create({.sockets = 1024});
  _exit(!io && io.error().code == make_error_code(IoErrc::out_of_descriptors) ? 0 : 1);
}

TEST(RingLimitsDeathTest, TooFewDescriptorsAreNamed) {
  // In a process of its own, for a lowered limit can't be raised again.
  EXPECT_EXIT(make_ring_with_few_descriptors(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace rtpool::io
