// Where controllers keep their CallRecords for each other, as the call book sees it: each record
// has a revision and changes only by compare-and-swap on it. Asynchronous; `done` comes exactly
// once, on the control thread, within the deadline and a little. An error means that the store
// could not say; whether a change was made is then not known. record_call_store.h stands behind it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "control/calls/call_record.h"
#include "relay/base/result.h"
#include "relay/base/time.h"

namespace rtpool::control {

struct StoredCall {
  std::uint64_t revision = 0;        // 0: there is none
  std::optional<CallRecord> record;  // absent also where the caller knows that revision already
};

struct SaveOutcome {
  bool saved = false;
  StoredCall current;  // after the operation; the record only where it was not saved
};

class CallStore {
 public:
  using Loaded = std::function<void(Result<StoredCall>)>;
  using Saved = std::function<void(Result<SaveOutcome>)>;

  virtual ~CallStore() = default;
  virtual void load(const std::string& call_id, std::uint64_t known_revision, Duration deadline,
                    Loaded done) = 0;
  virtual void save(const CallRecord& record, std::uint64_t expected, Duration deadline,
                    Saved done) = 0;
  virtual void remove(const std::string& call_id, std::uint64_t expected, Duration deadline,
                      Saved done) = 0;
};

}  // namespace rtpool::control
