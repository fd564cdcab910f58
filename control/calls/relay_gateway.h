// How the call manager reaches relays: asynchronous, with a deadline for every request, results on
// the control thread. relay_client.h is the one over gRPC; tests bring relays of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/engine.h"
#include "relay/media/call_spec.h"

namespace rtpool::control {

// A relay as the pool names it: enough to call it and to tell its incarnations apart.
struct RelayRef {
  std::string id;           // as given to the relay with --id
  std::string address;      // of its gRPC service, HOST:PORT
  std::uint64_t epoch = 0;  // of its registration; 0: any

  bool operator==(const RelayRef&) const = default;
};

// What can go wrong on the way to a relay; what the relay itself says comes as an EngineErrc.
enum class RelayErrc {
  unreachable = 1,  // no connection, or it broke
  deadline,         // no answer in time
  stale_epoch,      // the relay has registered anew since
  protocol,         // the answer makes no sense
  none_left,        // the pool has no relay that could be asked
  all_full,         // ... because each is at its limit
};
ErrorCode make_error_code(RelayErrc errc);

class RelayGateway {
 public:
  using Done = std::function<void(Result<media::CallState>)>;
  using Ended = std::function<void(const RelayRef& relay, const CallEnded& ended)>;

  virtual ~RelayGateway() = default;
  virtual void apply(const RelayRef& relay, const media::CallSpec& spec, Duration deadline,
                     Done done) = 0;
  virtual void query(const RelayRef& relay, const std::string& key, Duration deadline,
                     Done done) = 0;
  virtual void remove(const RelayRef& relay, const std::string& key, Duration deadline,
                      Done done) = 0;
  // Calls that ended on any relay used so far: by themselves, or removed (EndReason::deleted, with
  // key and revision alone); also calls of other controllers.
  virtual void set_on_ended(Ended handler) = 0;
};

}  // namespace rtpool::control

template <>
struct boost::system::is_error_code_enum<rtpool::control::RelayErrc> : std::true_type {};
