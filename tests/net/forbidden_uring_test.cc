// The engine where io_uring is forbidden, as the seccomp profiles of containers do it.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "relay/engine.h"
#include "tests/net/engine_calls.h"
#include "tests/support/udp_phone.h"

namespace rtpool {
namespace {

using test::kLoopback;
using test::rtp;
using test::UdpPhone;

// In a process of its own: what is forbidden stays so. Exit status 0 when all is as it should be.
[[noreturn]] void start_where_io_uring_is_forbidden() {
  constexpr std::uint32_t kIoUringSetup = 425;  // on every architecture that Debian 12 has
  std::array<sock_filter, 4> instructions{
      {{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
       {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, kIoUringSetup},
       {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
       {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}}};
  sock_fprog program{static_cast<unsigned short>(instructions.size()), instructions.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    _exit(2);
  }
  EngineOptions options;
  options.media_addresses = {{"default", kLoopback, kLoopback}};
  options.ports = test::some_ports(40);
  options.shards = 2;
  options.io = io::IoKind::uring;
  const auto refused = Engine::start(options);
  if (refused || refused.error().code != EngineErrc::io_unavailable) _exit(3);
  options.io.reset();
  const auto engine = Engine::start(options);
  if (!engine || (*engine)->limits().io != io::IoKind::epoll) _exit(4);
  if ((*engine)->limits().io_uring_missing.find("forbidden here") == std::string::npos) _exit(5);
  UdpPhone alice;
  UdpPhone bob;
  const auto call = (*engine)->apply(test::audio_call("call", alice, bob));
  if (!call) _exit(6);
  alice.send(call->streams[0].rtp.local, rtp(1));
  _exit(bob.receive() ? 0 : 7);
}

TEST(EngineDeathTest, WhereIoUringIsForbiddenEpollForwardsUnlessIoUringWasAskedFor) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(start_where_io_uring_is_forbidden(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace rtpool
