// The store that several registrars share: an etcd cluster (3.4 or later). Thread-safe; `done`
// comes on the caller's thread, on one of gRPC's or on a timer's, within Options::within.
//
// Every operation is linearizable: without a quorum it fails. A request that a server forwards to a
// dead leader is lost, so each attempt has a deadline of its own, and the next one goes to another
// server. A change whose answer was lost is asked for again; finding what it would have left means
// that it was done. Where every server fails, the circuit opens: operations fail at once, and
// probes look for the cluster until one is answered.
//
// Definitions and epochs have no lifetime. Records share leases: one for all that are written
// within Options::bucket with about the same lifetime, so that each lives for its lifetime and at
// most two buckets longer. (After a change of leader etcd lets every lease begin anew: longer,
// never shorter.) Nothing here tells who is alive.
//
// Errors: store_failed, store_full (etcd's space quota), overloaded (Options::max_in_flight).
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "pool/client.h"
#include "pool/etcd_url.h"
#include "pool/store.h"

namespace rtpool::pool {

class EtcdStore final : public Store {
 public:
  struct Options {
    EtcdUrl url;
    std::chrono::milliseconds attempt{250};
    std::chrono::milliseconds within{1'000};  // an operation, all of its attempts together
    std::chrono::milliseconds probe_interval{150};
    std::chrono::seconds bucket{30 * 60};
    std::size_t max_in_flight = 8'192;
    Log log;
  };

  // No server need be reachable. Errors: bad_argument (files that can't be read).
  static Result<std::unique_ptr<EtcdStore>> open(Options options);
  ~EtcdStore() override;  // answers what is under way with store_failed; waits for one attempt

  void get(const std::string& key, GetDone done) override;
  void compare_and_swap(Swap swap, SwapDone done) override;
  // Of a cluster that was not reached yet, too.
  [[nodiscard]] std::string trouble() const override;

 private:
  class Impl;
  explicit EtcdStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rtpool::pool
