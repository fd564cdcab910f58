#include "control/sdp/options.h"

#include <array>

#include "control/sdp/text.h"

namespace rtpool::sdp {
namespace {

// The words of lists, in one spelling: `-` for space and underscore, and without case.
std::string canonical(std::string_view word) {
  std::string text;
  text.reserve(word.size());
  for (const char c : word) text += c == ' ' || c == '_' ? '-' : to_lower(c);
  return text;
}

struct Switch {
  std::string_view word;
  bool Options::*field;
};

constexpr std::array<Switch, 9> kFlags{{
    {"no-rtcp-attribute", &Options::no_rtcp_attribute},
    {"full-rtcp-attribute", &Options::full_rtcp_attribute},
    {"original-sendrecv", &Options::original_sendrecv},
    {"strip-extmap", &Options::strip_extmap},
    {"generate-mid", &Options::generate_mid},
    {"reset", &Options::reset},
    {"trickle-ice", &Options::trickle_ice},
    {"ice-reject", &Options::reject_ice},
    {"reject-ice", &Options::reject_ice},
}};
constexpr std::array<Switch, 6> kReplace{{
    {"origin", &Options::replace_origin},
    {"session-connection", &Options::replace_session_connection},
    {"session-name", &Options::replace_session_name},
    {"sdp-version", &Options::replace_version},
    {"username", &Options::replace_username},
    {"zero-address", &Options::replace_zero_address},
}};
constexpr std::array<Switch, 5> kMux{{
    {"offer", &Options::mux_offer},
    {"require", &Options::mux_require},
    {"demux", &Options::mux_demux},
    {"accept", &Options::mux_accept},
    {"reject", &Options::mux_reject},
}};

template <std::size_t size>
bool set(Options& options, const std::array<Switch, size>& switches, std::string_view word) {
  for (const Switch& entry : switches) {
    if (entry.word != word) continue;
    options.*entry.field = true;
    return true;
  }
  return false;
}

bool take_ice(Options& options, std::string_view word) {
  if (word == "remove") {
    options.ice = IceMode::remove;
  } else if (word == "force") {
    options.ice = IceMode::force;
  } else if (word == "force-relay") {
    options.ice = IceMode::force_relay;
  } else if (word == "optional") {
    options.ice = IceMode::optional;
  } else if (word == "default") {
    options.ice = IceMode::as_offered;
  } else {
    return false;
  }
  return true;
}

bool take_codec(Options& options, std::string_view list, std::string_view name) {
  if (name.empty()) return false;
  if (list == "strip") {
    options.codec.strip.emplace_back(name);
  } else if (list == "except") {
    options.codec.except.emplace_back(name);
  } else if (list == "offer") {
    options.codec.offer.emplace_back(name);
  } else {
    return false;
  }
  return true;
}

// "codec-strip-PCMU" among the flags is "PCMU" in the list codec-strip.
bool take_flag(Options& options, std::string_view raw, std::string_view word) {
  if (set(options, kFlags, word)) return true;
  for (const std::string_view list : {"strip", "except", "offer"}) {
    const std::string prefix = "codec-" + std::string(list) + "-";
    if (word.size() > prefix.size() && word.substr(0, prefix.size()) == prefix) {
      return take_codec(options, list, raw.substr(prefix.size()));
    }
  }
  return false;
}

}  // namespace

bool take_word(Options& options, std::string_view key, std::string_view word) {
  const std::string list = canonical(key);
  const std::string text = canonical(word);
  if (list == "flags") return take_flag(options, word, text);
  if (list == "replace") return set(options, kReplace, text);
  if (list == "rtcp-mux") return set(options, kMux, text);
  if (list == "ice") return take_ice(options, text);
  if (list.substr(0, 6) == "codec-") return take_codec(options, list.substr(6), word);
  if (list == "transport-protocol") {
    const auto protocol = parse_protocol(word);
    if (text == "accept") {
      options.protocol_accept = true;
    } else if (protocol && is_rtp(*protocol)) {
      options.protocol = protocol;
    } else {
      return false;
    }
    return true;
  }
  if (list == "ptime" || list == "ptime-reverse") {
    const auto number = to_number<std::uint32_t>(word);
    if (!number || *number > 10'000) return false;
    (list == "ptime" ? options.ptime_ms : options.reverse_ptime_ms) = *number;
    return true;
  }
  if (list == "address-family") {
    if (text != "ip4" && text != "ip6") return false;
    options.address_family = text == "ip4" ? IpFamily::v4 : IpFamily::v6;
    return true;
  }
  if (list == "media-address") {
    options.media_address = IpAddress::parse(word);
    return options.media_address.has_value();
  }
  return false;
}

}  // namespace rtpool::sdp
