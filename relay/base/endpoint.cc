#include "relay/base/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "relay/base/assert.h"

namespace rtpool {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return port;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.empty() || text.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  std::copy(text.begin(), text.end(), terminated.begin());
  IpAddress address;
  if (inet_pton(AF_INET, terminated.data(), address.octets.data()) == 1) return address;
  if (inet_pton(AF_INET6, terminated.data(), address.octets.data()) == 1) {
    address.family = IpFamily::v6;
    return address;
  }
  return std::nullopt;
}

bool IpAddress::is_unspecified() const {
  return std::all_of(octets.begin(), octets.end(), [](std::uint8_t o) { return o == 0; });
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return octets[0] == 127;
  return std::all_of(octets.begin(), octets.end() - 1, [](std::uint8_t o) { return o == 0; }) &&
         octets[15] == 1;
}

bool IpAddress::is_link_local() const {
  if (is_v4()) return octets[0] == 169 && octets[1] == 254;
  return octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80;
}

bool IpAddress::is_multicast() const {
  return is_v4() ? (octets[0] & 0xf0) == 0xe0 : octets[0] == 0xff;
}

bool IpAddress::is_broadcast() const {
  return *this == v4(255, 255, 255, 255);
}

IpAddress IpAddress::unmapped() const {
  if (is_v4()) return *this;
  const bool mapped =
      std::all_of(octets.begin(), octets.begin() + 10, [](std::uint8_t o) { return o == 0; }) &&
      octets[10] == 0xff && octets[11] == 0xff;
  return mapped ? v4(octets[12], octets[13], octets[14], octets[15]) : *this;
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(is_v4() ? AF_INET : AF_INET6, octets.data(), text.data(), text.size());
  return text.data();
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  const auto port = parse_port(text.substr(colon + 1));
  if (!address || !port || bracketed == address->is_v4()) return std::nullopt;
  return Endpoint{*address, *port};
}

Endpoint Endpoint::from_sockaddr(const sockaddr* address) {
  Endpoint endpoint;
  if (address->sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, address, sizeof in);
    std::memcpy(endpoint.address.octets.data(), &in.sin_addr, 4);
    endpoint.port = ntohs(in.sin_port);
    return endpoint;
  }
  RTPOOL_ASSERT(address->sa_family == AF_INET6);
  sockaddr_in6 in6{};
  std::memcpy(&in6, address, sizeof in6);
  endpoint.address.family = IpFamily::v6;
  std::memcpy(endpoint.address.octets.data(), &in6.sin6_addr, 16);
  endpoint.port = ntohs(in6.sin6_port);
  return endpoint;
}

socklen_t Endpoint::to_sockaddr(sockaddr_storage& out) const {
  std::memset(&out, 0, sizeof out);
  if (address.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.octets.data(), 4);
    std::memcpy(&out, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  std::memcpy(&in6.sin6_addr, address.octets.data(), 16);
  std::memcpy(&out, &in6, sizeof in6);
  return sizeof in6;
}

std::string Endpoint::to_string() const {
  const std::string host = address.is_v4() ? address.to_string() : "[" + address.to_string() + "]";
  return host + ":" + std::to_string(port);
}

}  // namespace rtpool

std::size_t std::hash<rtpool::IpAddress>::operator()(
    const rtpool::IpAddress& address) const noexcept {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::memcpy(&high, address.octets.data(), 8);
  std::memcpy(&low, address.octets.data() + 8, 8);
  std::uint64_t h = (high ^ (low * 0x9e3779b97f4a7c15ULL)) * 0xbf58476d1ce4e5b9ULL;
  return static_cast<std::size_t>(h ^ (h >> 29));
}

std::size_t std::hash<rtpool::Endpoint>::operator()(
    const rtpool::Endpoint& endpoint) const noexcept {
  return std::hash<rtpool::IpAddress>{}(endpoint.address) * 31 + endpoint.port;
}
