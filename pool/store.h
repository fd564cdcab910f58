// What must not fork between registrars: pool definitions and element epochs, as small values under
// keys that change only by compare-and-swap on a revision. `memory_store.h` serves one registrar; a
// shared store has the same shape. Asynchronous, because a store may be a server: `done` is called
// exactly once, from the calling thread or another, before or after the call returns. Liveness is
// never kept here.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "relay/base/result.h"

namespace rtpool::pool {

struct StoreEntry {
  std::string value;
  std::uint64_t revision = 0;  // 0: there is no such key
};

struct SwapOutcome {
  bool swapped = false;
  StoreEntry current;  // after the operation
};

class Store {
 public:
  using GetDone = std::function<void(Result<StoreEntry>)>;
  using SwapDone = std::function<void(Result<SwapOutcome>)>;

  virtual ~Store() = default;
  virtual void get(const std::string& key, GetDone done) = 0;
  // Sets `value` if the key's revision still is `expected` (0: it must not exist yet).
  virtual void compare_and_swap(const std::string& key, std::uint64_t expected, std::string value,
                                SwapDone done) = 0;
};

}  // namespace rtpool::pool
