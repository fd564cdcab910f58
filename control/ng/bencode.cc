// Bencode: `i<number>e`, `<length>:<bytes>`, `l<values>e`, `d<key value>e`. The parser keeps its
// own stack, so that depth is a number to compare and not a thing to survive.
#include <charconv>
#include <limits>
#include <utility>
#include <vector>

#include "control/ng/codec.h"
#include "control/ng/tree_builder.h"

namespace rtpool::ng {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const ParseLimits& limits) : text_(text), tree_(limits) {}

  Result<Value> run() {
    do {
      if (auto error = step(); error.code.failed()) return error;
    } while (!tree_.complete());
    // What people send by hand ends with a line feed.
    if (text_.find_first_not_of(std::string_view("\r\n\t \0", 5), at_) != std::string_view::npos) {
      return malformed("data after the end");
    }
    return tree_.take();
  }

 private:
  static Error malformed(std::string_view why) {
    return {Errc::malformed_bencode, "Could not decode bencode dictionary: " + std::string(why)};
  }

  // One token.
  Error step() {
    if (at_ >= text_.size()) return malformed("it ends too early");
    const char c = text_[at_];
    if (c >= '0' && c <= '9') return string();
    if (tree_.wants_key() && c != 'e') return malformed("a key is no string");
    ++at_;
    switch (c) {
      case 'i':
        return integer();
      case 'l':
        return tree_.open(Value::list());
      case 'd':
        return tree_.open(Value::dictionary());
      case 'e':
        return tree_.close() ? Error()
                             : malformed("an end that ends nothing, or a key without a value");
      default:
        return malformed("an unknown type of value");
    }
  }

  Error string() {
    std::size_t length = 0;
    const auto [stop, error] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), length);
    at_ = static_cast<std::size_t>(stop - text_.data());
    if (error != std::errc{} || at_ >= text_.size() || text_[at_] != ':')
      return malformed("a bad string length");
    ++at_;
    if (length > text_.size() - at_) return malformed("a string is longer than the message");
    const std::string_view bytes = text_.substr(at_, length);
    at_ += length;
    if (tree_.wants_key()) return tree_.key(std::string(bytes));
    return tree_.value(Value(bytes));
  }

  Error integer() {
    std::int64_t number = 0;
    const auto [stop, error] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
    at_ = static_cast<std::size_t>(stop - text_.data());
    if (error != std::errc{} || at_ >= text_.size() || text_[at_] != 'e')
      return malformed("a bad integer");
    ++at_;
    return tree_.value(Value(number));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  TreeBuilder tree_;
};

void append_string(std::string& out, std::string_view text) {
  out += std::to_string(text.size());
  out += ':';
  out += text;
}

// Recursion is as deep as the value, which parsers and builders bound.
void append(std::string& out, const Value& value) {
  switch (value.kind()) {
    case Value::Kind::integer:
      out += 'i';
      out += *value.text();
      out += 'e';
      return;
    case Value::Kind::string:
      append_string(out, value.string());
      return;
    case Value::Kind::list:
      out += 'l';
      for (const Value& item : value.items()) append(out, item);
      out += 'e';
      return;
    case Value::Kind::dictionary:
      out += 'd';
      for (const Member& member : value.members()) {
        append_string(out, member.key);
        append(out, member.value);
      }
      out += 'e';
      return;
  }
}

}  // namespace

Result<Value> parse_bencode(std::string_view text, const ParseLimits& limits) {
  if (text.size() > limits.max_bytes) return Error(Errc::limit_exceeded, "Message is too long");
  return Parser(text, limits).run();
}

std::string encode_bencode(const Value& value) {
  std::string out;
  append(out, value);
  return out;
}

}  // namespace rtpool::ng
