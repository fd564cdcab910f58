#include "control/sdp/session.h"

#include <algorithm>
#include <utility>

#include "control/sdp/payload_types.h"
#include "control/sdp/text.h"

namespace rtpool::sdp {
namespace {

constexpr std::size_t kMaxCandidates = 64;  // of one section; more are passed over
constexpr std::uint16_t kMaxPortCount = 10;

using Outcome = Result<bool>;  // the value says nothing; only the error counts

std::optional<Direction> to_direction(std::string_view name) {
  if (name == "sendrecv") return Direction::sendrecv;
  if (name == "sendonly") return Direction::sendonly;
  if (name == "recvonly") return Direction::recvonly;
  if (name == "inactive") return Direction::inactive;
  return std::nullopt;
}

bool has_word(std::string_view words, std::string_view wanted) {
  while (!words.empty()) {
    if (take_token(words) == wanted) return true;
  }
  return false;
}

Protocol classify_protocol(std::string_view text) {
  if (const auto known = parse_protocol(text)) return *known;
  if (same_without_case(text, "DTLS/SCTP")) return Protocol::dtls_sctp;
  if (same_without_case(text.substr(0, 3), "UDP")) return Protocol::other_udp;
  return Protocol::other;
}

std::optional<Candidate> to_candidate(std::string_view value) {
  Candidate candidate;
  take_token(value);  // foundation
  const auto component = to_number<std::uint32_t>(take_token(value));
  const std::string_view transport = take_token(value);
  const auto priority = to_number<std::uint32_t>(take_token(value));
  const auto address = IpAddress::parse(take_token(value));
  const auto port = to_number<std::uint16_t>(take_token(value));
  if (!component || !priority || !address || !port || take_token(value) != "typ") {
    return std::nullopt;
  }
  candidate.component = *component;
  candidate.priority = *priority;
  candidate.endpoint = Endpoint{*address, *port};
  candidate.udp = same_without_case(transport, "UDP");
  candidate.type = take_token(value);
  return candidate;
}

// a=rtpmap, a=fmtp and a=rtcp-fb begin with a payload type, "*" for all of them.
std::optional<std::uint8_t> take_payload_type(std::string_view& value) {
  const auto number = to_number<std::uint8_t>(take_token(value));
  if (!number || *number > 127) return std::nullopt;
  value = trim(value);
  return number;
}

// What a section without an attribute of its own takes from the session.
struct SessionDefaults {
  std::optional<Direction> direction;
  std::string_view ufrag, pwd, fingerprint, setup, tls_id;
  bool lite = false, trickle = false;
  std::vector<std::string_view> bundle;  // mids
};

}  // namespace

class Parser {
 public:
  Result<Session> run(std::string_view text);

 private:
  Error wrong(Errc errc, std::string what) const {
    return {errc, "line " + std::to_string(session_.lines_.size()) + ": " + std::move(what)};
  }
  Outcome split();
  Outcome session_section();
  Outcome media_section(std::size_t first, std::size_t count);
  Outcome media_line(Media& media, const Line& line) const;
  Outcome media_attribute(Media& media, std::string_view value);
  void codec_attribute(Media& media, const Attribute& attribute) const;
  void ice_attribute(Media& media, const Attribute& attribute) const;
  Outcome finish(Media& media);
  Result<Origin> origin(std::size_t at) const;
  Result<Connection> connection(std::size_t at) const;

