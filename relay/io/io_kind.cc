#include "relay/io/io_kind.h"

#include "relay/io/epoll_io.h"
#include "relay/io/uring_io.h"

namespace rtpool::io {

Result<OpenedIo> open_packet_io(const IoOptions& options) {
  if (options.kind == IoKind::epoll) {
    auto epoll = EpollIo::create({.sockets = options.sockets,
                                  .buffers = options.buffers,
                                  .buffer_bytes = options.buffer_bytes,
                                  .busy_poll = options.busy_poll});
    if (!epoll) return epoll.error();
    return OpenedIo{std::move(*epoll), {}};
  }
  auto uring = UringIo::create({.sockets = options.sockets,
                                .buffers = options.buffers,
                                .buffer_bytes = options.buffer_bytes,
                                .connected_sends = options.connected_sends,
                                .busy_poll = options.busy_poll});
  if (!uring) return uring.error();
  const UringFeatures features = (*uring)->features();
  return OpenedIo{std::move(*uring),
                  {.fixed_files = features.fixed_files,
                   .min_wait = features.min_wait,
                   .connected_sends = features.connected_sends}};
}

}  // namespace rtpool::io
