#include "control/ng/rtpp_flags.h"

#include <utility>

namespace rtpool::ng {
namespace {

// Recursion is bounded by kMaxRtppFlagsDepth, work by kMaxRtppFlags.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::vector<RtppFlag> run() {
    std::vector<RtppFlag> flags;
    while (skip_spaces() && words_++ < kMaxRtppFlags) {
      if (text_[at_] == ']' || text_[at_] == '[') {  // a bracket that belongs to nothing
        ++at_;
        continue;
      }
      flags.push_back(word(0));
    }
    return flags;
  }

 private:
  bool skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    return at_ < text_.size();
  }

  // `key`, `key=value` or `key=[...]`, from a place that is neither space nor bracket.
  RtppFlag word(std::size_t depth) {
    const std::size_t end = std::min(text_.find_first_of(" \t=]", at_), text_.size());
    RtppFlag flag{std::string(text_.substr(at_, end - at_)), std::nullopt};
    at_ = end;
    if (at_ >= text_.size() || text_[at_] != '=') return flag;
    ++at_;
    if (at_ < text_.size() && text_[at_] == '[') {
      flag.value = bracket(depth + 1);
    } else {
      const std::size_t value_end = std::min(text_.find_first_of(" \t]", at_), text_.size());
      flag.value = Value(text_.substr(at_, value_end - at_));
      at_ = value_end;
    }
    return flag;
  }

  // A list or dictionary, from its opening bracket to after its closing one.
  Value bracket(std::size_t depth) {
    ++at_;
    Value result = Value::list();
    bool first = true;
    while (skip_spaces() && text_[at_] != ']') {
      if (depth > kMaxRtppFlagsDepth || words_++ >= kMaxRtppFlags) {
        at_ = text_.size();  // hostile: nothing after this is read
        break;
      }
      if (text_[at_] == '[') {
        Value inner = bracket(depth + 1);
        if (!result.is_dictionary()) result.add(std::move(inner));
        continue;
      }
      RtppFlag flag = word(depth);
      if (first && flag.value) result = Value::dictionary();
      first = false;
      if (result.is_dictionary()) {
        result.append(std::move(flag.key), flag.value ? std::move(*flag.value) : Value(""));
      } else {
        result.add(Value(flag.value ? flag.key + "=" + flag.value->text().value_or("") : flag.key));
      }
    }
    if (at_ < text_.size()) ++at_;  // the closing bracket
    return result;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t words_ = 0;
};

}  // namespace

std::vector<RtppFlag> parse_rtpp_flags(std::string_view text) {
  return Parser(text).run();
}

}  // namespace rtpool::ng
