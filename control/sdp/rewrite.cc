#include "control/sdp/rewrite.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "control/sdp/text.h"

namespace rtpool::sdp {
namespace {

constexpr std::uint32_t kHostPreference = 126;     // RFC 8445, 5.1.2.2
constexpr std::uint32_t kLocalPreference = 65535;  // one address a stream

bool one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}
bool is_ice(std::string_view name) {
  return one_of(name, {"ice-ufrag", "ice-pwd", "ice-options", "ice-lite", "ice-mismatch",
                       "remote-candidates", "candidate", "end-of-candidates"});
}
bool is_direction(std::string_view name) {
  return one_of(name, {"sendrecv", "sendonly", "recvonly", "inactive"});
}
// a=rtpmap and its like of one payload type; "a=rtcp-fb:*" and what can't be read stay where they
// are.
bool is_of_codec(const Attribute& attribute) {
  if (!one_of(attribute.name, {"rtpmap", "fmtp", "rtcp-fb"})) return false;
  std::string_view value = attribute.value;
  return to_number<std::uint8_t>(take_token(value)).has_value();
}

std::string address_text(const IpAddress& address) {
  return (address.is_v4() ? "IP4 " : "IP6 ") + address.to_string();
}

// Groups candidates of one address and type (RFC 8445, 5.1.1.3): FNV-1a, as text.
std::string foundation(const IpAddress& address) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const std::uint8_t octet : address.octets) hash = (hash ^ octet) * 0x100000001b3ULL;
  std::string text;
  for (int i = 0; i < 16; ++i, hash >>= 4) text += "0123456789abcdef"[hash & 0xf];
  return text;
}

// A line with some of its words changed; the words are views into it, in order.
std::string splice(std::string_view line,
                   std::initializer_list<std::pair<std::string_view, std::string_view>> changes) {
  std::string out;
  const char* at = line.data();
  for (const auto& [word, text] : changes) {
    out.append(at, word.data());
    out += text;
    at = word.data() + word.size();
  }
  out.append(at, line.data() + line.size());
  return out;
}

class Writer {
 public:
  Writer(const Session& session, const Options& options, std::span<const MediaRewrite> media,
         const Party& recipient, const std::optional<IpAddress>& fallback)
      : session_(session), options_(options), media_(media), recipient_(recipient) {
    ours_ = fallback;
    for (const MediaRewrite& entry : media) {
      if (entry.rtp) {
        ours_ = entry.rtp->address;
        break;
      }
    }
  }

  std::string run() {
    for (std::size_t i = 0; i < session_.session_lines(); ++i) session_line(i);
    if (std::any_of(media_.begin(), media_.end(),
                    [](const MediaRewrite& entry) { return !entry.ice_ufrag.empty(); })) {
      add("a=ice-lite");
    }
    for (std::size_t i = 0; i < session_.media().size(); ++i) section(i);
    out_ += session_.tail();
    return std::move(out_);
  }

 private:
  // A line of the original, perhaps changed, with its own end.
  void put(const Line& line, std::string_view text) {
    out_ += text;
    out_ += line.end;
  }
  // A line of ours.
  void add(std::string_view text) {
    // A last line that is not ended, or half ended, gets its end first.
    if (!out_.empty() && out_.back() == '\r') {
      out_ += '\n';
    } else if (!out_.empty() && out_.back() != '\n') {
      out_ += session_.line_end();
    }
    out_ += text;
    out_ += session_.line_end();
  }

  [[nodiscard]] std::optional<IpAddress> advertised(
      const std::optional<AdvertisedEndpoint>& endpoint) const {
    if (options_.media_address) return options_.media_address;
    return endpoint ? endpoint->address : ours_;
  }

  // `hold`: the address says so, and stays.
  [[nodiscard]] std::string connection_line(
      const Connection& connection, bool hold,
      const std::optional<AdvertisedEndpoint>& endpoint) const {
    const std::string_view text = session_.lines()[connection.line].text;
    const auto address = advertised(endpoint);
    if (hold || !address) return std::string(text);
    // From the type to the end of the line: a TTL means nothing to a unicast address.
    const std::string_view rest{
        connection.address_type.data(),
        static_cast<std::size_t>(text.data() + text.size() - connection.address_type.data())};
    return splice(text, {{rest, address_text(*address)}});
  }

  // 0.0.0.0 is hold, but for an agent that trickles, and where our candidates take its place.
  [[nodiscard]] bool is_hold(const Connection& connection) const {
    const auto& media = session_.media();
    const bool ice = !recipient_.media.empty() && recipient_.media.front().ice;
    return !connection.is_name && connection.address.is_unspecified() && !ice &&
           !options_.replace_zero_address &&
           std::none_of(media.begin(), media.end(),
                        [](const Media& m) { return m.has_ice() && m.ice.trickle; });
  }

