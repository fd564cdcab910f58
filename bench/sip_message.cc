#include "bench/sip_message.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace rtpool::bench {
namespace {

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// RFC 3261, 7.3.3 and 20.
std::string_view long_name(std::string_view name) {
  constexpr std::array<std::pair<char, std::string_view>, 8> kCompact{{{'v', "Via"},
                                                                       {'f', "From"},
                                                                       {'t', "To"},
                                                                       {'i', "Call-ID"},
                                                                       {'m', "Contact"},
                                                                       {'c', "Content-Type"},
                                                                       {'l', "Content-Length"},
                                                                       {'k', "Supported"}}};
  if (name.size() != 1) return name;
  const char letter = static_cast<char>(std::tolower(static_cast<unsigned char>(name[0])));
  for (const auto& [compact, full] : kCompact) {
    if (compact == letter) return full;
  }
  return name;
}

bool is_list(std::string_view name) {
  return iequals(name, "Via") || iequals(name, "Route") || iequals(name, "Record-Route") ||
         iequals(name, "Contact");
}

// Adds a value, cut at the commas that are neither quoted nor inside angle brackets.
void add_values(SipMessage& message, std::string_view name, std::string_view value) {
  bool quoted = false, bracketed = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; is_list(name) && i < value.size(); ++i) {
    if (value[i] == '"') quoted = !quoted;
    if (quoted) continue;
    if (value[i] == '<') bracketed = true;
    if (value[i] == '>') bracketed = false;
    if (value[i] == ',' && !bracketed) {
      message.add(name, trim(value.substr(begin, i - begin)));
      begin = i + 1;
    }
  }
  message.add(name, trim(value.substr(begin)));
}

bool parse_start_line(SipMessage& message, std::string_view line) {
  const auto first = line.find(' ');
  if (first == std::string_view::npos) return false;
  const auto second = line.find(' ', first + 1);
  if (line.starts_with("SIP/2.0 ")) {
    const auto code = line.substr(first + 1, 3);
    if (std::from_chars(code.data(), code.data() + code.size(), message.status).ec != std::errc{}) {
      return false;
    }
    message.reason = second == std::string_view::npos ? "" : std::string(line.substr(second + 1));
    return message.status >= 100 && message.status < 700;
  }
  if (second == std::string_view::npos || !line.ends_with(" SIP/2.0")) return false;
  message.method = line.substr(0, first);
  message.uri = line.substr(first + 1, second - first - 1);
  return !message.method.empty();
}

}  // namespace

bool iequals(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::optional<SipMessage> SipMessage::parse(std::string_view text) {
  SipMessage message;
  auto end = text.find("\r\n");
  if (end == std::string_view::npos || !parse_start_line(message, text.substr(0, end))) {
    return std::nullopt;
  }
  std::size_t at = end + 2;
  while (true) {
    end = text.find("\r\n", at);
    if (end == std::string_view::npos) return std::nullopt;
    if (end == at) break;
    while (end + 2 < text.size() && (text[end + 2] == ' ' || text[end + 2] == '\t')) {
      end = text.find("\r\n", end + 2);  // a folded line goes on (7.3.1)
      if (end == std::string_view::npos) return std::nullopt;
    }
    const std::string_view line = text.substr(at, end - at);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto name = long_name(trim(line.substr(0, colon)));
    if (!iequals(name, "Content-Length")) add_values(message, name, line.substr(colon + 1));
    at = end + 2;
  }
  message.body = text.substr(at + 2);
  return message;
}

SipMessage SipMessage::request(std::string_view method, std::string_view uri) {
  SipMessage message;
  message.method = method;
  message.uri = uri;
  return message;
}

SipMessage SipMessage::response(const SipMessage& request, int status, std::string_view reason) {
  SipMessage message;
  message.status = status;
  message.reason = reason;
  for (const auto& [name, value] : request.headers) {
    const bool copied = iequals(name, "Via") || iequals(name, "From") || iequals(name, "To") ||
                        iequals(name, "Call-ID") || iequals(name, "CSeq") ||
                        iequals(name, "Record-Route");
    if (copied) message.add(name, value);
  }
  return message;
}

std::string_view SipMessage::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (iequals(key, name)) return value;
  }
  return {};
}

std::vector<std::string> SipMessage::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : headers) {
    if (iequals(key, name)) values.push_back(value);
  }
  return values;
}

SipMessage& SipMessage::add(std::string_view name, std::string_view value) {
  headers.emplace_back(name, value);
  return *this;
}

std::string_view SipMessage::cseq_method() const {
  const auto cseq = header("CSeq");
  return trim(cseq.substr(std::min(cseq.find(' '), cseq.size())));
}

std::string_view SipMessage::branch() const {
  return header_parameter(header("Via"), "branch").value_or("");
}

std::string SipMessage::to_text() const {
  std::string text = is_request() ? method + " " + uri + " SIP/2.0\r\n"
                                  : "SIP/2.0 " + std::to_string(status) + " " + reason + "\r\n";
  for (const auto& [name, value] : headers)
    text.append(name).append(": ").append(value).append("\r\n");
  return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::optional<std::string_view> header_parameter(std::string_view value, std::string_view name) {
  const auto bracket = value.rfind('>');
  std::string_view rest = bracket == std::string_view::npos ? value : value.substr(bracket + 1);
  while (true) {
    const auto semicolon = rest.find(';');
    if (semicolon == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(semicolon + 1);
    const auto parameter = trim(rest.substr(0, rest.find(';')));
    const auto equals = parameter.find('=');
    if (iequals(trim(parameter.substr(0, equals)), name)) {
      return equals == std::string_view::npos ? std::string_view{}
                                              : trim(parameter.substr(equals + 1));
    }
  }
}

std::string_view header_uri(std::string_view value) {
  const auto open = value.find('<');
  if (open == std::string_view::npos) return trim(value.substr(0, value.find(';')));
  return value.substr(open + 1, value.find('>', open) - open - 1);
}

std::optional<Endpoint> uri_endpoint(std::string_view uri) {
  if (!uri.starts_with("sip:")) return std::nullopt;
  uri.remove_prefix(4);
  uri = uri.substr(0, uri.find_first_of(";?"));
  if (const auto at = uri.find('@'); at != std::string_view::npos) uri.remove_prefix(at + 1);
  if (auto endpoint = Endpoint::parse(uri)) return endpoint;
  if (uri.starts_with('[') && uri.ends_with(']')) uri = uri.substr(1, uri.size() - 2);
  const auto address = IpAddress::parse(uri);
  return address ? std::optional<Endpoint>({*address, 5060}) : std::nullopt;
}

}  // namespace rtpool::bench
