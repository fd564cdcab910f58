// Hostile descriptions through parsing, negotiation and rewriting: what is accepted must come out
// as SDP again. The first byte chooses options.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "control/sdp/rewrite.h"
#include "relay/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtpool;
  using namespace rtpool::sdp;
  if (size == 0) return 0;
  const unsigned choice = data[0];
  const auto session = parse({reinterpret_cast<const char*>(data + 1), size - 1});
  if (!session) return 0;
  Options options;
  options.ice = static_cast<IceMode>(choice % 5);
  options.mux_demux = (choice & 8) != 0;
  options.replace_origin = options.replace_session_connection = (choice & 16) != 0;
  options.replace_version = options.replace_username = (choice & 32) != 0;
  if ((choice & 64) != 0)
    options.codec.strip.push_back("all"), options.codec.offer.push_back("PCMU");
  Party caller, callee;
  for (const Step step : {Step::offer, Step::answer, Step::offer}) {
    options.step = step;
    Party& from = step == Step::offer ? caller : callee;
    Party& to = step == Step::offer ? callee : caller;
    const auto plan = negotiate(*session, options, from, to);
    if (!plan) return 0;
    std::vector<MediaRewrite> ours;
    for (const MediaPlan& media : plan->media) {
      MediaRewrite entry;
      const AdvertisedEndpoint endpoint{{IpAddress::v4(192, 0, 2, 1), 30000}};
      if (media.recipient.open) entry.rtp = endpoint;
      if (media.recipient.rtcp) entry.rtcp = endpoint;
      if (media.recipient.ice) entry.ice_ufrag = "u", entry.ice_pwd = "p";
      ours.push_back(entry);
    }
    const auto text = rewrite(*session, options, ours, to);
    RTPOOL_ASSERT(text.has_value());
    const auto again = parse(*text);
    // Only growth past the limits may keep our own words from being read.
    RTPOOL_ASSERT(again.has_value() || again.error().code == make_error_code(Errc::too_large));
  }
  return 0;
}
