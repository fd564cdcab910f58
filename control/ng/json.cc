// JSON by nlohmann's SAX parser, which keeps a stack of its own and reports errors without
// exceptions; the tree and its limits are ours.
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "control/ng/codec.h"
#include "control/ng/tree_builder.h"

namespace rtpool::ng {
namespace {

using Json = nlohmann::json;

class Handler final : public nlohmann::json_sax<Json> {
 public:
  explicit Handler(const ParseLimits& limits) : tree_(limits) {}

  bool null() override { return add(Value("")); }
  bool boolean(bool value) override { return add(Value(value ? 1 : 0)); }
  bool number_integer(std::int64_t value) override { return add(Value(value)); }
  bool number_unsigned(std::uint64_t value) override { return add(Value(value)); }
  bool number_float(double value, const std::string&) override {
    constexpr double kLimit = 9.2e18;
    if (!std::isfinite(value) || std::abs(value) > kLimit) return fail("a number is out of range");
    return add(Value(static_cast<std::int64_t>(value)));
  }
  bool string(std::string& value) override { return add(Value(std::move(value))); }
  bool binary(Json::binary_t&) override { return fail("binary data"); }
  bool start_object(std::size_t) override { return keep(tree_.open(Value::dictionary())); }
  bool key(std::string& key) override { return keep(tree_.key(std::move(key))); }
  bool end_object() override { return tree_.close() || fail("an end that ends nothing"); }
  bool start_array(std::size_t) override { return keep(tree_.open(Value::list())); }
  bool end_array() override { return tree_.close() || fail("an end that ends nothing"); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return keep(Error(Errc::malformed_json));
  }

  [[nodiscard]] const Error& error() const { return error_; }
  TreeBuilder& tree() { return tree_; }

 private:
  bool keep(Error error) {
    error_ = std::move(error);
    return !error_.code.failed();
  }
  bool add(Value value) { return keep(tree_.value(std::move(value))); }
  bool fail(std::string_view why) {
    return keep(Error(Errc::malformed_json, "Failed to parse JSON document: " + std::string(why)));
  }

  TreeBuilder tree_;
  Error error_;
};

// The length of the valid UTF-8 sequence (RFC 3629) that starts at `at`; 0 when there is none.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xc2 && first <= 0xdf   ? 2
                             : first >= 0xe0 && first <= 0xef ? 3
                             : first >= 0xf0 && first <= 0xf4 ? 4
                                                              : 0;
  if (length == 0 || text.size() - at < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  const unsigned char second = byte(at + 1);
  if (first == 0xe0 && second < 0xa0) return 0;  // overlong
  if (first == 0xed && second > 0x9f) return 0;  // surrogates
  if (first == 0xf0 && second < 0x90) return 0;  // overlong
  if (first == 0xf4 && second > 0x8f) return 0;  // beyond U+10FFFF
  return length;
}

void append_escaped(std::string& out, char c) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
  }
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      append_escaped(out, c);
      ++at;
      continue;
    }
    const std::size_t length = utf8_length(text, at);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      ++at;
      continue;
    }
    out += text.substr(at, length);
    at += length;
  }
  out += '"';
}

// Recursion is as deep as the value, which parsers and builders bound.
void append(std::string& out, const Value& value) {
  bool first = true;
  const auto separate = [&] {
    if (!first) out += ',';
    first = false;
  };
  switch (value.kind()) {
    case Value::Kind::integer:
      out += *value.text();
      return;
    case Value::Kind::string:
      append_string(out, value.string());
      return;
    case Value::Kind::list:
      out += '[';
      for (const Value& item : value.items()) {
        separate();
        append(out, item);
      }
      out += ']';
      return;
    case Value::Kind::dictionary:
      out += '{';
      for (const Member& member : value.members()) {
        separate();
        append_string(out, member.key);
        out += ':';
        append(out, member.value);
      }
      out += '}';
      return;
  }
}

}  // namespace

Result<Value> parse_json(std::string_view text, const ParseLimits& limits) {
  if (text.size() > limits.max_bytes) return Error(Errc::limit_exceeded, "Message is too long");
  Handler handler(limits);
  if (!Json::sax_parse(text.begin(), text.end(), &handler)) {
    return handler.error().code.failed() ? handler.error() : Error(Errc::malformed_json);
  }
  return handler.tree().take();
}

std::string encode_json(const Value& value) {
  std::string out;
  append(out, value);
  return out;
}

}  // namespace rtpool::ng
