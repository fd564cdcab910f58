// The nouns of the handlespace (RFC 5351): an element, what it says of itself when it registers,
// and what pools and elements may be called. Plain values, used by registrar, service and clients
// alike.
//
// An element is known by its name within its pool (`--id`); its 32-bit id is derived from the name,
// so that every registrar and every incarnation agrees on it. The epoch tells incarnations
// (processes) apart: a new process under the same name always has a higher one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/ids.h"
#include "relay/base/result.h"
#include "relay/base/time.h"

namespace rtpool::pool {

using PoolElementId = StrongId<struct PoolElementIdTag>;

// RFC 5356, and the rule of DNS SRV records (RFC 2782). The numbers are RFC 5356's; that of `srv`,
// which has none there, is far from those that the RFC assigns and beside the ones that RSPLIB and
// Wireshark use for policies of their own (0xb000....), without being one of them.
enum class Policy : std::uint32_t {
  round_robin = 0x1,
  weighted_round_robin = 0x2,
  random = 0x3,
  weighted_random = 0x4,
  priority = 0x5,
  least_used = 0x40000001,
  least_used_degradation = 0x40000002,
  priority_least_used = 0x40000003,
  randomized_least_used = 0x40000004,
  srv = 0xb0002782,
};

// "least-used-degradation" and so on, as the command line spells them.
std::string_view name_of(Policy policy);
Result<Policy> policy_of(std::string_view name);

inline constexpr std::uint32_t kFullLoad = 0xffffffff;  // 100 %

struct PolicyValues {
  std::uint32_t weight = 1;    // 0: the last resort, not "disabled"
  std::uint32_t priority = 0;  // the highest is chosen first (RFC 5356); srv: the lowest (RFC 2782)
  std::uint32_t capacity = 0;  // calls; 0: no limit but what the load says
  // What one hand-out adds to the load until the next report. 0: one call's share of the capacity,
  // or of 1000 where there is none.
  std::uint32_t load_degradation = 0;

  bool operator==(const PolicyValues&) const = default;
};

// What an element says of itself; the same for every registrar.
struct Registration {
  std::string pool;
  std::string name;
  std::string endpoint;  // of its gRPC service, HOST:PORT
  std::string zone;      // may be empty
  Policy policy = Policy::least_used_degradation;
  PolicyValues values;
  std::uint64_t incarnation = 0;  // drawn at random by the process; never 0
  std::uint64_t epoch = 0;        // the one it holds; 0 before the first grant
};

struct PoolElement {
  PoolElementId id;
  std::string name;
  std::string endpoint;
  std::string zone;
  std::uint64_t epoch = 0;
  PolicyValues values;
  std::uint32_t load = 0;           // of kFullLoad
  std::uint32_t calls = 0;          // in progress
  std::uint64_t load_sequence = 0;  // changes with every report that was passed on
  bool drained = false;             // gets no new calls and keeps those it has
  bool suspect =
      false;            // its stream has ended or it is silent; used only when nothing else is left
  bool damped = false;  // died again and again: chosen only when nothing undamped can be

  bool operator==(const PoolElement&) const = default;
  [[nodiscard]] bool full() const {
    return load == kFullLoad || (values.capacity > 0 && calls >= values.capacity);
  }
};

// One step of a watched pool. A snapshot replaces everything known; a delta applies to exactly the
// view of `sequence - 1`, and whoever holds another must ask for a snapshot.
struct PoolUpdate {
  std::uint64_t sequence = 0;
  bool snapshot = false;
  bool settled = true;     // false: the registrar has just started and elements may not be back yet
  bool panic = false;      // more than half the pool fell silent at once; nobody is being removed
  bool keepalive = false;  // only a sign of life; `sequence` is the last one sent
  Policy policy = Policy::least_used_degradation;
  std::vector<PoolElement> changed;
  std::vector<PoolElementId> removed;
};

struct ListedElement {
  PoolElement element;
  Duration last_heard_ago{};
  std::uint32_t reports = 0;
  Duration damped_left{};  // until it gets calls as others do; 0 where it is not damped
};

struct ListedPool {
  std::string pool;
  Policy policy = Policy::least_used_degradation;
  bool panic = false;
  std::vector<ListedElement> elements;
};

inline constexpr std::size_t kMaxNameLength = 64;
inline constexpr std::size_t kMaxEndpointLength = 261;  // 255 of a host name, colon, port

PoolElementId element_id(std::string_view name);

// 1 to 64 of A-Z a-z 0-9 . _ - ; `what` begins the error's sentence.
Result<void> check_name(std::string_view what, std::string_view name);
// HOST:PORT, a name, an IPv4 address or a bracketed IPv6 one, with a port above 0.
Result<void> check_endpoint(std::string_view text);
Result<void> check_registration(const Registration& registration);

}  // namespace rtpool::pool
