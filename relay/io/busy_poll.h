// Busy polling: a thread that is about to sleep asks the network card's queues for packets itself
// for a while (NAPI), which saves the interrupt and the wake-up and costs the core.
//
// Linux 6.9 or later has it per ring and per epoll instance. It reaches the queues that a socket's
// packets came from; loopback has none. Errors are IoErrc::busy_poll_unavailable.
#pragma once

#include "relay/base/result.h"
#include "relay/base/time.h"

namespace rtpool::io {

Error busy_poll_ring(int ring_fd, Duration longest);
Error busy_poll_epoll(int epoll_fd, Duration longest);

}  // namespace rtpool::io
