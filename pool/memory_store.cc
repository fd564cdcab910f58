#include "pool/memory_store.h"

#include <iterator>
#include <utility>

#include "pool/errc.h"
#include "pool/executor.h"

namespace rtpool::pool {

MemoryStore::MemoryStore(Options options) : options_(std::move(options)) {
  if (!options_.now) options_.now = Executor::now;
}

void MemoryStore::get(const std::string& key, GetDone done) {
  StoreEntry entry;
  {
    const std::scoped_lock lock(mutex_);
    expire(options_.now());
    const auto it = slots_.find(key);
    if (it != slots_.end()) entry = it->second.entry;
  }
  done(std::move(entry));
}

void MemoryStore::compare_and_swap(Swap swap, SwapDone done) {
  Result<SwapOutcome> outcome = [&] {
    const std::scoped_lock lock(mutex_);
    return swap_locked(std::move(swap));
  }();
  done(std::move(outcome));
}

std::optional<std::size_t> MemoryStore::records() const {
  const std::scoped_lock lock(mutex_);
  return records_;
}

std::size_t MemoryStore::size() const {
  const std::scoped_lock lock(mutex_);
  return slots_.size();
}

std::size_t MemoryStore::record_bytes() const {
  const std::scoped_lock lock(mutex_);
  return record_bytes_;
}

Result<SwapOutcome> MemoryStore::swap_locked(Swap swap) {
  expire(options_.now());
  const auto it = slots_.find(swap.key);
  const StoreEntry current = it == slots_.end() ? StoreEntry{} : it->second.entry;
  if (current.revision != swap.expected) return SwapOutcome{.swapped = false, .current = current};
  if (swap.value) return put_locked(it, std::move(swap));
  if (it != slots_.end()) forget(it);
  return SwapOutcome{.swapped = true, .current = {}};
}

Result<SwapOutcome> MemoryStore::put_locked(Slots::iterator it, Swap swap) {
  const bool record = swap.key.starts_with("record/");
  const bool fresh = it == slots_.end();
  if (record) {
    const std::size_t held = fresh ? 0 : swap.key.size() + it->second.entry.value.size();
    const std::size_t bytes = record_bytes_ - held + swap.key.size() + swap.value->size();
    if (fresh && records_ >= options_.max_records) {
      return Error(Errc::store_full, std::to_string(options_.max_records) + " records");
    }
    if (bytes > options_.max_record_bytes) {
      return Error(Errc::store_full, std::to_string(options_.max_record_bytes) + " bytes");
    }
    record_bytes_ = bytes;
    if (fresh) ++records_;
  } else if (fresh) {
    make_room();
  }
  if (fresh) it = slots_.emplace(swap.key, Slot{.expiry = expiries_.end()}).first;
  Slot& slot = it->second;
  slot.record = record;
  slot.entry = {.value = std::move(*swap.value), .revision = ++revision_};
  if (record) {
    if (slot.expiry != expiries_.end()) expiries_.erase(slot.expiry);
    slot.expiry = swap.lifetime > Duration::zero()
                      ? expiries_.emplace(options_.now() + swap.lifetime, swap.key)
                      : expiries_.end();
  } else {
    if (!fresh) by_age_.erase(slot.age);
    by_age_.push_back(swap.key);
    slot.age = std::prev(by_age_.end());
  }
  return SwapOutcome{.swapped = true, .current = slot.entry};
}

void MemoryStore::make_room() {
  if (by_age_.size() < options_.max_entries || by_age_.empty()) return;
  forget(slots_.find(by_age_.front()));
}

void MemoryStore::forget(Slots::iterator it) {
  Slot& slot = it->second;
  if (slot.record) {
    --records_;
    record_bytes_ -= it->first.size() + slot.entry.value.size();
    if (slot.expiry != expiries_.end()) expiries_.erase(slot.expiry);
  } else {
    by_age_.erase(slot.age);
  }
  slots_.erase(it);
}

void MemoryStore::expire(Instant now) {
  while (!expiries_.empty() && expiries_.begin()->first <= now) {
    forget(slots_.find(expiries_.begin()->second));
  }
}

}  // namespace rtpool::pool
