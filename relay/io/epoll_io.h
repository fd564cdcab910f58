// PacketIo by epoll and one system call a datagram, for kernels and containers without io_uring;
// with Wait.gather 0 it is the plain relay loop that others are measured against.
//
// Each socket keeps its descriptor, watched level-triggered: a media socket has one datagram at a
// time, so a second look at it (as edge-triggering wants) would cost a call for each. With
// Wait.gather it works by a tick: it sleeps for the window, then takes all that has come. Sends are
// made inside send(); flush() has nothing left to do. Any Linux that rtpool runs on.
//
// PacketIoCounts: a reception is never armed anew, so receive_rearmed only counts sockets that kept
// failing and were watched again at a tick(); buffers_exhausted counts batches that ended for want
// of a buffer. late_packets stays 0: a detached socket is closed at once, and what waited in it is
// gone with it.
#pragma once

#include <cstdint>
#include <memory>

#include "relay/base/result.h"
#include "relay/io/packet_io.h"

namespace rtpool::io {

struct EpollOptions {
  std::uint32_t sockets = 1024;       // capacity()
  std::uint32_t buffers = 512;        // more than the largest batch, 512, are not used
  std::uint32_t buffer_bytes = 2048;  // a datagram's
  Duration busy_poll{};               // busy_poll.h; 0: none
};

class EpollIo final : public PacketIo {
 public:
  // IoErrc::out_of_descriptors, epoll_unavailable or busy_poll_unavailable.
  static Result<std::unique_ptr<EpollIo>> create(const EpollOptions& options);
  // Closes what is still attached.
  ~EpollIo() override;

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
  explicit EpollIo(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rtpool::io
