// A SIP message as text (RFC 3261, section 7): start line, headers in order, body. Enough of it for
// a telephone that registers, calls, answers and hangs up; header values are kept as they came.
// Pure; any thread.
//
// Compact header names become long ones; Via, Route, Record-Route and Contact are split at their
// commas, so that one header is one value. It does not check more than it needs: a proxy is not an
// attacker, and this is no SIP library.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relay/base/endpoint.h"

namespace rtpool::bench {

struct SipMessage {
  // A request has a method and a URI, a response a status and a reason.
  std::string method, uri;
  int status = 0;
  std::string reason;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  static std::optional<SipMessage> parse(std::string_view text);
  static SipMessage request(std::string_view method, std::string_view uri);
  // With the headers that a response copies from its request (8.2.6.2).
  static SipMessage response(const SipMessage& request, int status, std::string_view reason);

  [[nodiscard]] bool is_request() const { return status == 0; }
  // The first value of that name, empty when there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> all(std::string_view name) const;
  SipMessage& add(std::string_view name, std::string_view value);
  // The method of the CSeq header: what a response answers.
  [[nodiscard]] std::string_view cseq_method() const;
  [[nodiscard]] std::string_view branch() const;
  [[nodiscard]] std::string to_text() const;  // with Content-Length
};

// "bob" of `;tag=bob` after the address of a header or within a Via; nothing when the parameter is
// not there.
std::optional<std::string_view> header_parameter(std::string_view value, std::string_view name);
// `sip:b@h` of `"B" <sip:b@h>;tag=x`.
std::string_view header_uri(std::string_view value);
// Host and port of a SIP URI whose host is an IP address; port 5060 when it has none.
std::optional<Endpoint> uri_endpoint(std::string_view uri);
bool iequals(std::string_view a, std::string_view b);

}  // namespace rtpool::bench
