#include "relay/media/rtcp.h"

namespace rtpool::media {
namespace {

constexpr std::size_t kHeaderBytes = 4;
constexpr std::size_t kReportBlockBytes = 24;

// Whether the header at `at` adds up with itself and fits; its size is put into `size`. `count` and
// `length` are in clear in the first packet also under SRTCP.
bool header_fits(Bytes bytes, std::size_t at, std::size_t& size) {
  if (bytes.size() - at < kHeaderBytes) return false;
  const std::uint8_t first = load_u8(bytes, at);
  const std::uint8_t type = load_u8(bytes, at + 1);
  if (first >> 6 != 2 || type < 192 || type > 223) return false;
  size = std::size_t{4} * (load_u16(bytes, at + 2) + std::size_t{1});
  if (size > bytes.size() - at) return false;
  const std::size_t count = first & 0x1f;
  switch (type) {
    case 200:
      return size >= 28 + count * kReportBlockBytes;
    case 201:
      return size >= 8 + count * kReportBlockBytes;
    case 202:
      return count == 0 || size >= kHeaderBytes + 8 * count;  // an SSRC and an ended item list each
    case 203:
      return size >= kHeaderBytes + 4 * count;
    case 204:
    case 205:
    case 206:
      return size >= 12;
    default:
      return true;
  }
}

// The last packet's padding count must be a multiple of four that leaves the header (RFC
// 3550, 6.4.1).
bool padding_fits(Bytes packet) {
  if ((load_u8(packet, 0) & 0x20) == 0) return true;
  const std::size_t count = load_u8(packet, packet.size() - 1);
  return count > 0 && count % 4 == 0 && count <= packet.size() - kHeaderBytes;
}

bool compound_adds_up(Bytes bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    std::size_t size = 0;
    if (!header_fits(bytes, at, size)) return false;
    const bool last = at + size == bytes.size();
    if (!last && (load_u8(bytes, at) & 0x20) != 0) return false;
    if (last && !padding_fits(bytes.subspan(at, size))) return false;
    at += size;
  }
  return true;
}

}  // namespace

std::optional<RtcpView> RtcpView::parse(Bytes datagram) {
  std::size_t first_size = 0;
  if (datagram.size() < 8 || !header_fits(datagram, 0, first_size) || first_size < 8) {
    return std::nullopt;
  }
  if (compound_adds_up(datagram)) return RtcpView(datagram, true);
  if (datagram.size() - first_size < kSrtcpTrailerBytes) return std::nullopt;
  return RtcpView(datagram, false);
}

std::optional<RtcpPacket> RtcpView::next(std::size_t& offset) const {
  std::size_t size = 0;
  if (!clear_ || offset >= bytes_.size() || !header_fits(bytes_, offset, size)) return std::nullopt;
  const RtcpPacket packet{.type = load_u8(bytes_, offset + 1),
                          .count = static_cast<std::uint8_t>(load_u8(bytes_, offset) & 0x1f),
                          .body = bytes_.subspan(offset + kHeaderBytes, size - kHeaderBytes)};
  offset += size;
  return packet;
}

}  // namespace rtpool::media
