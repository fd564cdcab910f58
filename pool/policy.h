// Selection of an element by the pool's policy (RFC 5356) and by what stands above any policy:
// drained and full elements are passed over; own zone before others; weight 0 is the last resort;
// suspects come after everything else. Owned by one thread; no clock, no I/O; repeatable by its
// seed.
//
// The selector holds the view it chooses from, with what it must remember of each element: when it
// was chosen last, its smooth round robin weight, and what was handed out since its last load
// report. Does not know liveness: it takes the view as it is given.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pool/errc.h"
#include "pool/pool_element.h"
#include "relay/base/random.h"
#include "relay/base/time.h"

namespace rtpool::pool {

struct SelectRequest {
  std::span<const PoolElementId> exclude;  // tried already, in this very operation
  std::string_view zone;                   // preferred; empty: none
};

class Selector {
 public:
  Selector(Policy policy, std::uint64_t seed) : policy_(policy), random_(seed) {}

  // Takes a new view; what is remembered of elements that stay (same id and epoch) is kept.
  void set_view(Policy policy, std::span<const PoolElement> elements);
  void put(const PoolElement& element);
  void remove(PoolElementId id);
  void set_policy(Policy policy) { policy_ = policy; }

  // The choice, counted as handed out. Valid until the view changes next.
  // Errors: none_available; all_full when only fullness stood against a choice.
  Result<const PoolElement*> select(Instant now, const SelectRequest& request);

  // Up to `limit` different elements, best first, without counting a hand-out.
  std::vector<PoolElement> ranking(Instant now, std::size_t limit, const SelectRequest& request);

  // Treated as suspect until `until` or until it registers anew.
  void shun(PoolElementId id, Instant until);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] const PoolElement* find(PoolElementId id) const;

 private:
  struct Entry {
    PoolElement element;
    std::uint64_t chosen_at = 0;  // the number of the choice, 0 for never
    std::int64_t smooth_weight = 0;
    std::uint32_t hand_outs = 0;  // since the last report
    Instant first_hand_out{};
    Instant shunned_until{};
  };

  void forget_old_hand_outs(Entry& entry, Instant now) const;
  Entry* choose(Instant now, const SelectRequest& request);
  Entry* choose_by_policy();
  Entry* least(std::uint64_t (*cost)(const Entry&));
  Entry* by_smooth_weight();
  Entry* by_random_weight(std::uint64_t (*weight)(const Entry&));

  Policy policy_;
  Random random_;
  std::vector<Entry> entries_;      // ordered by id
  std::vector<Entry*> candidates_;  // of the choice under way
  std::uint64_t choices_ = 0;
  bool saw_full_ = false;
};

}  // namespace rtpool::pool
