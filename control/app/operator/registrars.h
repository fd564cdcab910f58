// What the registrars named on the command line say of the pools, asked at once and put side by
// side: an operator wants to see where they differ.
//
// merge() is pure. ask_registrars() blocks: for 0.3 s where a registrar is dead or stopped, and for
// 2 s more where none has answered by then.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "control/app/config.h"
#include "pool/pool_element.h"
#include "relay/base/result.h"

namespace rtpool::control {

inline constexpr std::chrono::milliseconds kRegistrarPatience{300};

// An error's own sentence, without the name of its code.
std::string sentence_of(const Error& error);

struct RegistrarAnswer {
  std::string registrar;  // HOST:PORT
  Result<std::vector<pool::ListedPool>> pools = std::vector<pool::ListedPool>{};
};

// `pool` empty: all of them.
std::vector<RegistrarAnswer> ask_registrars(const ClientOptions& options, const std::string& pool);
// As often as wanted, with one round of at most `patience`.
std::vector<RegistrarAnswer> ask_once(const ClientOptions& options, const std::string& pool,
                                      std::chrono::milliseconds patience);

// A relay in a pool. Where epochs differ the highest counts; it is suspect or damped if all who
// know that epoch say so, drained if any does, as controllers see it (pool/pool_view.h).
struct SeenElement {
  pool::PoolElement element;
  Duration last_heard_ago{};  // by the registrar that heard it last
  std::uint32_t reports = 0;  // the most of any registrar
};

struct SeenPool {
  std::string pool;
  pool::Policy policy = pool::Policy::least_used_degradation;
  bool panic = false;                    // at any registrar
  std::vector<SeenElement> elements;     // by name
  std::vector<std::string> differences;  // a sentence each; empty: those who answer agree
};

struct Fleet {
  std::vector<RegistrarAnswer> answers;
  std::vector<SeenPool> pools;  // by name

  [[nodiscard]] std::size_t answering() const;
  // Why nobody answers, for one line.
  [[nodiscard]] std::string trouble() const;
  [[nodiscard]] const SeenPool* find(const std::string& pool) const;
};

Fleet merge(std::vector<RegistrarAnswer> answers);

// Runs body(0) … body(count - 1), at most `width` at one time, and returns when all are done.
void in_parallel(std::size_t count, std::size_t width,
                 const std::function<void(std::size_t)>& body);

}  // namespace rtpool::control
