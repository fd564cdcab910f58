// RtpView over any bytes: what it accepts adds up and stays within the datagram.
#include <cstddef>
#include <cstdint>

#include "relay/base/assert.h"
#include "relay/media/demux.h"
#include "relay/media/rtp.h"
#include "relay/media/ssrc.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtpool;
  const Bytes datagram(reinterpret_cast<const std::byte*>(data), size);
  const auto view = media::RtpView::parse(datagram);
  if (!view) return 0;
  RTPOOL_ASSERT(media::classify(datagram) == media::PacketKind::rtp ||
                media::classify(datagram) == media::PacketKind::rtcp);
  std::size_t header = media::kRtpHeaderBytes + 4 * view->csrc_count();
  for (std::size_t i = 0; i < view->csrc_count(); ++i) static_cast<void>(view->csrc(i));
  if (view->extension_profile()) header += 4 + view->extension().size();
  RTPOOL_ASSERT(header + view->payload().size() == size);
  if (const auto padding = view->padding()) RTPOOL_ASSERT(*padding <= view->payload().size());

  // The same packet through the statistics, later and again: a duplicate, in any state.
  media::SsrcTable table;
  Instant now{std::chrono::seconds(1)};
  for (int i = 0; i < 3; ++i) {
    table.record(*view, size, now);
    now += std::chrono::milliseconds(700);
  }
  RTPOOL_ASSERT(table.size() == 1 && table.states()[0].received.packets == 3);
  RTPOOL_ASSERT(table.states()[0].lost == -2);
  return 0;
}
