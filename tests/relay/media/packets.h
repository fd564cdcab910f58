// Packets for tests of the media core, built byte by byte so that a test can also spoil them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/bytes.h"
#include "relay/base/endpoint.h"
#include "relay/media/hmac_sha1.h"
#include "relay/media/stun.h"

namespace rtpool::media::testing {

using Packet = std::vector<std::byte>;

inline Packet bytes(std::initializer_list<int> values) {
  Packet packet;
  for (const int value : values) packet.push_back(static_cast<std::byte>(value));
  return packet;
}

// "80 00 ff": as documents print packets.
inline Packet from_hex(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != ' ' && c != '\n') digits += c;
  }
  Packet packet;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    packet.push_back(static_cast<std::byte>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return packet;
}

struct RtpFields {
  std::uint8_t payload_type = 0;
  std::uint16_t sequence = 1;
  std::uint32_t timestamp = 160;
  std::uint32_t ssrc = 0xa11ce;
  std::size_t payload = 160;
};

inline Packet rtp(const RtpFields& fields = {}) {
  Packet packet(12 + fields.payload);
  packet[0] = std::byte{0x80};
  packet[1] = std::byte{fields.payload_type};
  store_u16(packet, 2, fields.sequence);
  store_u32(packet, 4, fields.timestamp);
  store_u32(packet, 8, fields.ssrc);
  return packet;
}

// A receiver report without report blocks: the shortest compound that is whole.
inline Packet rtcp(std::uint32_t ssrc = 0xa11ce) {
  Packet packet = bytes({0x80, 201, 0, 1, 0, 0, 0, 0});
  store_u32(packet, 4, ssrc);
  return packet;
}

inline Packet dtls() {
  Packet packet(13 + 20);
  packet[0] = std::byte{22};
  packet[1] = std::byte{0xfe};
  packet[2] = std::byte{0xfd};
  return packet;
}

struct CheckFields {
  std::string username;
  std::string password;
  bool use_candidate = false;
  bool controlled = false;  // instead of controlling
  bool both_roles = false;
  std::uint16_t unknown = 0;  // an attribute type that nobody knows
  StunClass message_class = StunClass::request;
  std::uint16_t method = kStunBinding;
};

// A connectivity check as a full ICE agent sends it.
inline Packet check(const CheckFields& fields) {
  Packet packet(512);
  StunWriter writer(packet, fields.message_class, fields.method,
                    {std::byte{1}, std::byte{2}, std::byte{3}});
  if (!fields.username.empty()) writer.add(StunAttribute::username, as_bytes(fields.username));
  writer.add_u32(StunAttribute::priority, 1845501695);
  const Packet tie_breaker(8, std::byte{7});
  if (fields.controlled || fields.both_roles)
    writer.add(StunAttribute::ice_controlled, tie_breaker);
  if (!fields.controlled) writer.add(StunAttribute::ice_controlling, tie_breaker);
  if (fields.use_candidate) writer.add_flag(StunAttribute::use_candidate);
  if (fields.unknown != 0) writer.add_flag(static_cast<StunAttribute>(fields.unknown));
  if (!fields.password.empty()) writer.add_integrity(HmacSha1(as_bytes(fields.password)));
  writer.add_fingerprint();
  packet.resize(writer.bytes().size());
  return packet;
}

inline RemoteEndpoint remote(std::string_view text) {
  return {*Endpoint::parse(text)};
}
inline LocalEndpoint local(std::string_view text) {
  return {*Endpoint::parse(text)};
}
inline IpAddress ip(std::string_view text) {
  return *IpAddress::parse(text);
}

}  // namespace rtpool::media::testing