  Session session_;
  SessionDefaults defaults_;
  std::optional<Direction> own_direction_;  // of the section in work
};

Outcome Parser::split() {
  std::string_view rest = *session_.text_;
  bool first_end = true;
  while (!rest.empty()) {
    if (rest.front() == '\r' || rest.front() == '\n')
      break;  // an empty line: the description is over
    const std::size_t feed = rest.find('\n');
    std::string_view whole = rest.substr(0, feed);
    std::string_view end =
        feed == std::string_view::npos ? std::string_view{} : rest.substr(feed, 1);
    rest.remove_prefix(feed == std::string_view::npos ? rest.size() : feed + 1);
    if (!whole.empty() && whole.back() == '\r') {
      whole.remove_suffix(1);
      end = {whole.data() + whole.size(), end.size() + 1};
    }
    if (first_end && !end.empty()) session_.line_end_ = end.back() == '\n' ? end : "\r\n";
    first_end = false;
    session_.lines_.push_back({.type = whole.empty() ? '\0' : whole.front(),
                               .text = whole,
                               .value = whole.substr(std::min<std::size_t>(2, whole.size())),
                               .end = end});
    if (session_.lines_.size() > kMaxLines) return wrong(Errc::too_large, "too many lines");
    if (whole.size() > kMaxLineBytes) return wrong(Errc::too_large, "line too long");
    if (whole.size() < 2 || whole[1] != '=') return wrong(Errc::malformed, "no '=' after the type");
    if (whole.find('\0') != std::string_view::npos) return wrong(Errc::malformed, "NUL character");
    if (std::string_view("vosiuepcbtrzkam").find(whole.front()) == std::string_view::npos) {
      return wrong(Errc::malformed, "unknown type of line");
    }
    if (session_.lines_.size() == 1 && whole != "v=0") {
      return wrong(Errc::malformed, "a description begins with v=0");
    }
    if (session_.lines_.size() > 1 && whole.front() == 'v') {
      return wrong(Errc::malformed, "a second description");
    }
  }
  session_.tail_ = rest;
  if (session_.lines_.empty()) return Error(Errc::malformed, "empty description");
  return true;
}

Result<Origin> Parser::origin(std::size_t at) const {
  Origin origin{.line = at};
  std::string_view value = session_.lines_[at].value;
  origin.username = take_token(value);
  origin.session_id = take_token(value);
  origin.version = take_token(value);
  origin.network_type = take_token(value);
  origin.address_type = take_token(value);
  origin.address_text = take_token(value);
  if (origin.address_text.empty()) return Error(Errc::malformed, "o= line is incomplete");
  return origin;
}

Result<Connection> Parser::connection(std::size_t at) const {
  Connection connection{.line = at};
  std::string_view value = session_.lines_[at].value;
  const std::string where = "line " + std::to_string(at + 1) + ": ";
  if (!same_without_case(take_token(value), "IN")) {
    return Error(Errc::malformed, where + "network type of c= is not IN");
  }
  connection.address_type = take_token(value);
  const std::string_view address = take_token(value);
  connection.address_text = address.substr(0, address.find('/'));
  if (connection.address_text.empty()) return Error(Errc::malformed, where + "c= has no address");
  const bool v4 = connection.address_type == "IP4";
  if (!v4 && connection.address_type != "IP6") {
    return Error(Errc::malformed, where + "address type of c= is neither IP4 nor IP6");
  }
  const auto parsed = IpAddress::parse(connection.address_text);
  if (!parsed) {
    connection.is_name = true;
  } else if (parsed->is_v4() != v4) {
    return Error(Errc::malformed, where + "address of c= is not of its type");
  } else {
    connection.address = *parsed;
  }
  return connection;
}

Outcome Parser::session_section() {
  for (std::size_t i = 0; i < session_.session_lines_; ++i) {
    const Line& line = session_.lines_[i];
    if (line.type == 'o' && !session_.origin_) {
      auto parsed = origin(i);
      if (!parsed) return parsed.error();
      session_.origin_ = *parsed;
    } else if (line.type == 'o' || (line.type == 'c' && session_.connection_)) {
      return Error(Errc::malformed, "line " + std::to_string(i + 1) + ": a second one of its type");
    } else if (line.type == 'c') {
      auto parsed = connection(i);
      if (!parsed) return parsed.error();
      session_.connection_ = *parsed;
    } else if (line.type == 's') {
      session_.session_name_ = line.value;
    } else if (line.type == 'a') {
      const Attribute a = to_attribute(line.value);
      if (const auto direction = to_direction(a.name)) defaults_.direction = direction;
      if (a.name == "ice-ufrag") defaults_.ufrag = a.value;
      if (a.name == "ice-pwd") defaults_.pwd = a.value;
      if (a.name == "ice-lite") defaults_.lite = session_.ice_lite_ = true;
      if (a.name == "ice-options") defaults_.trickle = has_word(a.value, "trickle");
      if (a.name == "fingerprint") defaults_.fingerprint = a.value;
      if (a.name == "setup") defaults_.setup = a.value;
      if (a.name == "tls-id") defaults_.tls_id = a.value;
      std::string_view group = a.value;
      if (a.name == "group" && take_token(group) == "BUNDLE") {
        while (!trim(group).empty() && defaults_.bundle.size() < kMaxMedia) {
          defaults_.bundle.push_back(take_token(group));
        }
      }
    }
  }
  return true;
}

Outcome Parser::media_line(Media& media, const Line& line) const {
  std::string_view value = line.value;
  media.type = take_token(value);
  media.port_text = take_token(value);
  media.protocol_text = take_token(value);
  media.formats_text = trim(value);
  if (media.protocol_text.empty()) return Error(Errc::malformed, "m= line is incomplete");
  const std::size_t slash = media.port_text.find('/');
  const auto port = to_number<std::uint16_t>(media.port_text.substr(0, slash));
  if (!port) return Error(Errc::malformed, "port of m= is not a port");
  media.port = *port;
  if (slash != std::string_view::npos) {
    const auto count = to_number<std::uint16_t>(media.port_text.substr(slash + 1));
    if (!count || *count == 0 || *count > kMaxPortCount) {
      return Error(Errc::malformed, "port count of m= is not from 1 to 10");
    }
    media.port_count = *count;
  }
  media.protocol = classify_protocol(media.protocol_text);
  while (!trim(value).empty()) {
    if (media.formats.size() == kMaxFormats) return Error(Errc::too_large, "too many formats");
    media.formats.push_back(take_token(value));
  }
  if (!is_rtp(media.protocol)) return true;
  for (const std::string_view format : media.formats) {
    const auto number = to_number<std::uint8_t>(format);
    if (!number || *number > 127) {
      return Error(Errc::malformed, "format of an RTP m= line is not a payload type");
    }
    media.codecs.push_back({.payload_type = *number, .encoding = {}, .fmtp = {}, .feedback = {}});
  }
  return true;
}

void Parser::codec_attribute(Media& media, const Attribute& attribute) const {
  std::string_view value = attribute.value;
  const auto payload_type = take_payload_type(value);
  if (!payload_type) return;
  for (Codec& codec : media.codecs) {
    if (codec.payload_type != *payload_type) continue;
    if (attribute.name == "rtpmap") codec.encoding = value;
    if (attribute.name == "fmtp") codec.fmtp.push_back(value);
    if (attribute.name == "rtcp-fb") codec.feedback.push_back(value);
    return;
  }
}

void Parser::ice_attribute(Media& media, const Attribute& attribute) const {
  IceDescription& ice = media.ice;
  if (attribute.name == "ice-ufrag") ice.ufrag = attribute.value;
  if (attribute.name == "ice-pwd") ice.pwd = attribute.value;
  if (attribute.name == "ice-lite") ice.lite = true;
  if (attribute.name == "ice-options") ice.trickle = has_word(attribute.value, "trickle");
  if (attribute.name == "end-of-candidates") ice.end_of_candidates = true;
  if (attribute.name == "candidate" && ice.candidates.size() < kMaxCandidates) {
    if (const auto candidate = to_candidate(attribute.value)) ice.candidates.push_back(*candidate);
  }
}

Outcome Parser::media_attribute(Media& media, std::string_view text) {
  const Attribute a = to_attribute(text);
  if (const auto direction = to_direction(a.name)) own_direction_ = direction;
  if (a.name == "rtpmap" || a.name == "fmtp" || a.name == "rtcp-fb") codec_attribute(media, a);
  ice_attribute(media, a);
  if (a.name == "rtcp-mux") media.rtcp_mux = true;
  if (a.name == "rtcp-mux-only") media.rtcp_mux_only = media.rtcp_mux = true;
  if (a.name == "mid") media.mid = a.value;
  if (a.name == "bundle-only") media.bundle_only = true;
  if (a.name == "fingerprint") media.fingerprint = a.value;
  if (a.name == "setup") media.setup = a.value;
  if (a.name == "tls-id") media.tls_id = a.value;
  if (a.name == "crypto") media.crypto.push_back(a.value);
  if (a.name == "ptime") media.ptime_ms = to_number<std::uint32_t>(trim(a.value)).value_or(0);
  if (a.name == "rtcp" && is_rtp(media.protocol)) {
    std::string_view value = a.value;
    RtcpAttribute rtcp;
    const auto port = to_number<std::uint16_t>(take_token(value));
    if (!port) return Error(Errc::malformed, "port of a=rtcp is not a port");
    rtcp.port = *port;
    take_token(value);  // IN
    take_token(value);  // IP4, IP6
    rtcp.address = IpAddress::parse(take_token(value));
    media.rtcp = rtcp;
  }
  return true;
}

Outcome Parser::finish(Media& media) {
  const SessionDefaults& d = defaults_;
  media.direction = own_direction_.value_or(d.direction.value_or(Direction::sendrecv));
  if (media.ice.ufrag.empty()) media.ice.ufrag = d.ufrag;
  if (media.ice.pwd.empty()) media.ice.pwd = d.pwd;
  if (media.fingerprint.empty()) media.fingerprint = d.fingerprint;
  if (media.setup.empty()) media.setup = d.setup;
  if (media.tls_id.empty()) media.tls_id = d.tls_id;
  media.ice.lite = media.ice.lite || d.lite;
  media.ice.trickle = media.ice.trickle || d.trickle;
  media.bundled = !media.mid.empty() &&
                  std::find(d.bundle.begin(), d.bundle.end(), media.mid) != d.bundle.end();
  for (Codec& codec : media.codecs) {
    if (codec.encoding.empty()) codec.encoding = static_encoding(codec.payload_type);
  }
  const auto& connection = media.connection ? media.connection : session_.connection_;
  if (connection && !connection->is_name) media.address = connection->address;
  const bool trickle_address =
      media.address && media.address->is_unspecified() && media.port == 9 && media.has_ice();
  if (trickle_address) media.ice.trickle = true;
  if (media.rtcp && media.rtcp->port == media.port && media.port_count == 1 && !trickle_address) {
    media.rtcp_mux = true;
  }
  if (media.rejected() || !media.relayed() || media.address) return true;
  if (!connection) return Error(Errc::malformed, "media section without an address");
  return Error(Errc::unresolved_address, std::string(connection->address_text));
}

Outcome Parser::media_section(std::size_t first, std::size_t count) {
  Media media;
  media.first_line = first;
  media.line_count = count;
  own_direction_.reset();
  const auto at = [](std::size_t line, Error error) {
    error.detail = "line " + std::to_string(line + 1) + ": " + error.detail;
    return error;
  };
  if (auto done = media_line(media, session_.lines_[first]); !done) return at(first, done.error());
  for (std::size_t i = first + 1; i < first + count; ++i) {
    const Line& line = session_.lines_[i];
    if (line.type == 'o' || line.type == 's') {
      return at(i, Error(Errc::malformed, "o= or s= in a media section"));
    }
    if (line.type == 'c' && !media.connection) {  // further ones belong to layered multicast
      auto parsed = connection(i);
      if (!parsed) return parsed.error();
      media.connection = *parsed;
    }
    if (line.type == 'a') {
      if (auto done = media_attribute(media, line.value); !done) return at(i, done.error());
    }
  }
  if (auto done = finish(media); !done) return at(first, done.error());
  session_.media_.push_back(std::move(media));
  return true;
}

Result<Session> Parser::run(std::string_view text) {
  if (text.size() > kMaxBytes)
    return Error(Errc::too_large, std::to_string(text.size()) + " bytes");
  session_.text_ = std::make_unique<const std::string>(text);
  if (auto done = split(); !done) return done.error();
  const auto is_media = [](const Line& line) { return line.type == 'm'; };
  auto next = std::find_if(session_.lines_.begin(), session_.lines_.end(), is_media);
  session_.session_lines_ = static_cast<std::size_t>(next - session_.lines_.begin());
  if (auto done = session_section(); !done) return done.error();
  while (next != session_.lines_.end()) {
    if (session_.media_.size() == kMaxMedia)
      return Error(Errc::too_large, "too many media sections");
    const auto end = std::find_if(next + 1, session_.lines_.end(), is_media);
    const auto first = static_cast<std::size_t>(next - session_.lines_.begin());
    if (auto done = media_section(first, static_cast<std::size_t>(end - next)); !done) {
      return done.error();
    }
    next = end;
  }
  return std::move(session_);
}

Result<Session> parse(std::string_view text) {
  return Parser().run(text);
}

bool Media::zero_address() const {
  return address && address->is_unspecified() && !(ice.trickle && has_ice());
}

bool Media::wants_media() const {
  return !rejected() && !zero_address() &&
         (direction == Direction::sendrecv || direction == Direction::recvonly);
}

std::optional<RemoteEndpoint> Media::remote_rtp() const {
  if (rejected() || !address || address->is_unspecified()) return std::nullopt;
  return RemoteEndpoint{{*address, port}};
}

std::optional<RemoteEndpoint> Media::remote_rtcp() const {
  const auto rtp = remote_rtp();
  if (!rtp || !is_rtp(protocol)) return std::nullopt;
  if (rtcp_mux) return rtp;
  if (rtcp && rtcp->port != 0) {
    const IpAddress& to =
        rtcp->address && !rtcp->address->is_unspecified() ? *rtcp->address : *address;
    return RemoteEndpoint{{to, rtcp->port}};
  }
  if (port == 65535) return std::nullopt;
  return RemoteEndpoint{{*address, static_cast<std::uint16_t>(port + 1)}};
}

}  // namespace rtpool::sdp