  [[nodiscard]] bool replaces_session_connection() const {
    const auto& media = session_.media();
    return options_.replace_session_connection ||
           std::any_of(media.begin(), media.end(), [](const Media& m) { return !m.connection; });
  }

  void session_line(std::size_t i) {
    const Line& line = session_.lines()[i];
    const std::optional<Origin>& origin = session_.origin();
    if (line.type == 'o' && origin && origin->line == i) {
      put(line, origin_line(*origin));
    } else if (line.type == 'c' && session_.connection() && replaces_session_connection()) {
      const auto endpoint = media_.empty() ? std::nullopt : media_.front().rtp;
      put(line, connection_line(*session_.connection(), is_hold(*session_.connection()), endpoint));
    } else if (line.type == 's' && options_.replace_session_name && recipient_.named) {
      put(line, "s=" + recipient_.session_name);
    } else if (line.type != 'a' || !strips_from_session(to_attribute(line.value))) {
      put(line, line.text);
    }
  }

  [[nodiscard]] std::string origin_line(const Origin& origin) const {
    const std::string_view text = session_.lines()[origin.line].text;
    const std::string_view username = options_.replace_username && recipient_.named
                                          ? std::string_view(recipient_.username)
                                          : origin.username;
    const std::string version =
        options_.replace_version ? std::to_string(recipient_.version) : std::string(origin.version);
    const std::string_view address{
        origin.address_type.data(),
        static_cast<std::size_t>(origin.address_text.data() + origin.address_text.size() -
                                 origin.address_type.data())};
    const auto ours = advertised(media_.empty() ? std::nullopt : media_.front().rtp);
    const std::string replaced =
        options_.replace_origin && ours ? address_text(*ours) : std::string(address);
    return splice(text,
                  {{origin.username, username}, {origin.version, version}, {address, replaced}});
  }

  [[nodiscard]] bool strips_from_session(const Attribute& a) const {
    if (a.name == "group") return a.value.substr(0, 7) == "BUNDLE ";
    if (is_direction(a.name)) return !options_.original_sendrecv;
    if (a.name == "extmap") return options_.strip_extmap;
    return is_ice(a.name);
  }

  [[nodiscard]] bool strips_from_media(const Attribute& a, const Media& media,
                                       const MediaTerms& terms) const {
    if (is_ice(a.name) || one_of(a.name, {"rtcp", "rtcp-mux", "mid"})) return true;
    if (a.name == "rtcp-mux-only") return !terms.rtcp_mux;  // would promise what we don't do
    if (a.name == "extmap") return options_.strip_extmap;
    if (media.rejected()) return false;
    if (is_direction(a.name)) return !options_.original_sendrecv;
    if (a.name == "ptime") return is_rtp(terms.protocol) && terms.ptime_ms > 0;
    return is_rtp(terms.protocol) && !terms.codecs.empty() && is_of_codec(a);
  }

  void section(std::size_t index) {
    const Media& media = session_.media()[index];
    const MediaTerms& terms = recipient_.media[index];
    if (!media.relayed()) return foreign_section(media);
    const MediaRewrite& entry = media_[index];
    for (std::size_t i = 0; i < media.line_count; ++i) {
      const Line& line = session_.lines()[media.first_line + i];
      if (i == 0) {
        put(line, media_line(media, terms, entry));
      } else if (media.connection && media.connection->line == media.first_line + i) {
        put(line, connection_line(*media.connection, is_hold(*media.connection), entry.rtp));
      } else if (line.type != 'a' || !strips_from_media(to_attribute(line.value), media, terms)) {
        put(line, line.text);
      }
    }
    if (!terms.mid.empty()) add("a=mid:" + terms.mid);
    if (media.rejected()) return;
    add_codecs(terms);
    if (!options_.original_sendrecv) add_direction(media);
    if (is_rtp(terms.protocol)) add_rtcp(terms, entry);
    if (is_rtp(terms.protocol) && terms.ptime_ms > 0) {
      add("a=ptime:" + std::to_string(terms.ptime_ms));
    }
    if (!entry.ice_ufrag.empty()) add_ice(media, terms, entry);
  }

  // TCP and the like goes past us. It must not lose the address that it shared with the session.
  void foreign_section(const Media& media) {
    bool connected = media.connection || !session_.connection() || !replaces_session_connection();
    for (std::size_t i = 0; i < media.line_count; ++i) {
      const Line& line = session_.lines()[media.first_line + i];
      if (!connected && i > 0 && line.type != 'i') {
        add(session_.lines()[session_.connection()->line].text);
        connected = true;
      }
      put(line, line.text);
    }
    if (!connected) add(session_.lines()[session_.connection()->line].text);
  }

