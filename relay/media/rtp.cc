#include "relay/media/rtp.h"

namespace rtpool::media {

std::optional<RtpView> RtpView::parse(Bytes datagram) {
  if (datagram.size() < kRtpHeaderBytes) return std::nullopt;
  const std::uint8_t first = load_u8(datagram, 0);
  if (first >> 6 != 2) return std::nullopt;
  std::size_t header = kRtpHeaderBytes + std::size_t{4} * (first & 0x0f);
  if ((first & 0x10) != 0) {
    if (datagram.size() < header + 4) return std::nullopt;
    header += 4 + std::size_t{4} * load_u16(datagram, header + 2);
  }
  if (datagram.size() < header) return std::nullopt;
  if ((first & 0x20) != 0 && datagram.size() == header) return std::nullopt;
  return RtpView(datagram, header);
}

std::optional<std::uint16_t> RtpView::extension_profile() const {
  if (!has_extension()) return std::nullopt;
  return load_u16(bytes_, kRtpHeaderBytes + 4 * csrc_count());
}

Bytes RtpView::extension() const {
  if (!has_extension()) return {};
  const std::size_t begin = kRtpHeaderBytes + 4 * csrc_count() + 4;
  return bytes_.subspan(begin, header_bytes_ - begin);
}

std::optional<std::uint8_t> RtpView::padding() const {
  if ((load_u8(bytes_, 0) & 0x20) == 0) return std::uint8_t{0};
  const std::uint8_t count = load_u8(bytes_, bytes_.size() - 1);
  if (count == 0 || count > bytes_.size() - header_bytes_) return std::nullopt;
  return count;
}

}  // namespace rtpool::media
