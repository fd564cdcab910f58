// The store of a single registrar: gone with its process. Bounded: beyond `max_entries` the entry
// that was written longest ago makes room. Not thread-safe; calls `done` before it returns.
#pragma once

#include <list>
#include <string>
#include <unordered_map>

#include "pool/store.h"

namespace rtpool::pool {

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(std::size_t max_entries = 65'536) : max_entries_(max_entries) {}

  void get(const std::string& key, GetDone done) override;
  void compare_and_swap(Swap swap, SwapDone done) override;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Slot {
    StoreEntry entry;
    std::list<std::string>::iterator age;
  };

  std::size_t max_entries_;
  std::uint64_t revision_ = 0;
  std::list<std::string> by_age_;  // least recently written first
  std::unordered_map<std::string, Slot> entries_;
};

}  // namespace rtpool::pool
