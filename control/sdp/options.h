// What a proxy asks to be done to a session description: the SDP side of an NG request's keys and
// flags. Plain values; options_from_words() is pure. What is not about SDP (latching, recording,
// labels) is not here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/sdp/session.h"
#include "relay/base/endpoint.h"

namespace rtpool::sdp {

enum class Step : std::uint8_t { offer, answer };

// `as_offered` is what rtpengine does without the key: ICE towards the other side if the offerer
// does ICE. `force_relay` and `optional` end ICE here like `force`: media that could go around a
// relay can't be vouched for.
enum class IceMode : std::uint8_t { as_offered, remove, force, force_relay, optional };

struct CodecRules {  // names as in a=rtpmap, "opus", "G722/8000", "opus/48000/2", or "all", "full"
  std::vector<std::string> strip;   // taken out
  std::vector<std::string> except;  // but not these
  std::vector<std::string>
      offer;  // put back after stripping, in this order, behind those that stayed
};

struct Options {
  Step step = Step::offer;

  bool replace_origin = false;  // address in o=
  bool replace_session_connection =
      false;                          // session-level c= even where every media section has its own
  bool replace_session_name = false;  // s= of the party's first description
  bool replace_username = false;      // user name in o= likewise
  bool replace_version = false;  // version in o= counted by us: +1 when what we sent last differs
  bool replace_zero_address = false;  // also 0.0.0.0 and ::

  IceMode ice = IceMode::as_offered;
  bool trickle_ice = false;  // offer a=ice-options:trickle
  bool reject_ice = false;   // do no ICE with the offerer

  bool mux_offer = false, mux_require = false,
       mux_demux = false;                       // towards the recipient of an offer
  bool mux_accept = false, mux_reject = false;  // towards the offerer, in the answer

  std::optional<Protocol> protocol;  // transport-protocol
  bool protocol_accept = false;  // transport-protocol=accept: the answerer's change goes through
  bool no_rtcp_attribute = false;
  bool full_rtcp_attribute = false;  // with address
  bool original_sendrecv = false;    // leave direction attributes alone
  bool strip_extmap = false;
  bool generate_mid = false;
  bool reset = false;                                // forget what was agreed on ICE
  std::uint32_t ptime_ms = 0, reverse_ptime_ms = 0;  // 0: as it comes

  std::optional<IpFamily> address_family;  // of our sockets towards the recipient
  std::optional<IpAddress> media_address;  // written instead of ours
  CodecRules codec;
};

// Sets what `word` under the NG key `key` means here; a word that says nothing about SDP changes
// nothing and gives false. Keys: "flags", "replace", "ICE", "rtcp-mux", "transport-protocol",
// "codec-strip", "codec-except", "codec-offer", "address-family", "ptime", "ptime-reverse",
// "media-address". In words and keys `-`, `_` and space are one.
bool take_word(Options& options, std::string_view key, std::string_view word);

}  // namespace rtpool::sdp
