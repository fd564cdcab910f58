// Writes a session description as its recipient is to see it: our addresses and ports in place of
// the sender's, what the terms and options say, and every other byte as it came.
//
// Pure. Rewritten are: m= port (0 stays), protocol and RTP formats, c= addresses, a=rtcp,
// a=rtcp-mux, ICE attributes, direction (made explicit, last of the section's own lines), a=rtpmap,
// a=fmtp, a=rtcp-fb of single formats and a=ptime (moved behind the section's other lines, static
// a=rtpmap added), a=mid likewise, a=group:BUNDLE (removed: each m= line has ports of its own), and
// on request o= and s=. SDES keys and DTLS fingerprints pass end to end. The order of new lines is
// rtpengine's.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/sdp/terms.h"
#include "relay/base/endpoint.h"

namespace rtpool::sdp {

// Our side of one m= line towards the recipient.
struct MediaRewrite {
  std::optional<AdvertisedEndpoint> rtp;   // absent: rejected, or not relayed
  std::optional<AdvertisedEndpoint> rtcp;  // absent: none of its own (rtcp-mux, or not RTP)
  std::string ice_ufrag, ice_pwd;          // set where SocketPlan::ice is
};

// `media` has one entry for each m= line. `recipient` is the party as negotiate() left it; its
// names, version and `last_sent` are kept up here. Where no m= line has an address, `fallback` (one
// of our addresses) stands in o= and c=.
Result<std::string> rewrite(const Session& session, const Options& options,
                            std::span<const MediaRewrite> media, Party& recipient,
                            const std::optional<IpAddress>& fallback = std::nullopt);

}  // namespace rtpool::sdp