  [[nodiscard]] std::string media_line(const Media& media, const MediaTerms& terms,
                                       const MediaRewrite& entry) const {
    const std::string_view text = session_.lines()[media.first_line].text;
    const std::string port = media.rejected()
                                 ? std::string(media.port_text)
                                 : std::to_string(entry.rtp ? unsigned{entry.rtp->port} : 0U);
    const std::string_view protocol = terms.protocol == media.protocol
                                          ? media.protocol_text
                                          : std::string_view(terms.protocol_text);
    if (media.formats_text.empty()) {
      return splice(text, {{media.port_text, port}, {media.protocol_text, protocol}});
    }
    std::string formats(media.formats_text);
    if (is_rtp(terms.protocol) && !media.rejected()) {
      formats.clear();
      for (const CodecTerms& codec : terms.codecs) {
        if (!formats.empty()) formats += ' ';
        formats += std::to_string(codec.payload_type);
      }
    }
    return splice(
        text,
        {{media.port_text, port}, {media.protocol_text, protocol}, {media.formats_text, formats}});
  }

  void add_codecs(const MediaTerms& terms) {
    for (const CodecTerms& codec : terms.codecs) {
      const std::string number = std::to_string(codec.payload_type) + " ";
      if (!codec.encoding.empty()) add("a=rtpmap:" + number + codec.encoding);
      for (const std::string& value : codec.fmtp) add("a=fmtp:" + number + value);
      for (const std::string& value : codec.feedback) add("a=rtcp-fb:" + number + value);
    }
  }

  // c=0.0.0.0 says that nothing is to be sent to this party (RFC 3264, 8.4); ours can't, so the
  // direction does.
  void add_direction(const Media& media) {
    Direction direction = media.direction;
    if (media.zero_address()) {
      if (direction == Direction::sendrecv) direction = Direction::sendonly;
      if (direction == Direction::recvonly) direction = Direction::inactive;
    }
    add("a=" + std::string(to_string(direction)));
  }

  void add_rtcp(const MediaTerms& terms, const MediaRewrite& entry) {
    const bool shared = terms.rtcp_mux && (options_.step == Step::answer || !entry.rtcp);
    const std::optional<AdvertisedEndpoint>& endpoint = shared ? entry.rtp : entry.rtcp;
    if (endpoint && !options_.no_rtcp_attribute) {
      const auto address = advertised(endpoint);
      std::string line = "a=rtcp:" + std::to_string(endpoint->port);
      if (options_.full_rtcp_attribute && address) line += " IN " + address_text(*address);
      add(line);
    }
    if (terms.rtcp_mux) add("a=rtcp-mux");
  }

  void add_ice(const Media& media, const MediaTerms& terms, const MediaRewrite& entry) {
    add("a=ice-ufrag:" + entry.ice_ufrag);
    add("a=ice-pwd:" + entry.ice_pwd);
    if (terms.trickle) add("a=ice-options:trickle");
    const bool shared = terms.rtcp_mux && options_.step == Step::answer;
    add_candidate(1, entry.rtp);
    if (!shared) add_candidate(2, entry.rtcp);
    if (terms.trickle || media.ice.end_of_candidates) add("a=end-of-candidates");
  }

  void add_candidate(std::uint32_t component, const std::optional<AdvertisedEndpoint>& endpoint) {
    if (!endpoint) return;
    const IpAddress address = options_.media_address.value_or(endpoint->address);
    const std::uint32_t priority =
        (kHostPreference << 24) | (kLocalPreference << 8) | (256 - component);
    add("a=candidate:" + foundation(address) + " " + std::to_string(component) + " UDP " +
        std::to_string(priority) + " " + address.to_string() + " " +
        std::to_string(endpoint->port) + " typ host");
  }

  const Session& session_;
  const Options& options_;
  std::span<const MediaRewrite> media_;
  const Party& recipient_;
  std::optional<IpAddress> ours_;  // what stands where no m= line has an address
  std::string out_;
};

}  // namespace

Result<std::string> rewrite(const Session& session, const Options& options,
                            std::span<const MediaRewrite> media, Party& recipient,
                            const std::optional<IpAddress>& fallback) {
  if (media.size() != session.media().size() || recipient.media.size() < media.size()) {
    return Error(Errc::media_mismatch, "one entry for each m= line is needed");
  }
  const std::optional<Origin>& origin = session.origin();
  if (recipient.version == 0 && origin) {
    recipient.version = to_number<std::uint64_t>(origin->version).value_or(1);
    if (recipient.version == 0 || recipient.version == UINT64_MAX) recipient.version = 1;
  }
  std::string text = Writer(session, options, media, recipient, fallback).run();
  if (options.replace_version) {
    if (!recipient.last_sent.empty() && recipient.last_sent != text) {
      ++recipient.version;
      text = Writer(session, options, media, recipient, fallback).run();
    }
    recipient.last_sent = text;
  }
  if (!recipient.named && origin) {
    recipient.username = origin->username;
    recipient.session_name = session.session_name();
    recipient.named = true;
  }
  return text;
}

}  // namespace rtpool::sdp
