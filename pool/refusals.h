// Peers that were refused for what their certificate lacks: counted, and logged at most once
// a second, because whoever is refused may try again at once. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "pool/client.h"

namespace rtpool::pool {

class Refusals {
 public:
  explicit Refusals(Log log) : log_(std::move(log)) {}

  // `why` is a sentence without subject: "Drain takes the role operator; …".
  void add(const std::string& why);
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  Log log_;
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::int64_t> logged_at_s_{-1};
};

}  // namespace rtpool::pool
