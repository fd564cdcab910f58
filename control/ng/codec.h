// The two encodings of NG messages, told apart by the first byte of the dictionary.
//
// Parsing holds limits and uses no recursion, so that nothing from the network can drive memory or
// stack. Whatever follows the dictionary is an error, as are duplicates of nothing: repeated keys
// are kept (value.h says which counts). JSON `true`, `false` and `null` become 1, 0 and the empty
// string; fractions are cut to integers, NG having none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "control/ng/errc.h"
#include "control/ng/value.h"

namespace rtpool::ng {

enum class Encoding : std::uint8_t { bencode, json };

struct ParseLimits {
  std::size_t max_depth = 16;     // nested lists and dictionaries, the outermost included
  std::size_t max_items = 4096;   // values in the whole message, keys not counted
  std::size_t max_bytes = 65536;  // of the text parsed
};

// bencode.cc
Result<Value> parse_bencode(std::string_view text, const ParseLimits& limits = {});
std::string encode_bencode(const Value& value);
// json.cc
Result<Value> parse_json(std::string_view text, const ParseLimits& limits = {});
std::string encode_json(const Value& value);  // bytes that are not UTF-8 become U+FFFD

std::string encode(const Value& value, Encoding encoding);

// `<cookie> SP <dictionary>`, cut at the first space. Views into `datagram`.
struct Frame {
  std::string_view cookie;
  std::string_view body;  // may be empty
};
// Errors: Errc::no_cookie. A cookie is at most kMaxCookieBytes printable ASCII characters.
Result<Frame> split_frame(std::string_view datagram);
inline constexpr std::size_t kMaxCookieBytes = 255;

// Errors: Errc::no_dictionary, Errc::invalid_format.
Result<Encoding> detect_encoding(std::string_view body);
Result<Value> parse(std::string_view body, Encoding encoding, const ParseLimits& limits = {});

}  // namespace rtpool::ng
