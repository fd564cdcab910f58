// Claims on the store that a registration makes: the pool's policy (fixed by its first element) and
// the element's epoch. Stateless; the outcome comes by callback, as the store's does.
//
// Epochs: a process that is new (epoch 0) gets one above any before. A process that returns with
// the epoch that it holds keeps it: its calls are still there. One that returns after another
// process has registered under its name is refused (stale_epoch). Of two new ones that race for a
// name, the one whose claim comes second is told to ask again (store_failed): the late claim of a
// process that died meanwhile must not displace its successor. Registrars with stores of their
// own agree by the element's mediation: it brings the highest epoch it was granted, and the others
// take it over.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "pool/pool_element.h"
#include "pool/store.h"

namespace rtpool::pool {

struct EpochClaim {
  Registration registration;
  std::uint64_t first_epoch = 1;  // for a name that the store does not know
  bool pool_is_empty = false;     // then another policy may replace the one on record
  // Set by the caller once the element's stream has gone: what the claim has not written by then it
  // does not write (stopped).
  std::shared_ptr<const std::atomic<bool>> abandoned;
};

// `done` gets the epoch granted, or policy_mismatch, stale_epoch, store_failed, stopped.
// `store` must outlive it.
void claim_epoch(Store& store, EpochClaim claim, std::function<void(Result<std::uint64_t>)> done);

}  // namespace rtpool::pool
