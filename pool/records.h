// Records: what a pool's users leave in the store for each other, under the pool's name and a key
// of their own (RFC 5352's cookies in spirit). A controller keeps its CallRecords there, so that
// every other controller can go on with its calls.
//
// Asynchronous: `done` is called exactly once, possibly before the call returns, at the latest at
// the deadline. An error of a swap leaves open whether it was done. Two ways lead there:
// record_client.h, through any registrar, and local_records.h, for a registrar's own process.
//
// Errors: store_failed (nobody could say), store_full, overloaded (kMaxRecordsInFlight are under
// way), bad_argument (key or value too long).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "pool/store.h"
#include "relay/base/time.h"

namespace rtpool::pool {

inline constexpr std::size_t kMaxRecordKeyBytes = 1'024;  // a SIP Call-ID: any octets
inline constexpr std::size_t kMaxRecordBytes = 64 * 1'024;
inline constexpr std::size_t kMaxRecordsInFlight = 4'096;

class Records {
 public:
  virtual ~Records() = default;
  // Revision 0 in the answer: there is no such record.
  virtual void get(const std::string& key, Duration deadline, Store::GetDone done) = 0;
  // Done if the record's revision still is `expected` (0: there must be none); `value` none
  // removes.
  virtual void swap(const std::string& key, std::uint64_t expected,
                    std::optional<std::string> value, Duration deadline, Store::SwapDone done) = 0;
  // Cancels what is under way (its `done` comes with store_failed) and waits for it; idempotent.
  virtual void stop() = 0;
};

// Where a pool's record stands in the store.
std::string record_store_key(const std::string& pool, const std::string& key);
Result<void> check_record_key(const std::string& key);
Result<void> check_record_value(const std::string& value);

}  // namespace rtpool::pool
