#include "control/ng/codec.h"

#include <algorithm>

namespace rtpool::ng {

std::string encode(const Value& value, Encoding encoding) {
  return encoding == Encoding::json ? encode_json(value) : encode_bencode(value);
}

Result<Frame> split_frame(std::string_view datagram) {
  // Looking no further than a cookie may be long keeps the cost of garbage small.
  const std::size_t space = datagram.substr(0, kMaxCookieBytes + 1).find(' ');
  if (space == std::string_view::npos || space == 0) return Error(Errc::no_cookie);
  const std::string_view cookie = datagram.substr(0, space);
  const auto printable = [](char c) { return c > 0x20 && c < 0x7f; };
  if (!std::all_of(cookie.begin(), cookie.end(), printable)) return Error(Errc::no_cookie);
  return Frame{cookie, datagram.substr(space + 1)};
}

Result<Encoding> detect_encoding(std::string_view body) {
  if (body.empty()) return Error(Errc::no_dictionary);
  if (body.front() == 'd') return Encoding::bencode;
  if (body.front() == '{') return Encoding::json;
  return Error(Errc::invalid_format);
}

Result<Value> parse(std::string_view body, Encoding encoding, const ParseLimits& limits) {
  return encoding == Encoding::json ? parse_json(body, limits) : parse_bencode(body, limits);
}

}  // namespace rtpool::ng
