// The CallRecords that this controller knows, kept in step with the store that it shares with other
// controllers. Used by the control thread alone; knows no clock.
//
// The store decides what a call is, as long as it can be asked; what it can't take at the moment
// stays here as unsaved and is brought to it by flush(). Operations on one call run one after
// another. Without a store the book is all there is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control/calls/call_record.h"
#include "control/calls/call_store.h"
#include "relay/base/time.h"

namespace rtpool::control {

enum class Kept : std::uint8_t {
  stored,     // here and in the store
  here,       // here; the store could not be asked and gets it later
  overtaken,  // another controller was first: find() is now what it made of the call
};

class CallBook {
 public:
  using Refreshed = std::function<void(bool asked)>;
  using KeptDone = std::function<void(Kept)>;

  // `store` may be null, and otherwise outlives the book.
  explicit CallBook(CallStore* store) : store_(store) {}

  // Nullptr for a call that is not known here. Valid until the next operation on that call.
  [[nodiscard]] const CallRecord* find(const std::string& call_id) const;

  // Brings what is known of a call up to what the store has; `asked` is false if the store could
  // not say, and what is known here counts.
  void refresh(const std::string& call_id, Duration deadline, Refreshed done);
  void keep(CallRecord record, Duration deadline, KeptDone done);
  // Here at once; in the store as soon as it can be.
  void drop(const std::string& call_id, Duration deadline);
  // Here only: another controller, or the relay's end of the call, sees to the store.
  void forget(const std::string& call_id);
  // Removes another controller's record of a call that has ended on its relay by itself.
  void drop_ended(const std::string& call_id, const RelayRef& relay, std::uint64_t spec_revision,
                  Duration deadline);

  // Brings to the store what it has not got yet, at most `limit` calls at a time.
  void flush(Duration deadline, std::size_t limit = 256);

  [[nodiscard]] std::size_t size() const { return known_; }  // calls with a record
  [[nodiscard]] std::size_t unsaved() const { return unsaved_.size(); }

  void for_each(const std::function<bool(const CallRecord&)>& visit) const;  // until false

 private:
  struct Page {
    std::optional<CallRecord> record;
    std::uint64_t revision = 0;  // in the store, as last seen
    // Of a call that was dropped here and may still be in the store: which one that was.
    std::optional<std::int64_t> dropped;
    bool unsaved = false;
    bool working = false;
    std::deque<std::function<void()>> waiting;
  };

  void enqueue(const std::string& call_id, std::function<void()> operation);
  void next(const std::string& call_id);
  void set_record(Page& page, std::optional<CallRecord> record);
  void set_unsaved(const std::string& call_id, Page& page, bool unsaved);
  void take_stored(const std::string& call_id, Page& page, StoredCall stored);
  void save(const std::string& call_id, Duration deadline, const KeptDone& done);
  Kept take_outcome(const std::string& call_id, Page& page, const CallRecord& sent,
                    Result<SaveOutcome> outcome);
  void remove(const std::string& call_id, Duration deadline, int attempts);

  CallStore* store_;
  std::unordered_map<std::string, Page> pages_;
  std::unordered_set<std::string> unsaved_;  // call-ids
  std::size_t known_ = 0;
  // Gone when the book is: what the store answers later is ignored.
  std::shared_ptr<int> life_ = std::make_shared<int>();
};

}  // namespace rtpool::control
