// A proxy's request as types: what the NG dictionary says, checked and bounded, whichever way the
// proxy wrote it (lists and strings, keys with `-` or space, numbers as strings, or all in one
// `rtpp-flags` string, as newer Kamailio sends it). Pure: no thread, no I/O.
//
// What the peers ignore is ignored here too, so that a configuration that works with them works
// here: unknown keys and flags, an address that is none, a number out of range. `ignored` says
// which, for the log, and `raw` keeps the dictionary for what is not typed. Errors are: a required
// key that is missing (with the peers' own text), a string over its limit, control characters where
// a name is due. It does not look into the SDP, and does not know which interfaces or calls exist.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/ng/codec.h"
#include "control/ng/errc.h"
#include "control/ng/value.h"
#include "relay/base/endpoint.h"

namespace rtpool::ng {

enum class Command : std::uint8_t {
  ping,
  offer,
  answer,
  delete_call,
  query,
  list,
  statistics,
  start_recording,
  stop_recording,
  pause_recording,
  start_forwarding,
  stop_forwarding,
  block_media,
  unblock_media,
  silence_media,
  unsilence_media,
  block_dtmf,
  unblock_dtmf,
  play_media,
  stop_media,
  play_dtmf,
  publish,
  subscribe_request,
  subscribe_answer,
  unsubscribe,
  unknown,  // for counters: a request that did not parse so far
};
inline constexpr std::size_t kCommandCount = static_cast<std::size_t>(Command::unknown) + 1;
std::string_view to_string(Command command);                  // as on the wire: "start recording"
std::optional<Command> parse_command(std::string_view text);  // tolerant of `-` for space

// Words such as flags, compared as the peers do (same_word). Keeps the order and the spelling of
// arrival.
class FlagSet {
 public:
  FlagSet() = default;
  FlagSet(std::initializer_list<std::string_view> words);
  [[nodiscard]] bool has(std::string_view word) const;
  [[nodiscard]] bool empty() const { return words_.empty(); }
  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }
  void insert(std::string_view word);  // once only
 private:
  std::vector<std::string> words_;
};

enum class IceMode : std::uint8_t { unset, remove, force, force_relay, optional };

// The lists under the key `codec`. Names are payload encodings as SDP writes them, perhaps with
// rate and channels.
struct CodecLists {
  std::vector<std::string> strip, except, offer, mask, transcode, consume, accept, ignore, set;
};

// Byte limits of single strings; anything longer is refused with a text that names the key.
inline constexpr std::size_t kMaxCallIdBytes = 1024;
inline constexpr std::size_t kMaxTagBytes = 512;
inline constexpr std::size_t kMaxSdpBytes = 65536;
inline constexpr std::size_t kMaxWordBytes = 256;  // flags, interface names, labels, file names
inline constexpr std::size_t kMaxMetadataBytes = 4096;
inline constexpr std::size_t kMaxIgnored = 16;
inline constexpr std::size_t kMaxFlags = 256;  // per list

struct Request {
  std::string cookie;
  Encoding encoding = Encoding::bencode;
  Command command = Command::unknown;
  Endpoint source;  // who asked; the server fills it in

  std::string call_id, from_tag, to_tag, via_branch;  // empty: not given
  std::string sdp;
  std::optional<IpAddress> received_from;
  FlagSet flags;    // `flags` list, e.g. has("trust-address")
  FlagSet replace;  // "origin", "session-connection", "session-name", ...
  // Interfaces towards the sender and towards the recipient; either may be empty (unsaid).
  std::optional<std::pair<std::string, std::string>> direction;
  IceMode ice = IceMode::unset;
  FlagSet rtcp_mux;                // "offer", "require", "demux", "accept", "reject"
  FlagSet sdes;                    // "off", "no-<suite>", ...
  FlagSet osrtp;                   // "offer", "accept"
  std::string dtls;                // "off", "passive", "active"; empty: not given
  std::string transport_protocol;  // canonical ("RTP/SAVPF"); empty: not given or not known
  std::optional<IpFamily> address_family;
  std::optional<IpAddress> media_address;
  std::string label, to_label, set_label;
  std::string address;  // block media etc.: the party by its media address
  bool all = false;     // block media etc.: every party (`all`)
  CodecLists codec;
  std::optional<bool> record_call;
  std::string metadata, recording_file, recording_dir;
  std::optional<std::uint8_t> tos;
  FlagSet supports;  // "load limit"
  std::optional<std::uint32_t> delete_delay_s;
  std::optional<std::uint32_t> limit;  // list
  std::optional<std::uint16_t> ptime_ms;

  std::vector<std::string> ignored;  // "media-address: not an IP address"; at most kMaxIgnored
  Value raw;                         // the whole dictionary, SDP taken out
};

// Parses body and frame into a Request. Errors: Errc; ng::error_reason() gives the text for the
// reply.
Result<Request> parse_request(const Frame& frame, const ParseLimits& limits = {});
// The second half, when the dictionary is at hand.
Result<Request> to_request(Value dictionary);

}  // namespace rtpool::ng
