// Which codecs go on from one party's list to the other's: no transcoding, only leaving out (RFC
// 3264, 5.1 and 6.1).
#pragma once

#include <vector>

#include "control/sdp/options.h"
#include "control/sdp/terms.h"

namespace rtpool::sdp {

std::vector<CodecTerms> to_terms(const std::vector<Codec>& codecs);

// `codecs` without those that the rules strip. If nothing would be left, all stay: a section
// without formats is no SDP, and the peers do the same.
std::vector<CodecTerms> apply_rules(const std::vector<CodecTerms>& codecs, const CodecRules& rules);

// Those of `answered` whose payload type was in `offered`: an answer can't bring in what its offer
// had not. All of them when none was.
std::vector<CodecTerms> keep_offered(const std::vector<CodecTerms>& answered,
                                     const std::vector<std::uint8_t>& offered);

}  // namespace rtpool::sdp
