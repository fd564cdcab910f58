#include "pool/pool_view.h"

#include <algorithm>
#include <set>

namespace rtpool::pool {
namespace {

// Whether users must be told, as opposed to a load that moved.
bool differs_in_more_than_load(const PoolElement& a, const PoolElement& b) {
  return a.epoch != b.epoch || a.suspect != b.suspect || a.damped != b.damped ||
         a.drained != b.drained || a.endpoint != b.endpoint || a.full() != b.full();
}

}  // namespace

std::size_t PoolView::contacts() const {
  return static_cast<std::size_t>(std::count_if(
      sources_.begin(), sources_.end(), [](const Source& source) { return source.contact; }));
}

bool PoolView::panic() const {
  return std::any_of(sources_.begin(), sources_.end(),
                     [](const Source& source) { return source.contact && source.panic; });
}

bool PoolView::apply(std::size_t registrar, const PoolUpdate& update, Changes& changes) {
  Source& source = sources_[registrar];
  if (!update.snapshot) {
    const std::uint64_t expected = source.sequence + (update.keepalive ? 0 : 1);
    if (!source.contact || update.sequence != expected) return false;
  }
  const bool settled_now = update.settled && !source.settled;
  source.sequence = update.sequence;
  source.settled = update.settled;
  source.panic = update.panic;
  if (update.snapshot) {
    source.contact = true;
    source.elements.clear();
  }
  for (const PoolElement& element : update.changed) source.elements[element.id] = element;
  for (const PoolElementId id : update.removed) source.elements.erase(id);
  // A pool without elements has no policy to tell of.
  if (!source.elements.empty()) policy_ = update.policy;
  if (update.snapshot || settled_now) {
    merge_all(changes);
    return true;
  }
  for (const PoolElement& element : update.changed) merge(element.id, changes);
  for (const PoolElementId id : update.removed) merge(id, changes, true);
  return true;
}

void PoolView::lost_contact(std::size_t registrar, Changes& changes) {
  Source& source = sources_[registrar];
  if (!source.contact) return;
  source = Source{};
  if (contacts() > 0) merge_all(changes);
}

void PoolView::merge_all(Changes& changes) {
  std::set<PoolElementId> ids;
  for (const auto& [id, element] : merged_) ids.insert(id);
  for (const Source& source : sources_) {
    for (const auto& [id, element] : source.elements) ids.insert(id);
  }
  for (const PoolElementId id : ids) merge(id, changes);
}

std::optional<PoolElement> PoolView::best(PoolElementId id) const {
  std::optional<PoolElement> best;
  for (const Source& source : sources_) {
    const auto it = source.elements.find(id);
    if (!source.contact || it == source.elements.end()) continue;
    const PoolElement& element = it->second;
    if (!best || element.epoch > best->epoch) {
      best = element;
    } else if (element.epoch == best->epoch) {
      const bool drained = best->drained || element.drained;
      const bool damped = best->damped && element.damped;
      if (best->suspect && !element.suspect) best = element;
      best->drained = drained;
      best->damped = damped;
    }
  }
  return best;
}

void PoolView::merge(PoolElementId id, Changes& changes, bool named_gone) {
  const auto known = merged_.find(id);
  if (const auto element = best(id)) {
    if (known != merged_.end() && known->second == *element) return;
    changes.membership = changes.membership || known == merged_.end() ||
                         differs_in_more_than_load(known->second, *element);
    merged_[id] = *element;
    changes.put.push_back(*element);
    return;
  }
  if (known == merged_.end()) return;
  // To know nothing of an element is no news from a registrar that has just started; to have lost
  // it is.
  const bool settled = std::any_of(sources_.begin(), sources_.end(), [](const Source& source) {
    return source.contact && source.settled;
  });
  if (!settled && !named_gone) return;
  merged_.erase(known);
  changes.removed.push_back(id);
  changes.membership = true;
}

}  // namespace rtpool::pool
