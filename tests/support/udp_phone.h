// A telephone's media socket for tests on loopback: sends what it is told, waits a bounded time for
// what comes.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/assert.h"
#include "relay/base/bytes.h"
#include "relay/base/endpoint.h"
#include "relay/io/socket.h"

namespace rtpool::test {

inline const IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);
inline const IpAddress kLoopback6 = *IpAddress::parse("::1");

// An RTP packet of version 2 whose payload is `payload` bytes of 0xd5 (A-law silence).
inline std::vector<std::byte> rtp(std::uint16_t sequence, std::uint32_t ssrc = 0x1234,
                                  std::size_t payload = 160, std::uint8_t payload_type = 8) {
  std::vector<std::byte> packet(12 + payload, std::byte{0xd5});
  packet[0] = std::byte{0x80};
  packet[1] = std::byte{payload_type};
  store_u16(packet, 2, sequence);
  store_u32(packet, 4, sequence * 160U);
  store_u32(packet, 8, ssrc);
  return packet;
}

inline std::uint16_t sequence_of(Bytes packet) {
  return packet.size() < 4 ? 0 : load_u16(packet, 2);
}

class UdpPhone {
 public:
  explicit UdpPhone(const IpAddress& address = kLoopback)
      : socket_(std::move(
            *io::UdpSocket::bind(LocalEndpoint{{address, 0}}, {.receive_buffer_bytes = 1 << 22}))),
        local_(socket_.local()) {}

  [[nodiscard]] RemoteEndpoint endpoint() const { return RemoteEndpoint{local_}; }
  [[nodiscard]] int fd() const { return socket_.fd(); }

  void send(const Endpoint& to, Bytes packet) {
    sockaddr_storage address{};
    const socklen_t length = to.to_sockaddr(address);
    const ssize_t sent = ::sendto(socket_.fd(), packet.data(), packet.size(), 0,
                                  reinterpret_cast<const sockaddr*>(&address), length);
    RTPOOL_ASSERT(sent == static_cast<ssize_t>(packet.size()));
  }

  struct Heard {
    std::vector<std::byte> packet;
    Endpoint source;
  };
  std::optional<Heard> receive(
      std::chrono::milliseconds patience = std::chrono::milliseconds(2000)) {
    pollfd poll_fd{socket_.fd(), POLLIN, 0};
    if (::poll(&poll_fd, 1, static_cast<int>(patience.count())) <= 0) return std::nullopt;
    std::array<std::byte, 65536> buffer;
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    const ssize_t got = ::recvfrom(socket_.fd(), buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr*>(&address), &length);
    if (got < 0) return std::nullopt;
    return Heard{{buffer.begin(), buffer.begin() + got},
                 Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&address))};
  }
  // How many datagrams come until none has for `silence`.
  std::size_t drain(std::chrono::milliseconds silence = std::chrono::milliseconds(300)) {
    std::size_t count = 0;
    while (receive(silence)) ++count;
    return count;
  }

 private:
  io::UdpSocket socket_;
  LocalEndpoint local_;
};

}  // namespace rtpool::test
