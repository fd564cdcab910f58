// What can go wrong with sockets, ports and rings. Detail sentences name the address, port or
// limit.
#pragma once

#include "relay/base/result.h"

namespace rtpool::io {

enum class IoErrc {
  bind_failed = 1,      // the address and port can't be had (in use, not permitted)
  address_unavailable,  // the address is not one of this host's
  out_of_ports,  // every port pair of the range is leased, resting or taken by another program
  out_of_descriptors,     // RLIMIT_NOFILE or the system's file table is exhausted
  epoll_unavailable,      // the kernel has no memory for it
  busy_poll_unavailable,  // the kernel is too old or built without
  core_refused,           // a shard may not run where it was told to
  unavailable,            // io_uring is missing, forbidden, too old, or its memory could not be had
};
ErrorCode make_error_code(IoErrc errc);

}  // namespace rtpool::io

template <>
struct boost::system::is_error_code_enum<rtpool::io::IoErrc> : std::true_type {};
