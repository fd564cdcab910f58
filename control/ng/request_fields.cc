#include "control/ng/request_fields.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "control/ng/rtpp_flags.h"

namespace rtpool::ng {
namespace {

// What may stand behind `transport-protocol`. `accept` lets the answerer's offer stand (rtpengine's
// word).
constexpr std::array<std::string_view, 8> kTransports = {
    "RTP/AVP",          "RTP/AVPF",          "RTP/SAVP", "RTP/SAVPF",
    "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF", "UDPTL",    "accept"};

std::optional<std::string_view> known_transport(std::string_view text) {
  const auto* found = std::find_if(kTransports.begin(), kTransports.end(),
                                   [text](std::string_view name) { return same_word(name, text); });
  return found == kTransports.end() ? std::nullopt : std::optional(*found);
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::optional<std::string_view> after_prefix(std::string_view word, std::string_view prefix) {
  if (word.size() <= prefix.size() || !same_word(word.substr(0, prefix.size()), prefix))
    return std::nullopt;
  return word.substr(prefix.size());
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [word](std::string_view w) { return same_word(w, word); });
}

// Calls `each` for every word of a list, or of a string that parts them by commas. Returns the
// first error.
template <class Each>
Error for_each_word(const Value& value, Each each) {
  if (value.is_list()) {
    for (const Value& item : value.items()) {
      const auto word = item.text();
      if (!word) continue;
      if (Error error = each(std::string_view(*word)); error.code.failed()) return error;
    }
    return {};
  }
  const std::string text = value.text().value_or("");
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    if (comma > 0) {
      if (Error error = each(rest.substr(0, comma)); error.code.failed()) return error;
    }
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return {};
}

using CodecList = std::vector<std::string> CodecLists::*;
constexpr std::array<std::pair<std::string_view, CodecList>, 9> kCodecLists = {{
    {"strip", &CodecLists::strip},
    {"except", &CodecLists::except},
    {"offer", &CodecLists::offer},
    {"mask", &CodecLists::mask},
    {"transcode", &CodecLists::transcode},
    {"consume", &CodecLists::consume},
    {"accept", &CodecLists::accept},
    {"ignore", &CodecLists::ignore},
    {"set", &CodecLists::set},
}};

struct TextField {
  std::string_view key;
  std::string Request::*member;
  std::size_t max_bytes;
};
constexpr std::array kTextFields = std::to_array<TextField>({
    {"call-id", &Request::call_id, kMaxCallIdBytes},
    {"from-tag", &Request::from_tag, kMaxTagBytes},
    {"to-tag", &Request::to_tag, kMaxTagBytes},
    {"via-branch", &Request::via_branch, kMaxTagBytes},
    {"label", &Request::label, kMaxWordBytes},
    {"from-label", &Request::label, kMaxWordBytes},
    {"to-label", &Request::to_label, kMaxWordBytes},
    {"set-label", &Request::set_label, kMaxWordBytes},
    {"address", &Request::address, kMaxWordBytes},
    {"recording-file", &Request::recording_file, kMaxWordBytes},
    {"recording-dest", &Request::recording_file, kMaxWordBytes},
    {"recording-destination", &Request::recording_file, kMaxWordBytes},
    {"output-file", &Request::recording_file, kMaxWordBytes},
    {"output-dest", &Request::recording_file, kMaxWordBytes},
    {"output-destination", &Request::recording_file, kMaxWordBytes},
    {"recording-dir", &Request::recording_dir, kMaxWordBytes},
    {"recording-directory", &Request::recording_dir, kMaxWordBytes},
    {"recording-folder", &Request::recording_dir, kMaxWordBytes},
    {"recording-path", &Request::recording_dir, kMaxWordBytes},
    {"output-dir", &Request::recording_dir, kMaxWordBytes},
    {"output-directory", &Request::recording_dir, kMaxWordBytes},
    {"output-folder", &Request::recording_dir, kMaxWordBytes},
    {"output-path", &Request::recording_dir, kMaxWordBytes},
});

// Flags that are another key's word with that key before it: `rtcp-mux-demux`, `replace-origin`.
struct FlagPrefix {
  std::string_view prefix;
  FlagSet Request::*member;
};
constexpr std::array kFlagPrefixes = std::to_array<FlagPrefix>({
    {"rtcp-mux-", &Request::rtcp_mux},
    {"replace-", &Request::replace},
    {"SDES-", &Request::sdes},
    {"OSRTP-", &Request::osrtp},
});

template <class Integer>
std::optional<Integer> in_range(const Value& value) {
  const auto number = value.integer();
  if (!number || !std::in_range<Integer>(*number)) return std::nullopt;
  return static_cast<Integer>(*number);
}

}  // namespace

// The keys that are no plain text, and what each does.
struct RequestFields::Handler {
  std::string_view key;
  Error (*apply)(RequestFields& fields, const Value& value);
};

Error RequestFields::apply_structured(std::string_view key, const Value& value) {
  using Self = RequestFields;
  static constexpr std::array kHandlers = std::to_array<Handler>({
      {"sdp",
       [](Self& f, const Value& v) { return f.bytes("sdp", v, f.request_.sdp, kMaxSdpBytes); }},
      {"metadata",
       [](Self& f, const Value& v) {
         return f.bytes("metadata", v, f.request_.metadata, kMaxMetadataBytes);
       }},
      {"flags", [](Self& f, const Value& v) { return f.flags(v); }},
      {"rtpp-flags", [](Self& f, const Value& v) { return f.rtpp_flags(v); }},
      {"replace",
       [](Self& f, const Value& v) { return f.words("replace", v, f.request_.replace); }},
      {"rtcp-mux",
       [](Self& f, const Value& v) { return f.words("rtcp-mux", v, f.request_.rtcp_mux); }},
      {"sdes", [](Self& f, const Value& v) { return f.words("SDES", v, f.request_.sdes); }},
      {"osrtp", [](Self& f, const Value& v) { return f.words("OSRTP", v, f.request_.osrtp); }},
      {"supports",
       [](Self& f, const Value& v) { return f.words("supports", v, f.request_.supports); }},
      {"bundle", [](Self& f, const Value& v) { return f.prefixed("BUNDLE-", v); }},
      {"endpoint-learning",
       [](Self& f, const Value& v) { return f.prefixed("endpoint-learning-", v); }},
      {"ice", [](Self& f, const Value& v) { return f.ice(v); }},
      {"dtls", [](Self& f, const Value& v) { return f.dtls(v); }},
      {"codec", [](Self& f, const Value& v) { return f.codec(v); }},
      {"codecs", [](Self& f, const Value& v) { return f.codec(v); }},
      {"direction", [](Self& f, const Value& v) { return f.direction(v); }},
      {"from-interface", [](Self& f, const Value& v) { return f.interface(v, false); }},
      {"to-interface", [](Self& f, const Value& v) { return f.interface(v, true); }},
      {"received-from", [](Self& f, const Value& v) { return f.received_from(v); }},
      {"address-family", [](Self& f, const Value& v) { return f.address_family(v); }},
      {"media-address", [](Self& f, const Value& v) { return f.media_address(v); }},
      {"transport-protocol", [](Self& f, const Value& v) { return f.transport(v); }},
      {"record-call", [](Self& f, const Value& v) { return f.record_call(v); }},
      {"all", [](Self& f, const Value& v) { return f.all(v); }},
      {"tos", [](Self& f, const Value& v) { return f.number("TOS", v, f.request_.tos); }},
      {"ptime", [](Self& f, const Value& v) { return f.number("ptime", v, f.request_.ptime_ms); }},
      {"delete-delay",
       [](Self& f,
          const Value& v) { return f.number("delete delay", v, f.request_.delete_delay_s); }},
      {"limit", [](Self& f, const Value& v) { return f.limit(v); }},
  });
  for (const Handler& handler : kHandlers) {
    if (same_word(handler.key, key)) return handler.apply(*this, value);
  }
  return {};
}

Error RequestFields::apply(std::string_view key, const Value& value) {
  for (const TextField& field : kTextFields) {
    if (same_word(field.key, key))
      return text(field.key, value, request_.*field.member, field.max_bytes);
  }
  return apply_structured(key, value);
}

Error RequestFields::text(std::string_view key, const Value& value, std::string& out,
                          std::size_t max_bytes) {
  if (has_control_character(value.string())) {
    return {Errc::invalid_value, "Bad " + std::string(key) + ": control character"};
  }
  return bytes(key, value, out, max_bytes);
}

Error RequestFields::bytes(std::string_view key, const Value& value, std::string& out,
                           std::size_t max_bytes) {
  auto text = value.text();
  if (!text) {
    ignore(key, "not a string");
    return {};
  }
  if (text->size() > max_bytes) {
    return {Errc::invalid_value,
            "Bad " + std::string(key) + ": longer than " + std::to_string(max_bytes) + " bytes"};
  }
  out = std::move(*text);
  return {};
}

Error RequestFields::flags(const Value& value) {
  return for_each_word(value, [this](std::string_view word) { return flag(word); });
}

Error RequestFields::flag(std::string_view word) {
  if (!usable_word("flags", word)) return {};
  for (const FlagPrefix& known : kFlagPrefixes) {
    if (const auto rest = after_prefix(word, known.prefix)) {
      insert("flags", *rest, request_.*known.member);
      return {};
    }
  }
  if (const auto rest = after_prefix(word, "transcode-")) {
    add_codec(request_.codec.transcode, *rest);
    return {};
  }
  if (const auto rest = after_prefix(word, "codec-")) {
    for (const auto& [name, list] : kCodecLists) {
      const std::string prefix = std::string(name) + "-";
      if (const auto encoding = after_prefix(*rest, prefix)) {
        add_codec(request_.codec.*list, *encoding);
        return {};
      }
    }
  }
  if (same_word(word, "record-call")) request_.record_call = true;
  if (same_word(word, "all")) request_.all = true;
  insert("flags", word, request_.flags);
  return {};
}

Error RequestFields::words(std::string_view key, const Value& value, FlagSet& out) {
  return for_each_word(value, [&](std::string_view word) -> Error {
    if (usable_word(key, word)) insert(key, word, out);
    return {};
  });
}

Error RequestFields::prefixed(std::string_view prefix, const Value& value) {
  return for_each_word(value, [&](std::string_view word) -> Error {
    if (usable_word(prefix, word)) insert(prefix, std::string(prefix) += word, request_.flags);
    return {};
  });
}

Error RequestFields::codec(const Value& value) {
  for (const Member& member : value.members()) {
    const auto* known =
        std::find_if(kCodecLists.begin(), kCodecLists.end(),
                     [&](const auto& entry) { return same_word(entry.first, member.key); });
    if (known == kCodecLists.end()) continue;
    for_each_word(member.value, [&](std::string_view word) -> Error {
      add_codec(request_.codec.*known->second, word);
      return {};
    });
  }
  return {};
}

Error RequestFields::ice(const Value& value) {
  return for_each_word(value, [this](std::string_view word) -> Error {
    if (same_word(word, "remove")) {
      request_.ice = IceMode::remove;
    } else if (same_word(word, "force")) {
      request_.ice = IceMode::force;
    } else if (same_word(word, "force-relay")) {
      request_.ice = IceMode::force_relay;
    } else if (same_word(word, "optional")) {
      request_.ice = IceMode::optional;
    } else if (same_word(word, "default")) {
      request_.ice = IceMode::unset;
    } else if (usable_word("ICE", word)) {
      insert("ICE", "ICE-" + std::string(word), request_.flags);  // lite and trickle variants
    }
    return {};
  });
}

Error RequestFields::dtls(const Value& value) {
  return for_each_word(value, [this](std::string_view word) -> Error {
    if (is_one_of(word, {"off", "no", "disable", "disabled"})) {
      request_.dtls = "off";
    } else if (same_word(word, "passive")) {
      request_.dtls = "passive";
    } else if (same_word(word, "active")) {
      request_.dtls = "active";
    } else {
      ignore("DTLS", "neither off, passive nor active");
    }
    return {};
  });
}

Error RequestFields::direction(const Value& value) {
  if (!value.is_list()) {
    // In rtpp-flags the word stands once for each side.
    if (in_rtpp_flags_ && directions_ < 2) return interface(value, directions_++ == 1);
    ignore("direction", "not a list");
    return {};
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(value.items().size(), 2); ++i) {
    if (Error error = interface(value.items()[i], i == 1); error.code.failed()) return error;
  }
  return {};
}

Error RequestFields::interface(const Value& value, bool towards_recipient) {
  std::string name;
  if (Error error = text("direction", value, name, kMaxWordBytes); error.code.failed())
    return error;
  if (!request_.direction) request_.direction.emplace();
  (towards_recipient ? request_.direction->second : request_.direction->first) = std::move(name);
  return {};
}

Error RequestFields::received_from(const Value& value) {
  std::string address = value.text().value_or("");
  if (!value.items().empty()) address = value.items().back().text().value_or("");
  const auto parsed = IpAddress::parse(address);
  if (parsed) {
    request_.received_from = parsed;
  } else {
    ignore("received-from", "not an IP address");
  }
  return {};
}

Error RequestFields::address_family(const Value& value) {
  const std::string text = value.text().value_or("");
  if (is_one_of(text, {"IP4", "inet", "IPv4"})) {
    request_.address_family = IpFamily::v4;
  } else if (is_one_of(text, {"IP6", "inet6", "IPv6"})) {
    request_.address_family = IpFamily::v6;
  } else {
    ignore("address-family", "neither IP4 nor IP6");
  }
  return {};
}

Error RequestFields::media_address(const Value& value) {
  const auto parsed = IpAddress::parse(value.text().value_or(""));
  if (parsed) {
    request_.media_address = parsed;
  } else {
    ignore("media-address", "not an IP address");
  }
  return {};
}

Error RequestFields::transport(const Value& value) {
  if (const auto known = known_transport(value.text().value_or(""))) {
    request_.transport_protocol = *known;
  } else {
    ignore("transport-protocol", "not known");
  }
  return {};
}

Error RequestFields::record_call(const Value& value) {
  const std::string text = value.text().value_or("");
  if (is_one_of(text, {"yes", "on", "true", "1"})) {
    request_.record_call = true;
  } else if (is_one_of(text, {"no", "off", "false", "0"})) {
    request_.record_call = false;
  } else {
    ignore("record-call", "neither yes nor no");
  }
  return {};
}

Error RequestFields::all(const Value& value) {
  const std::string text = value.text().value_or("");
  if (usable_word("all", text)) request_.all = !is_one_of(text, {"none", "no", "0"});
  return {};
}

Error RequestFields::limit(const Value& value) {
  const auto number = value.integer();
  if (number && *number < 0) return {Errc::invalid_value, "invalid limit, must be >= 0"};
  return this->number("limit", value, request_.limit);
}

template <class Integer>
Error RequestFields::number(std::string_view key, const Value& value, std::optional<Integer>& out) {
  if (const auto number = in_range<Integer>(value)) {
    out = number;
  } else {
    ignore(key, "not a number in its range");
  }
  return {};
}

// Words of rtpp-flags mean what keys and flags mean, but for some of their own.
Error RequestFields::rtpp_flags(const Value& value) {
  if (in_rtpp_flags_) {
    ignore("rtpp-flags", "inside itself");
    return {};
  }
  in_rtpp_flags_ = true;
  for (const RtppFlag& flag : parse_rtpp_flags(value.string())) {
    if (Error error = rtpp_flag(flag.key, flag.value ? &*flag.value : nullptr); error.code.failed())
      return error;
  }
  in_rtpp_flags_ = false;
  if (transport_words_) {
    request_.transport_protocol = std::string(dtls_     ? "UDP/TLS/RTP/SAVP"
                                              : secure_ ? "RTP/SAVP"
                                                        : "RTP/AVP") +
                                  (feedback_ ? "F" : "");
  }
  return {};
}

bool RequestFields::transport_word(std::string_view word) {
  if (word == "RTP") {
    secure_ = false;
  } else if (word == "AVP") {
    feedback_ = false;
  } else if (word == "SRTP") {
    secure_ = true;
  } else if (word == "AVPF") {
    feedback_ = true;
  } else if (word == "DTLS") {
    secure_ = dtls_ = true;
  } else if (const auto known = known_transport(word);
             known && *known != "accept" && *known != "UDPTL") {
    dtls_ = known->starts_with("UDP/TLS");
    secure_ = known->find("SAVP") != std::string_view::npos;
    feedback_ = known->ends_with("F");
  } else {
    return false;
  }
  transport_words_ = true;
  return true;
}

Error RequestFields::rtpp_flag(std::string_view key, const Value* value) {
  if (value == nullptr) {
    if (transport_word(key)) return {};
    if (key == "internal" || key == "external") return direction(Value(key));
    return flag(key);
  }
  // The proxy says which Via it wants by `auto`, `1`, `next` and so on, and sends what it found
  // under the key itself.
  if (same_word(key, "via-branch")) return {};
  // Tags given by hand narrow the request to that party.
  if (same_word(key, "to-tag")) insert("flags", "to-tag", request_.flags);
  if (same_word(key, "from-tag")) insert("flags", "directional", request_.flags);
  if (same_word(key, "transcode")) return codec(Value::dictionary({{"transcode", *value}}));
  if (const auto operation = after_prefix(key, "codec-"))
    return codec(Value::dictionary({{*operation, *value}}));
  return apply(key, *value);
}

void RequestFields::finish() {
  if (!request_.flags.has("WebRTC")) return;
  // A browser's needs in one word; what was said apart wins.
  if (request_.transport_protocol.empty()) request_.transport_protocol = "UDP/TLS/RTP/SAVPF";
  if (request_.ice == IceMode::unset) request_.ice = IceMode::force;
  if (request_.rtcp_mux.empty()) {
    request_.rtcp_mux.insert("offer");
    request_.rtcp_mux.insert("require");
  }
  if (request_.sdes.empty()) request_.sdes.insert("off");
  request_.flags.insert("generate-mid");
  request_.flags.insert("no-rtcp-attribute");
}

void RequestFields::add_codec(std::vector<std::string>& list, std::string_view name) {
  if (!usable_word("codec", name)) return;
  if (list.size() >= kMaxFlags) return ignore("codec", "too many");
  list.emplace_back(name);
}

void RequestFields::insert(std::string_view key, std::string_view word, FlagSet& set) {
  if (set.words().size() >= kMaxFlags) return ignore(key, "too many");
  set.insert(word);
}

bool RequestFields::usable_word(std::string_view key, std::string_view word) {
  if (word.empty()) return false;
  if (word.size() <= kMaxWordBytes && !has_control_character(word)) return true;
  ignore(key, "a word that is too long or has control characters");
  return false;
}

void RequestFields::ignore(std::string_view key, std::string_view why) {
  if (request_.ignored.size() >= kMaxIgnored) return;
  request_.ignored.push_back(std::string(key) + ": " + std::string(why));
}

}  // namespace rtpool::ng
