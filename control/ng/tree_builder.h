// Puts the tokens of a parser together to one Value, without recursion and within limits. Shared by
// the two encodings; the caller has checked that tokens come in an order that the encoding allows,
// except where a function says that it checks.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "control/ng/codec.h"
#include "control/ng/errc.h"
#include "control/ng/value.h"
#include "relay/base/assert.h"

namespace rtpool::ng {

class TreeBuilder {
 public:
  explicit TreeBuilder(const ParseLimits& limits) : limits_(limits) {}

  // Whether the next token must be a key or the end of a dictionary.
  [[nodiscard]] bool wants_key() const {
    return !open_.empty() && open_.back().container.is_dictionary() && !open_.back().has_key;
  }
  [[nodiscard]] bool complete() const { return complete_; }
  Value take() { return std::move(result_); }

  Error key(std::string key) {
    RTPOOL_ASSERT(wants_key());
    open_.back().key = std::move(key);
    open_.back().has_key = true;
    return {};
  }

  Error value(Value value) {
    if (++items_ > limits_.max_items) return {Errc::limit_exceeded, "Message has too many values"};
    attach(std::move(value));
    return {};
  }

  // `container`: an empty list or dictionary.
  Error open(Value container) {
    if (open_.size() >= limits_.max_depth)
      return {Errc::limit_exceeded, "Message is nested too deeply"};
    if (++items_ > limits_.max_items) return {Errc::limit_exceeded, "Message has too many values"};
    open_.push_back(Level{std::move(container), {}, false});
    return {};
  }

  // False when nothing is open, or a key waits for its value.
  bool close() {
    if (open_.empty() || open_.back().has_key) return false;
    Value finished = std::move(open_.back().container);
    open_.pop_back();
    attach(std::move(finished));
    return true;
  }

 private:
  struct Level {
    Value container;
    std::string key;
    bool has_key;
  };

  void attach(Value value) {
    if (open_.empty()) {
      result_ = std::move(value);
      complete_ = true;
      return;
    }
    Level& top = open_.back();
    if (top.container.is_list()) {
      top.container.add(std::move(value));
    } else {
      RTPOOL_ASSERT(top.has_key);
      top.container.append(std::move(top.key), std::move(value));
      top.has_key = false;
    }
  }

  ParseLimits limits_;
  std::vector<Level> open_;
  std::size_t items_ = 0;
  Value result_;
  bool complete_ = false;
};

}  // namespace rtpool::ng
