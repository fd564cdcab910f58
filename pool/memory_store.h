// The store of a single registrar: gone with its process. Thread-safe; calls `done` before it
// returns, without a lock. Bounded twice: definitions and epochs beyond `max_entries` take the
// place of the one written longest ago; records (keys under "record/") are refused with store_full
// beyond `max_records` or `max_record_bytes`, and never take the place of anything.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>

#include "pool/store.h"

namespace rtpool::pool {

class MemoryStore final : public Store {
 public:
  struct Options {
    std::size_t max_entries = 65'536;
    std::size_t max_records = 200'000;
    std::size_t max_record_bytes = 512U * 1024 * 1024;  // of keys and values
    std::function<Instant()> now;                       // for lifetimes; none: the steady clock
  };

  MemoryStore() : MemoryStore(Options()) {}
  explicit MemoryStore(Options options);

  void get(const std::string& key, GetDone done) override;
  void compare_and_swap(Swap swap, SwapDone done) override;
  [[nodiscard]] std::optional<std::size_t> records() const override;
  [[nodiscard]] std::size_t size() const;          // entries and records
  [[nodiscard]] std::size_t record_bytes() const;  // of keys and values

 private:
  struct Slot {
    StoreEntry entry;
    bool record = false;
    std::list<std::string>::iterator age;                    // of an entry: its place in by_age_
    std::multimap<Instant, std::string>::iterator expiry{};  // of a record: in expiries_, or end()
  };
  using Slots = std::unordered_map<std::string, Slot>;

  Result<SwapOutcome> swap_locked(Swap swap);
  Result<SwapOutcome> put_locked(Slots::iterator it, Swap swap);
  void make_room();
  void forget(Slots::iterator it);
  void expire(Instant now);

  Options options_;
  mutable std::mutex mutex_;  // guards what follows
  std::uint64_t revision_ = 0;
  std::size_t records_ = 0;
  std::size_t record_bytes_ = 0;
  std::list<std::string> by_age_;  // entries, least recently written first
  std::multimap<Instant, std::string> expiries_;
  Slots slots_;
};

}  // namespace rtpool::pool
