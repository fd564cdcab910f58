// What a datagram on a media port is, told by its first byte (RFC 7983, updated by RFC 9443) and,
// for the range that RTP and RTCP share, by its second (RFC 5761, 4). A guess about shape only:
// each protocol's own parser decides whether the datagram is well formed.
//
// The second-byte rule is used on every port, multiplexed or not: payload types 64 to 95 with the
// marker bit set would be taken for RTCP, and RTP profiles leave those types unassigned for exactly
// this reason.
#pragma once

#include <cstdint>

#include "relay/base/bytes.h"

namespace rtpool::media {

enum class PacketKind : std::uint8_t { unknown, stun, zrtp, dtls, turn_channel, quic, rtp, rtcp };

constexpr PacketKind classify(std::uint8_t first, std::uint8_t second) {
  if (first >= 128 && first <= 191) {
    return second >= 192 && second <= 223 ? PacketKind::rtcp : PacketKind::rtp;
  }
  if (first <= 3) return PacketKind::stun;
  if (first >= 16 && first <= 19) return PacketKind::zrtp;
  if (first >= 20 && first <= 63) return PacketKind::dtls;
  if (first >= 64 && first <= 79) return PacketKind::turn_channel;
  if (first >= 80) return PacketKind::quic;  // 80-127 and 192-255
  return PacketKind::unknown;
}

// `datagram` has at least one byte; a lone byte of the RTP range counts as RTP, which then refuses
// it.
inline PacketKind classify(Bytes datagram) {
  return classify(load_u8(datagram, 0),
                  datagram.size() > 1 ? load_u8(datagram, 1) : std::uint8_t{0});
}

// Whether a datagram classified as DTLS could be a record: DTLS 1.0 to 1.2 headers (RFC 6347, 4.1)
// and the plaintext and unified headers of DTLS 1.3 (RFC 9147, 4). The records themselves are the
// parties' business.
inline bool looks_like_dtls(Bytes datagram) {
  if (datagram.empty()) return false;
  const std::uint8_t type = load_u8(datagram, 0);
  if (type >= 32 && type <= 63) return datagram.size() >= 3;
  return type >= 20 && type <= 26 && datagram.size() >= 13 && load_u8(datagram, 1) == 0xfe;
}

}  // namespace rtpool::media
