// What happened to a pool between two views of it, in an operator's words. Pure.
#pragma once

#include <string>
#include <vector>

#include "pool/client.h"

namespace rtpool::control {

struct PoolChange {
  // Of a relay: joined, died, left, gone, restarted, moved, suspect, heard, damped, undamped,
  // drained, undrained, full, room. Of the pool, with an empty element: panic, calm, policy,
  // contact.
  std::string event;
  pool::PoolElement element;  // as it is, or was last
  std::string text;           // a sentence for people
};

// In the order of the relays' names. A relay that vanishes while it is suspect has died, since a
// death is suspected before it is believed; one that vanishes otherwise has left. Which of the two
// can't be told while a registrar is out of contact: then it is gone.
std::vector<PoolChange> changes_between(const pool::PoolUserClient::View& before,
                                        const pool::PoolUserClient::View& after);

}  // namespace rtpool::control
