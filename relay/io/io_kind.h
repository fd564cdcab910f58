// The implementations of PacketIo that a shard can have, and how it gets one.
//
// open_packet_io() is called by the thread that will use what it gives. Errors are those of
// UringIo::create() and EpollIo::create().
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "relay/base/result.h"
#include "relay/io/packet_io.h"

namespace rtpool::io {

enum class IoKind : std::uint8_t { uring, epoll };

constexpr std::string_view to_string(IoKind kind) {
  return kind == IoKind::uring ? "uring" : "epoll";
}

struct IoOptions {
  IoKind kind = IoKind::uring;
  std::uint32_t sockets = 1024;  // PacketIo::capacity()
  std::uint32_t buffers = 4096;
  std::uint32_t buffer_bytes = 2048;
  bool connected_sends = true;  // uring only
  Duration busy_poll{};         // busy_poll.h; 0: none
};

// What the kernel gave; for a line in the log at start. Without io_uring all are false.
struct IoFeatures {
  bool fixed_files = false;
  bool min_wait = false;
  bool connected_sends = false;
};

struct OpenedIo {
  std::unique_ptr<PacketIo> io;
  IoFeatures features;
};

Result<OpenedIo> open_packet_io(const IoOptions& options);

}  // namespace rtpool::io
