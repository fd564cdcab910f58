// What must not fork between registrars, and what users of the pool leave there for each other:
// pool definitions, element epochs and records, as small values under keys that change only by
// compare-and-swap on a revision. `memory_store.h` serves one registrar; `etcd_store.h` is shared
// by several. Asynchronous, because a store may be a server: `done` is called exactly once, from
// the calling thread or another, before or after the call returns, and never later than the store's
// own deadline. Liveness is never kept here.
//
// Errors: store_failed (no answer; whether a swap was done is then not known), store_full,
// overloaded (too many operations under way).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "relay/base/time.h"

namespace rtpool::pool {

struct StoreEntry {
  std::string value;
  std::uint64_t revision = 0;  // 0: there is no such key
};

struct SwapOutcome {
  bool swapped = false;
  StoreEntry current;  // after the operation
};

// A change to one key, done if the key's revision still is `expected` (0: it must not exist yet).
struct Swap {
  std::string key;
  std::uint64_t expected = 0;
  std::optional<std::string> value;  // none: the key is removed
  Duration lifetime{};  // the least that it is kept, at most an hour longer; 0: for ever
};

class Store {
 public:
  using GetDone = std::function<void(Result<StoreEntry>)>;
  using SwapDone = std::function<void(Result<SwapOutcome>)>;

  virtual ~Store() = default;
  virtual void get(const std::string& key, GetDone done) = 0;
  virtual void compare_and_swap(Swap swap, SwapDone done) = 0;
  // For operators and metrics: empty when the last operation succeeded, else what is wrong.
  [[nodiscard]] virtual std::string trouble() const { return {}; }
  // Records that it holds, where it knows without asking anybody.
  [[nodiscard]] virtual std::optional<std::size_t> records() const { return std::nullopt; }
};

}  // namespace rtpool::pool
