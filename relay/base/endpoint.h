// IP addresses and UDP endpoints as values: no sockets, no name resolution, no allocation but in
// to_string. An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is kept as it was given; `unmapped()`
// gives the IPv4 one.
#pragma once

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace rtpool {

enum class IpFamily : std::uint8_t { v4 = 4, v6 = 6 };

struct IpAddress {
  std::array<std::uint8_t, 16> octets{};  // network order; an IPv4 address uses the first four
  IpFamily family = IpFamily::v4;

  static constexpr IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    IpAddress address;
    address.octets[0] = a;
    address.octets[1] = b;
    address.octets[2] = c;
    address.octets[3] = d;
    return address;
  }
  // Dotted quad or RFC 4291 text, without brackets, zone or port. Nothing else is accepted.
  static std::optional<IpAddress> parse(std::string_view text);

  [[nodiscard]] bool is_v4() const { return family == IpFamily::v4; }
  [[nodiscard]] bool is_unspecified() const;  // 0.0.0.0, ::
  [[nodiscard]] bool is_loopback() const;     // 127/8, ::1
  [[nodiscard]] bool is_link_local() const;   // 169.254/16, fe80::/10
  [[nodiscard]] bool is_multicast() const;    // 224/4, ff00::/8
  [[nodiscard]] bool is_broadcast() const;    // 255.255.255.255
  [[nodiscard]] IpAddress unmapped() const;   // the IPv4 address inside ::ffff:0:0/96, or itself
  [[nodiscard]] std::string to_string() const;

  constexpr auto operator<=>(const IpAddress&) const = default;
};

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  // "a.b.c.d:port" or "[v6]:port".
  static std::optional<Endpoint> parse(std::string_view text);
  static Endpoint from_sockaddr(const sockaddr* address);
  // Fills `out` and returns its length. The family is the address's own.
  socklen_t to_sockaddr(sockaddr_storage& out) const;
  [[nodiscard]] std::string to_string() const;

  constexpr auto operator<=>(const Endpoint&) const = default;
};

// Three roles of an endpoint that must not be mixed up.
struct LocalEndpoint : Endpoint {  // where our socket is bound
  constexpr auto operator<=>(const LocalEndpoint&) const = default;
};
struct AdvertisedEndpoint : Endpoint {  // what the SDP says of it (differs behind a 1:1 NAT)
  constexpr auto operator<=>(const AdvertisedEndpoint&) const = default;
};
struct RemoteEndpoint : Endpoint {  // the other side's
  constexpr auto operator<=>(const RemoteEndpoint&) const = default;
};

}  // namespace rtpool

template <>
struct std::hash<rtpool::IpAddress> {
  std::size_t operator()(const rtpool::IpAddress& address) const noexcept;
};
template <>
struct std::hash<rtpool::Endpoint> {
  std::size_t operator()(const rtpool::Endpoint& endpoint) const noexcept;
};
