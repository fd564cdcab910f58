// RtcpView over any bytes: the walk covers the datagram exactly, and only where it is in clear.
#include <cstddef>
#include <cstdint>

#include "relay/base/assert.h"
#include "relay/media/rtcp.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtpool;
  const auto view = media::RtcpView::parse(Bytes(reinterpret_cast<const std::byte*>(data), size));
  if (!view) return 0;
  RTPOOL_ASSERT(view->first_type() >= 192 && view->first_type() <= 223);
  static_cast<void>(view->sender_ssrc());
  std::size_t at = 0;
  std::size_t covered = 0;
  std::size_t packets = 0;
  while (const auto packet = view->next(at)) {
    RTPOOL_ASSERT(packet->count < 32);
    covered += 4 + packet->body.size();
    RTPOOL_ASSERT(covered == at);
    ++packets;
  }
  RTPOOL_ASSERT(view->clear() ? covered == size && packets > 0 : packets == 0);
  return 0;
}
