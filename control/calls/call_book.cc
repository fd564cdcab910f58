#include "control/calls/call_book.h"

#include <algorithm>
#include <utility>

namespace rtpool::control {
namespace {

constexpr int kRemovals = 3;

// One call, not another that reused its Call-ID.
bool same_call(const CallRecord& a, const CallRecord& b) {
  return a.created_us == b.created_us;
}

}  // namespace

const CallRecord* CallBook::find(const std::string& call_id) const {
  const auto found = pages_.find(call_id);
  return found == pages_.end() || !found->second.record ? nullptr : &*found->second.record;
}

void CallBook::set_record(Page& page, std::optional<CallRecord> record) {
  if (record.has_value() != page.record.has_value()) record ? ++known_ : --known_;
  page.record = std::move(record);
}

void CallBook::set_unsaved(const std::string& call_id, Page& page, bool unsaved) {
  page.unsaved = unsaved;
  unsaved ? static_cast<void>(unsaved_.insert(call_id))
          : static_cast<void>(unsaved_.erase(call_id));
}

// Runs an operation on the call once those before it are done; it ends with next().
void CallBook::enqueue(const std::string& call_id, std::function<void()> operation) {
  Page& page = pages_[call_id];
  if (page.working) {
    page.waiting.push_back(std::move(operation));
    return;
  }
  page.working = true;
  operation();
}

void CallBook::next(const std::string& call_id) {
  const auto found = pages_.find(call_id);
  if (found == pages_.end()) return;
  Page& page = found->second;
  if (page.waiting.empty()) {
    page.working = false;
    if (!page.record && !page.unsaved) pages_.erase(found);
    return;
  }
  const auto operation = std::move(page.waiting.front());
  page.waiting.pop_front();
  operation();
}

void CallBook::refresh(const std::string& call_id, Duration deadline, Refreshed done) {
  if (store_ == nullptr) return done(true);
  enqueue(call_id, [this, call_id, deadline, done = std::move(done)] {
    store_->load(call_id, pages_.at(call_id).revision, deadline,
                 [this, call_id, done, alive = std::weak_ptr(life_)](Result<StoredCall> stored) {
                   if (alive.expired()) return;
                   const bool asked = stored.has_value();
                   if (asked) take_stored(call_id, pages_.at(call_id), std::move(*stored));
                   done(asked);
                   next(call_id);
                 });
  });
}

void CallBook::take_stored(const std::string& call_id, Page& page, StoredCall stored) {
  if (stored.revision == page.revision) return;
  page.revision = stored.revision;
  if (stored.revision == 0) {
    // Removed by another controller, unless it is ours and was never stored.
    if (page.record && !page.unsaved) set_record(page, std::nullopt);
    if (!page.record) {
      page.dropped.reset();
      set_unsaved(call_id, page, false);
    }
    return;
  }
  if (!stored.record) return;
  if (page.dropped == stored.record->created_us) return;  // its removal is on its way
  if (page.unsaved && page.record && same_call(*page.record, *stored.record) &&
      page.record->spec.revision > stored.record->spec.revision) {
    return;  // ours is newer and goes to the store by flush()
  }
  set_record(page, std::move(stored.record));
  page.dropped.reset();
  set_unsaved(call_id, page, false);
}

void CallBook::keep(CallRecord record, Duration deadline, KeptDone done) {
  const std::string call_id = record.call_id;
  Page& page = pages_[call_id];
  set_record(page, std::move(record));
  page.dropped.reset();
  if (store_ == nullptr) return done(Kept::stored);
  set_unsaved(call_id, page, true);
  enqueue(call_id,
          [this, call_id, deadline, done = std::move(done)] { save(call_id, deadline, done); });
}

void CallBook::save(const std::string& call_id, Duration deadline, const KeptDone& done) {
  const Page& page = pages_.at(call_id);
  if (!page.record) {  // forgotten while it waited
    if (done) done(Kept::here);
    return next(call_id);
  }
  const auto sent = std::make_shared<const CallRecord>(*page.record);
  store_->save(
      *sent, page.revision, deadline,
      [this, call_id, sent, done, alive = std::weak_ptr(life_)](Result<SaveOutcome> outcome) {
        if (alive.expired()) return;
        const Kept kept = take_outcome(call_id, pages_.at(call_id), *sent, std::move(outcome));
        if (done) done(kept);
        next(call_id);
      });
}

Kept CallBook::take_outcome(const std::string& call_id, Page& page, const CallRecord& sent,
                            Result<SaveOutcome> outcome) {
  if (!outcome) return Kept::here;
  page.revision = outcome->current.revision;
  // Changed or dropped here meanwhile: an operation that waits, or flush(), goes on from that
  // revision.
  const bool superseded = !page.record || page.record->spec.revision != sent.spec.revision;
  if (outcome->saved) {
    if (!superseded) set_unsaved(call_id, page, false);
    return Kept::stored;
  }
  auto& current = outcome->current.record;
  const bool ours = current && same_call(*current, sent) && current->relay == sent.relay &&
                    current->spec == sent.spec;
  if (ours) {  // an earlier attempt whose outcome was not known
    if (!superseded) set_unsaved(call_id, page, false);
    return Kept::stored;
  }
  if (superseded) return Kept::overtaken;
  set_record(page, std::move(current));
  set_unsaved(call_id, page, false);
  return Kept::overtaken;
}

void CallBook::drop(const std::string& call_id, Duration deadline) {
  const auto found = pages_.find(call_id);
  if (found == pages_.end() || !found->second.record) return;
  Page& page = found->second;
  page.dropped = page.record->created_us;
  set_record(page, std::nullopt);
  if (store_ == nullptr) {
    if (!page.working) pages_.erase(found);
    return;
  }
  set_unsaved(call_id, page, true);
  enqueue(call_id, [this, call_id, deadline] { remove(call_id, deadline, kRemovals); });
}

void CallBook::remove(const std::string& call_id, Duration deadline, int attempts) {
  Page& page = pages_.at(call_id);
  if (!page.dropped || page.record) return next(call_id);  // a new call by now
  // Never seen in the store, but a save may have reached it unseen: ask.
  store_->remove(call_id, page.revision, deadline,
                 [this, call_id, deadline, attempts,
                  alive = std::weak_ptr(life_)](Result<SaveOutcome> outcome) {
                   if (alive.expired()) return;
                   Page& now = pages_.at(call_id);
                   if (!outcome) return next(call_id);  // stays unsaved: flush() comes back
                   const auto& current = outcome->current;
                   now.revision = current.revision;
                   const bool there = !outcome->saved && current.revision != 0 && current.record &&
                                      current.record->created_us == now.dropped;
                   if (there && attempts > 1) return remove(call_id, deadline, attempts - 1);
                   if (there) return next(call_id);
                   now.dropped.reset();
                   if (!now.record) {
                     now.revision = 0;
                     set_unsaved(call_id, now, false);
                   }
                   next(call_id);
                 });
}

void CallBook::forget(const std::string& call_id) {
  const auto found = pages_.find(call_id);
  if (found == pages_.end()) return;
  Page& page = found->second;
  set_record(page, std::nullopt);
  page.dropped.reset();
  page.revision = 0;
  set_unsaved(call_id, page, false);
  if (!page.working) pages_.erase(found);
}

void CallBook::drop_ended(const std::string& call_id, const RelayRef& relay,
                          std::uint64_t spec_revision, Duration deadline) {
  if (store_ == nullptr) return;
  enqueue(call_id, [this, call_id, relay, spec_revision, deadline] {
    store_->load(call_id, 0, deadline,
                 [this, call_id, relay, spec_revision, deadline,
                  alive = std::weak_ptr(life_)](const Result<StoredCall>& stored) {
                   if (alive.expired()) return;
                   Page& page = pages_.at(call_id);
                   const bool ended = stored && stored->record && !page.record &&
                                      stored->record->relay.id == relay.id &&
                                      stored->record->spec.revision <= spec_revision;
                   if (!ended) return next(call_id);
                   page.revision = stored->revision;
                   page.dropped = stored->record->created_us;
                   set_unsaved(call_id, page, true);
                   remove(call_id, deadline, kRemovals);
                 });
  });
}

void CallBook::flush(Duration deadline, std::size_t limit) {
  std::vector<std::string> due;
  for (const auto& call_id : unsaved_) {
    if (due.size() >= limit) break;
    if (!pages_.at(call_id).working) due.push_back(call_id);
  }
  for (const auto& call_id : due) {
    enqueue(call_id, [this, call_id, deadline] {
      if (pages_.at(call_id).record) return save(call_id, deadline, {});
      remove(call_id, deadline, kRemovals);
    });
  }
}

void CallBook::for_each(const std::function<bool(const CallRecord&)>& visit) const {
  for (const auto& [call_id, page] : pages_) {
    if (page.record && !visit(*page.record)) return;
  }
}

}  // namespace rtpool::control
