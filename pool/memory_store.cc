#include "pool/memory_store.h"

#include <utility>

namespace rtpool::pool {

void MemoryStore::get(const std::string& key, GetDone done) {
  const auto it = entries_.find(key);
  done(it == entries_.end() ? StoreEntry{} : it->second.entry);
}

void MemoryStore::compare_and_swap(Swap swap, SwapDone done) {
  auto it = entries_.find(swap.key);
  const std::uint64_t revision = it == entries_.end() ? 0 : it->second.entry.revision;
  if (revision != swap.expected) {
    done(SwapOutcome{.swapped = false,
                     .current = it == entries_.end() ? StoreEntry{} : it->second.entry});
    return;
  }
  if (!swap.value) {
    if (it != entries_.end()) {
      by_age_.erase(it->second.age);
      entries_.erase(it);
    }
    done(SwapOutcome{.swapped = true, .current = {}});
    return;
  }
  if (it == entries_.end()) {
    if (entries_.size() >= max_entries_) {
      entries_.erase(by_age_.front());
      by_age_.pop_front();
    }
    by_age_.push_back(swap.key);
    it = entries_.emplace(swap.key, Slot{.entry = {}, .age = std::prev(by_age_.end())}).first;
  } else {
    by_age_.splice(by_age_.end(), by_age_, it->second.age);
  }
  it->second.entry = {.value = std::move(*swap.value), .revision = ++revision_};
  done(SwapOutcome{.swapped = true, .current = it->second.entry});
}

}  // namespace rtpool::pool
