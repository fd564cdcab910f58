// StunView and the lite ICE agent over any bytes: nothing is authentic without the key, and a reply
// fits.
#include <cstddef>
#include <cstdint>

#include "relay/base/assert.h"
#include "relay/media/ice_lite.h"
#include "relay/media/stun.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtpool;
  const auto view = media::StunView::parse(Bytes(reinterpret_cast<const std::byte*>(data), size));
  if (!view) return 0;
  RTPOOL_ASSERT(size >= media::kStunHeaderBytes && size % 4 == 0);
  RTPOOL_ASSERT(view->username().size() <= size);
  static_cast<void>(view->transaction_id());
  static_cast<void>(view->xor_mapped_address());
  static_cast<void>(view->error_code());

  // The password of RFC 5769's samples, so that the corpus reaches the far side of the check; an
  // agent with another one must stay silent whatever comes.
  const RemoteEndpoint source{{IpAddress::v4(203, 0, 113, 10), 4000}};
  const Instant now{std::chrono::seconds(1)};
  media::IceLite ours(
      {.local_ufrag = "evtj", .local_pwd = "VOkJxbRl1RmTxUk/WvJxBt", .remote_ufrag = "h6vY"});
  const auto answer = ours.answer(*view, source, now);
  if (!answer.reply.empty()) {
    RTPOOL_ASSERT(answer.reply.size() <= media::kStunMaxReply);
    const auto reply = media::StunView::parse(answer.reply);
    RTPOOL_ASSERT(reply && reply->has_fingerprint() && reply->has_integrity());
    RTPOOL_ASSERT(reply->transaction_id() == view->transaction_id());
    RTPOOL_ASSERT(view->has_integrity());
  }
  media::IceLite another(
      {.local_ufrag = "evtj", .local_pwd = "another password", .remote_ufrag = "h6vY"});
  RTPOOL_ASSERT(another.answer(*view, source, now).reply.empty());
  RTPOOL_ASSERT(!another.heard(source));
  return 0;
}
