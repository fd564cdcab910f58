// The pool's two clients, over gRPC. Neither blocks its callers, both may be started with no
// registrar reachable and find them by themselves (first retry within 100 ms, then at most every
// half second, jittered). Thread-safe. Each runs its callbacks one at a time, on a thread
// of its own or of gRPC: these must return quickly and must not destroy the client. Destruction or
// stop() takes well under half a second, registrars dead or not.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pool/pool_element.h"
#include "relay/base/result.h"
#include "relay/base/time.h"

namespace rtpool::pool {

class TlsContext;

enum class LogLevel { debug, info, warning, error };
using Log = std::function<void(LogLevel, std::string_view)>;

// A relay's side: keeps a heartbeat stream to *each* registrar.
class PoolElementClient {
 public:
  struct LoadReport {
    std::uint32_t load = 0;  // of kFullLoad
    std::uint32_t calls = 0;
  };
  struct State {
    std::uint64_t epoch = 0;       // 0: not granted yet
    std::size_t registered = 0;    // registrars that carry the registration now
    std::size_t registrars = 0;    // configured
    bool drained = false;          // by an operator
    std::optional<Error> refused;  // the last refusal, until a registrar accepts
    bool operator==(const State&) const;
  };
  struct Options {
    std::vector<std::string> registrars;  // HOST:PORT, 1 to 5
    Registration registration;         // `incarnation` 0: drawn by the client; `epoch` is ignored
    std::function<LoadReport()> load;  // asked before each heartbeat
    std::function<void(const State&)> on_state;  // on each change
    Log log;
    std::shared_ptr<const TlsContext> tls;  // none: plaintext
    Duration heartbeat_interval{};          // 0: what each registrar asks for
  };

  // Errors: bad_name, bad_endpoint, bad_argument.
  static Result<std::unique_ptr<PoolElementClient>> start(Options options);
  ~PoolElementClient();

  [[nodiscard]] State state() const;
  [[nodiscard]] std::uint64_t epoch() const;
  // True while leaving: no new calls are sent here; those in progress stay.
  void set_leaving(bool leaving);
  // Deregisters where there is contact (waits at most 200 ms for it) and ends the streams.
  // Idempotent.
  void stop();

 private:
  class Impl;
  explicit PoolElementClient(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

struct Selected {
  PoolElementId id;
  std::string name;
  std::string endpoint;
  std::string zone;
  std::uint64_t epoch = 0;
};

// A controller's side: watches one pool at *every* registrar and chooses from what they say
// together. An element is there while any registrar in contact has it; without contact, or while
// registrars are just starting, the last view is kept for as long as it takes.
class PoolUserClient {
 public:
  struct Options {
    std::vector<std::string> registrars;
    std::string pool;
    std::string zone;  // elements of it are preferred
    std::uint64_t seed = 1;
    Duration shun_time = std::chrono::seconds(1);  // for an element that was reported unreachable
    std::function<void()> on_change;               // the membership changed
    Log log;
    std::shared_ptr<const TlsContext> tls;  // none: plaintext
  };
  struct View {
    std::vector<PoolElement> elements;
    Policy policy = Policy::least_used_degradation;
    std::size_t registrars_in_contact = 0;
    std::size_t registrars = 0;
    bool ever_filled = false;  // a registrar has answered at least once
    bool panic = false;
    Duration age{};  // since a registrar last confirmed it
  };

  static Result<std::unique_ptr<PoolUserClient>> start(Options options);
  ~PoolUserClient();

  // Local: no I/O, microseconds. Errors: none_available, all_full.
  Result<Selected> select(std::span<const PoolElementId> exclude = {});
  // An element by its name, whatever its state; for the calls that it has.
  [[nodiscard]] std::optional<Selected> find(std::string_view name) const;
  // Chosen last for `shun_time`, and told to the registrars.
  void report_unreachable(PoolElementId id);
  [[nodiscard]] View view() const;
  [[nodiscard]] bool in_contact() const;
  // Waits until the view has a usable element. Blocks; for start-up and tests.
  bool wait_ready(std::chrono::milliseconds timeout) const;
  void stop();  // idempotent; the last view stays readable

 private:
  class Impl;
  explicit PoolUserClient(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// One-shot questions of an operator's command line. They block for at most `timeout`.
Result<std::vector<ListedPool>> list_pools(const std::string& registrar, const std::string& pool,
                                           std::chrono::milliseconds timeout,
                                           const std::shared_ptr<const TlsContext>& tls = {});
Result<void> set_drained(const std::string& registrar, const std::string& pool,
                         const std::string& name, bool drained, std::chrono::milliseconds timeout,
                         const std::shared_ptr<const TlsContext>& tls = {});

}  // namespace rtpool::pool
