// Records: what a pool's users leave in the store for each other, under the pool's name and a key
// of their own (RFC 5352's cookies in spirit). Read and written through any registrar; a controller
// keeps its CallRecords there, so that every other controller can go on with its calls.
//
// Thread-safe; never blocks. `done` is called exactly once, one at a time, on a thread of the
// client's or of gRPC's (while stopping, on the one that stops it), at the latest at the deadline,
// with store_failed when no registrar could say (whether a swap was done is then not known). It
// must return quickly and may ask on, but not stop the client.
//
// The registrar that answered last is asked first. One that does not answer within a third of the
// deadline is asked no more for a second, and the next one is asked as well. A swap may so be asked
// for twice: a "not swapped" that finds what the swap would have left is reported as swapped.
//
// Several registrars know the same records only when they share a store (etcd). With a `memory`
// store each they are found only where they were written: good enough for a client that stays with
// one registrar, not for several clients that take over from each other.
//
// Further errors: bad_argument (key or value too long), overloaded (4,096 are under way).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/client.h"
#include "pool/store.h"

namespace rtpool::pool {

class RecordClient {
 public:
  struct Options {
    std::vector<std::string> registrars;  // HOST:PORT, 1 to 5
    std::string pool;
    Duration lifetime = std::chrono::hours(13);  // of each record after its last change
    Log log;
    std::shared_ptr<const TlsContext> tls;  // none: plaintext
  };

  // Errors: bad_name, bad_endpoint, bad_argument.
  static Result<std::unique_ptr<RecordClient>> start(Options options);
  ~RecordClient();  // stop()

  // Revision 0 in the answer: there is no such record.
  void get(const std::string& key, Duration deadline, Store::GetDone done);
  // Done if the record's revision still is `expected` (0: there must be none); `value` none
  // removes.
  void swap(const std::string& key, std::uint64_t expected, std::optional<std::string> value,
            Duration deadline, Store::SwapDone done);

  // Cancels what is under way (its `done` comes with store_failed) and waits for it; idempotent.
  void stop();

 private:
  class Impl;
  explicit RecordClient(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

inline constexpr std::size_t kMaxRecordKeyBytes = 1'024;  // a SIP Call-ID: any octets
inline constexpr std::size_t kMaxRecordBytes = 64 * 1'024;

}  // namespace rtpool::pool
