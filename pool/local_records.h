// The records of a pool, for a client in the registrar's own process: asked of the store by a
// function call. Thread-safe; `done` comes from the calling thread, the store's, or at the deadline
// from one of its own; never under a lock of this.
#pragma once

#include <memory>
#include <string>

#include "pool/records.h"

namespace rtpool::pool {

class LocalRecords final : public Records {
 public:
  // `lifetime`: of each record after its last change; 0: for ever. The store outlives this until
  // stop().
  LocalRecords(Store& store, std::string pool, Duration lifetime);
  ~LocalRecords() override;  // stop()

  void get(const std::string& key, Duration deadline, Store::GetDone done) override;
  void swap(const std::string& key, std::uint64_t expected, std::optional<std::string> value,
            Duration deadline, Store::SwapDone done) override;
  void stop() override;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace rtpool::pool
