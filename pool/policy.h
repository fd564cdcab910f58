// Selection of an element by the pool's policy (RFC 5356; RFC 2782 for `srv`) and by what stands
// above any policy. Drained and full elements are passed over. Of the others those come first that
// are neither doubtful (suspect or shunned) nor damped; then the damped ones; then the doubtful.
// Among equals in that, weight 0 is the last resort, and the own zone comes before others.
//
// Under `srv` the lowest priority is the best class, as in RFC 2782, where under `priority` the
// highest number is (RFC 5356). A class is used only when no better one has an element that may be
// chosen; inside a class weights are shares, and weight 0 is the class's own last resort.
//
// The selector holds the view it chooses from, with what it must remember of each element: when it
// was chosen last, and what was handed out since its last load report. A choice costs the logarithm
// of the pool's size and allocates nothing. Owned by one thread; no clock, no I/O; repeatable by
// its seed. Does not know liveness: it takes the view as it is given.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pool/errc.h"
#include "pool/join_tree.h"
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
  Selector(Selector&&) = default;
  Selector& operator=(Selector&&) = default;

  // Takes a new view; what is remembered of elements that stay (same id and epoch) is kept.
  void set_view(Policy policy, std::span<const PoolElement> elements);
  void put(const PoolElement& element);
  void remove(PoolElementId id);
  void set_policy(Policy policy);

  // The choice, counted as handed out. Valid until the view changes next.
  // Errors: none_available, all_full as why_none() says.
  Result<const PoolElement*> select(Instant now, const SelectRequest& request);

  // Up to `limit` different elements, best first, without counting a hand-out.
  std::vector<PoolElement> ranking(Instant now, std::size_t limit, const SelectRequest& request);

  // all_full: there are elements that take calls, and each of them is full. none_available
  // otherwise.
  [[nodiscard]] Errc why_none() const;

  // Treated as suspect until `until` or until it registers anew.
  void shun(PoolElementId id, Instant until);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] const PoolElement* find(PoolElementId id) const;

 private:
  struct Group;
  struct Seat {
    Group* group = nullptr;
    std::size_t index = 0;
  };
  struct Entry {
    PoolElement element;
    std::uint32_t zone = 0;
    std::uint64_t chosen_at = 0;  // the number of the choice, 0 for never
    std::uint64_t pass = 0;       // weighted round robin: when it is due
    std::uint32_t hand_outs = 0;  // since the last report
    Instant first_hand_out{};
    Instant shunned_until{};
    Entry* earlier = nullptr;  // neighbours by first_hand_out
    Entry* later = nullptr;
    bool hidden = false;            // for the length of a call, as it is excluded
    std::array<Seat, 2> seats;      // among all, and among those of its zone
    std::array<Group*, 2> homes{};  // while shunned: where it will be back, by time alone
  };
  // What an element is worth to the policies that take the least; the neutral one stands for none.
  struct Turn {
    std::uint64_t cost = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t chosen_at = std::numeric_limits<std::uint64_t>::max();
    PoolElementId id;
    Entry* entry = nullptr;
  };
  // Of equal cost the one chosen longest ago, which is round robin.
  struct Sooner {
    Turn operator()(const Turn& a, const Turn& b) const {
      if (a.cost != b.cost) return a.cost < b.cost ? a : b;
      if (a.chosen_at != b.chosen_at) return a.chosen_at < b.chosen_at ? a : b;
      return a.entry != nullptr && (b.entry == nullptr || a.id < b.id) ? a : b;
    }
  };
  struct Sum {
    std::uint64_t operator()(std::uint64_t a, std::uint64_t b) const { return a + b; }
  };
  struct GroupKey {  // better ones first, within one zone
    std::uint32_t rank = 0;
    std::uint32_t zone = 0;  // 0: all elements, whatever their zone
    std::uint32_t priority_class = 0;
    bool spare = false;
    auto operator<=>(const GroupKey&) const = default;
  };
  // Elements between which the policy alone decides.
  struct Group {
    GroupKey key;
    std::vector<Entry*> members;
    std::size_t away = 0;          // members that will be back by time alone: room is kept for them
    JoinTree<Turn, Sooner> turns;  // used by the policies that take the least
    JoinTree<std::uint64_t, Sum> shares;  // used by those that draw
  };
  struct Zone {
    std::uint32_t number = 0;
    std::size_t elements = 0;
  };

  [[nodiscard]] bool draws() const;
  [[nodiscard]] std::uint64_t share(const Entry& entry) const;
  [[nodiscard]] std::uint64_t cost(const Entry& entry) const;
  [[nodiscard]] GroupKey key(const Entry& entry, bool doubtful) const;
  [[nodiscard]] static std::uint32_t zone(const Entry& entry, std::size_t seat) {
    return seat == 0 ? 0 : entry.zone;
  }

  void enter_zone(Entry& entry);
  void leave_zone(const Entry& entry);
  void count(const PoolElement& element, std::ptrdiff_t by);
  void place(Entry& entry, bool gone = false);
  void sit(Entry& entry, Seat& seat, Group* group);
  void make_room(Group& group) const;
  Group& group_at(const GroupKey& key);
  void drop_if_empty(const Group& group);
  void refresh(Entry& entry);
  void refresh(Entry& entry, const Seat& seat) const;
  void forget_hand_outs(Entry& entry);
  void unshun(Entry& entry);
  void expire(Instant now);
  void hide(std::span<const PoolElementId> ids, bool hidden);
  Entry* choose(std::string_view zone);
  Entry* choose(const Group& group);
  void take_turn(Entry& entry);

  Policy policy_;
  Random random_;
  std::unordered_map<PoolElementId, Entry> entries_;
  std::map<GroupKey, Group> groups_;
  std::map<std::string, Zone, std::less<>> zones_;
  std::uint32_t last_zone_ = 0;
  std::set<std::pair<Instant, PoolElementId>> shunned_;
  Entry* earliest_hand_out_ = nullptr;
  Entry* latest_hand_out_ = nullptr;
  std::size_t serving_ = 0;  // not drained
  std::size_t full_ = 0;     // of those
  std::uint64_t choices_ = 0;
  std::uint64_t pass_ = 0;  // weighted round robin: of the last choice
};

}  // namespace rtpool::pool
