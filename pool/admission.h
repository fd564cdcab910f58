// What becomes of registrations while the store is asked for their epochs (pool/ledger.h).
//
// An element without an epoch waits for the store and is refused with what the store says. One that
// brings an epoch was granted it before: where the store fails, or does not answer within
// Options::patience, it is admitted on its word, so that an outage of the store takes nobody out of
// a pool. The store is asked again, for a few elements at a time, until it has answered for each; a
// refusal then ends the element's stream.
//
// All calls and callbacks are tasks of one executor. Store and executor outlive this or stop before
// it; the store may answer on any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>

#include "pool/client.h"
#include "pool/executor.h"
#include "pool/ledger.h"
#include "pool/registrar.h"
#include "pool/store.h"

namespace rtpool::pool {

class Admission {
 public:
  struct Options {
    Duration patience = std::chrono::milliseconds(100);
    Duration confirm_interval = std::chrono::milliseconds(100);
    std::size_t confirm_at_once = 64;  // with a store that answers; otherwise one
  };
  // The epoch that the element gets, or why it gets none. After an admission on its word comes a
  // second verdict on the same registration, with `confirms` set.
  struct Verdict {
    Registration registration;
    Result<std::uint64_t> epoch;
    bool confirms = false;
  };
  using Decided = std::function<void(StreamId, const Verdict&)>;

  Admission(Options options, Store& store, Executor& executor, Log log, Decided decided)
      : options_(options),
        store_(store),
        executor_(executor),
        log_(std::move(log)),
        decided_(std::move(decided)) {}

  // In place of an earlier claim of the same stream.
  void claim(StreamId stream, EpochClaim claim);
  [[nodiscard]] bool claiming(StreamId stream) const { return claims_.contains(stream); }
  void forget(StreamId stream);

 private:
  struct Claim {
    EpochClaim wanted;
    std::shared_ptr<std::atomic<bool>> abandoned;
    std::uint64_t number = 0;  // tells it from an earlier one of the stream
    bool on_word = false;
  };

  void ask(StreamId stream, const Claim& claim, bool again);
  void answered(StreamId stream, std::uint64_t number, const Result<std::uint64_t>& epoch);
  void take_at_word(StreamId stream, std::uint64_t number);
  void confirm();
  void log(LogLevel level, const char* text) const {
    if (log_) log_(level, text);
  }

  Options options_;
  Store& store_;
  Executor& executor_;
  Log log_;
  Decided decided_;
  std::uint64_t number_ = 0;
  std::unordered_map<StreamId, Claim> claims_;
  std::deque<std::pair<StreamId, std::uint64_t>> unconfirmed_;  // to be asked for again
  std::size_t asking_again_ = 0;
  bool confirming_ = false;  // its timer runs
};

}  // namespace rtpool::pool
