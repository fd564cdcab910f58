// Records (records.h) read and written through any registrar.
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
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/client.h"
#include "pool/records.h"
#include "pool/store.h"

namespace rtpool::pool {

class RecordClient final : public Records {
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
  ~RecordClient() override;  // stop()

  void get(const std::string& key, Duration deadline, Store::GetDone done) override;
  void swap(const std::string& key, std::uint64_t expected, std::optional<std::string> value,
            Duration deadline, Store::SwapDone done) override;
  void stop() override;

 private:
  class Impl;
  explicit RecordClient(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace rtpool::pool
