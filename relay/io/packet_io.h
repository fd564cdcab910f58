// The seam between the worker and the kernel: batches of datagrams in, datagrams out, for many
// sockets at once. Implemented by UringIo (uring_io.h) and, in memory, by
// tests/support/fake_packet_io.h.
//
// Used by one thread, the one that made it; only wake() may be called by any. One round of the
// owner's loop is
//   batch = receive(wait) -> send(...) for what must go out -> flush()
// The spans of a batch, and the datagrams in it, live until the next receive(). A payload given to
// send() must live until flush() returns. Neither receive(), send() nor flush() allocates.
//
// Errors of single packets never end a socket: they are counted (PacketIoCounts) and reception goes
// on. What is not done here: deciding where a packet goes, and leasing ports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "relay/base/bytes.h"
#include "relay/base/endpoint.h"
#include "relay/base/time.h"
#include "relay/io/socket.h"

namespace rtpool::io {

// A socket's place in the table, below PacketIo::capacity(). Free for another socket once it was
// reported closed; the owner takes in a batch's failures and closed sockets before it attaches
// again. Its packets never come from a closed socket, so they may wait.
struct SocketSlot {
  static constexpr std::uint32_t kNone = 0xffff'ffff;
  std::uint32_t index = kNone;

  [[nodiscard]] bool valid() const { return index != kNone; }
  bool operator==(const SocketSlot&) const = default;
};

struct Received {
  SocketSlot socket;
  bool truncated = false;  // the datagram was longer than a buffer; `datagram` is what was stored
  RemoteEndpoint source;
  Bytes datagram;
};

// The kernel refused what send() was given.
struct SendFailure {
  SocketSlot socket;
  std::uint32_t bytes = 0;
};

struct Batch {
  std::span<const Received> packets;
  std::span<const SendFailure> failures;
  std::span<const SocketSlot> closed;  // detached before, now really closed: their ports are free
  bool woken = false;                  // wake() was called since the last batch
};

// receive() waits until there is something, at most `at_most`; once there is, up to `gather` for
// more of it (0: returns with the first packets).
struct Wait {
  Duration at_most{};
  Duration gather{};
};

struct PacketIoCounts {
  std::uint64_t receive_rearmed =
      0;  // receptions that ended for whatever reason and were armed again
  std::uint64_t buffers_exhausted = 0;  // of those, for want of a buffer (ENOBUFS)
  std::uint64_t soft_errors = 0;        // of those, for an error of the socket (ICMP and the like)
  std::uint64_t late_packets = 0;       // came to a socket after its detach()
  std::uint64_t connected = 0;          // sockets that send connected now
};

class PacketIo {
 public:
  virtual ~PacketIo() = default;

  [[nodiscard]] virtual std::size_t capacity() const = 0;
  // Begins to receive. The caller keeps within capacity(), slots count as used until they are
  // reported closed.
  virtual SocketSlot attach(UdpSocket socket) = 0;
  // Stops receiving at once and closes the socket; Batch::closed tells when its port is free again.
  virtual void detach(SocketSlot socket) = 0;
  virtual void set_tos(SocketSlot socket, IpFamily family, std::uint8_t tos) = 0;

  virtual Batch receive(const Wait& wait) = 0;
  virtual void send(SocketSlot from, const RemoteEndpoint& to, Bytes payload) = 0;
  virtual void flush() = 0;
  // Now and then (about every 100 ms): sockets whose reception kept failing are tried again.
  virtual void tick() = 0;

  [[nodiscard]] virtual PacketIoCounts counts() const = 0;

  // Ends a receive() that waits, or the next one. Any thread.
  virtual void wake() = 0;
};

}  // namespace rtpool::io
