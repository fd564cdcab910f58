// PacketIo by io_uring: one ring, owned and used by the thread that calls create() (SINGLE_ISSUER,
// DEFER_TASKRUN).
//
// Reception is one multishot recvmsg per socket into one ring of provided buffers; sends go out of
// those buffers and complete inside flush(), after which the buffers return to the kernel. Needs
// Linux 6.1. Used where the kernel has them: min_wait (6.12) and fixed files that let go of a
// socket at once (6.13); without the latter each socket keeps its descriptor.
#pragma once

#include <cstdint>
#include <memory>

#include "relay/base/result.h"
#include "relay/io/packet_io.h"

namespace rtpool::io {

struct UringOptions {
  std::uint32_t sockets = 1024;       // capacity()
  std::uint32_t buffers = 4096;       // rounded up to a power of two, at most 32768
  std::uint32_t buffer_bytes = 2048;  // datagram bytes are 48 fewer
  bool allow_fixed_files = true;      // false: as on a kernel before 6.13
  bool allow_min_wait = true;         // false: as on a kernel before 6.12
  bool connected_sends = true;        // twins for steady streams of a busy shard, uring_twins.cc
  Duration busy_poll{};               // busy_poll.h; 0: none
};

// What the kernel gave; for a line in the log at start.
struct UringFeatures {
  bool fixed_files = false;
  bool min_wait = false;
  bool connected_sends = false;
};

class UringIo final : public PacketIo {
 public:
  // IoErrc::unavailable with a sentence that says what is missing and what to do;
  // busy_poll_unavailable.
  static Result<std::unique_ptr<UringIo>> create(const UringOptions& options);
  // Closes what is still attached, without waiting for packets in flight.
  ~UringIo() override;

  [[nodiscard]] UringFeatures features() const;

  [[nodiscard]] std::size_t capacity() const override;
  SocketSlot attach(UdpSocket socket) override;
  void detach(SocketSlot socket) override;
  void set_tos(SocketSlot socket, IpFamily family, std::uint8_t tos) override;
  Batch receive(const Wait& wait) override;
  void send(SocketSlot from, const RemoteEndpoint& to, Bytes payload) override;
  void flush() override;
  void tick() override;
  [[nodiscard]] PacketIoCounts counts() const override;
  void wake() override;

 private:
  struct Impl;
  explicit UringIo(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rtpool::io
