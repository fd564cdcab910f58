// What several registrars say of one pool, put together. Sans-IO; owned by one thread; the client's
// core.
//
// An element is there while any registrar in contact has it. Where epochs differ the highest
// counts; it is suspect, or damped, if all who know that epoch say so (a bad path to one registrar
// is not a bad element), drained if any does. What no registrar
// in contact has is dropped, unless none of them is settled (just started: elements may not be
// back) or there is no contact at all.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "pool/pool_element.h"

namespace rtpool::pool {

class PoolView {
 public:
  explicit PoolView(std::size_t registrars) : sources_(registrars) {}

  struct Changes {
    std::vector<PoolElement> put;
    std::vector<PoolElementId> removed;
    bool membership = false;  // more than loads
  };

  // False for a gap: the update was not applied and a snapshot is needed.
  bool apply(std::size_t registrar, const PoolUpdate& update, Changes& changes);
  void lost_contact(std::size_t registrar, Changes& changes);

  [[nodiscard]] bool in_contact(std::size_t registrar) const { return sources_[registrar].contact; }
  [[nodiscard]] std::size_t contacts() const;
  [[nodiscard]] bool panic() const;
  [[nodiscard]] Policy policy() const { return policy_; }
  [[nodiscard]] const std::map<PoolElementId, PoolElement>& elements() const { return merged_; }

 private:
  struct Source {
    std::map<PoolElementId, PoolElement> elements;
    std::uint64_t sequence = 0;
    bool contact = false;
    bool settled = false;
    bool panic = false;
  };

  void merge(PoolElementId id, Changes& changes, bool named_gone = false);
  void merge_all(Changes& changes);
  [[nodiscard]] std::optional<PoolElement> best(PoolElementId id) const;

  std::vector<Source> sources_;
  std::map<PoolElementId, PoolElement> merged_;
  Policy policy_ = Policy::least_used_degradation;
};

}  // namespace rtpool::pool
