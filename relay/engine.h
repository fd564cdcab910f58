// The relay's data plane as control/ sees it: calls go in as specifications, states and events come
// out. All of it may be called from any thread; none of it blocks on media. Callbacks run on the
// engine's own control thread and must not block it.
//
// Each call lives on one shard (a thread with packet I/O of its own: io_uring or epoll). Ports are
// leased here, on the caller's thread, so that apply() can answer at once; their sockets are bound
// ahead of need by a thread of their own, or here when calls come faster than that; the shard takes
// them over by queue. What fails leaves the call as it was.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/headroom.h"
#include "relay/io/io_kind.h"
#include "relay/io/socket.h"
#include "relay/media/call_spec.h"
#include "relay/media/explain.h"

namespace rtpool {

// One address that media can be received on. `name` is what the NG key `direction` uses.
struct MediaAddress {
  std::string name;  // "default" where none was given
  IpAddress local;
  IpAddress advertised;  // what the SDP says; equal to `local` without a 1:1 NAT
};

struct PortRange {
  std::uint16_t first = 30000;  // rounded up to even
  std::uint16_t last = 39999;   // inclusive
};

struct EngineOptions {
  std::vector<MediaAddress> media_addresses;  // at least one
  PortRange ports;
  std::uint32_t shards = 1;
  std::optional<io::IoKind> io;      // none: io_uring where it can be had, otherwise epoll
  std::vector<std::uint32_t> cores;  // shards are pinned to them in turn; empty: to none
  Duration busy_poll{};              // io/busy_poll.h; 0: none
  std::uint32_t max_calls = 10'000;  // over all shards
  // Beyond these new calls are refused and standing ones served (headroom.h); 0: no limit.
  std::uint64_t max_packets_per_second = 0;
  std::uint64_t max_bits_per_second = 0;
  std::uint32_t max_cpu_percent = 85;  // of each shard's core
  Duration batch_window =
      std::chrono::microseconds(500);  // longest wait to gather a batch; 0: none
  // Pairs of ports bound ahead at each media address; at most a quarter of those that it has.
  std::uint32_t prebound_ports = 256;
  Duration port_rest = std::chrono::seconds(5);  // a released port is not leased again for so long
  Duration learning_window = std::chrono::seconds(10);  // see media/latch.h
  std::uint32_t receive_buffers = 4096;                 // per shard
  std::uint32_t receive_buffer_bytes = 2048;
  io::PathMtu path_mtu = io::PathMtu::kernel;
  bool connected_sends = true;  // io/uring_twins.cc
};

enum class EngineErrc {
  unknown_call = 1,
  stale_revision,  // a newer specification is already in force
  invalid_spec,
  unknown_interface,  // no media address of that name or family
  out_of_ports,
  too_many_calls,
  bind_failed,
  io_unavailable,  // io_uring missing or forbidden while it was asked for, or limits too low
  shutting_down,
  too_many_packets,  // these three: new calls are refused for now (headroom.h)
  too_much_bandwidth,
  too_busy,
};
ErrorCode make_error_code(EngineErrc errc);

struct ShardCounts {
  media::PacketCounts received, sent;
  media::DropCounts drops{};
  std::uint64_t calls = 0;
  std::uint64_t streams = 0;
  std::uint64_t batches = 0;            // wake-ups that found work
  std::uint64_t receive_rearmed = 0;    // multishot receives that ended and were armed again
  std::uint64_t buffers_exhausted = 0;  // ENOBUFS
  std::uint64_t soft_errors = 0;        // ICMP errors and the like
  std::uint64_t connected = 0;          // sockets that send connected now
  ShardLoad load;
};

struct EngineCounts {
  std::vector<ShardCounts> shards;
  std::uint64_t calls_created = 0;
  std::uint64_t calls_ended[5] = {};                     // by media::EndReason
  std::array<std::uint64_t, kRefusals> calls_refused{};  // by Refusal
  Assessment headroom;
  std::uint64_t ports_total = 0, ports_leased = 0, ports_resting = 0;
  std::uint64_t ports_prebound =
      0;  // bound ahead, no call's yet; of those neither leased nor resting
};

// What the host allows; for a line in the log at start.
struct EngineLimits {
  std::uint64_t descriptors = 0;        // RLIMIT_NOFILE, raised as far as this process may
  std::uint64_t sockets_per_shard = 0;  // beyond it apply() says too_many_calls
  std::uint64_t port_pairs = 0;         // over all media addresses
  std::uint64_t prebound_ports = 0;     // of them, pairs bound ahead; two descriptors each
  io::IoKind io = io::IoKind::uring;    // what the shards have
  std::string io_uring_missing;         // why it stands in for io_uring, where it does
  bool fixed_files = false;             // sockets need no descriptors (Linux 6.13)
  bool min_wait = false;                // batches gather in the kernel (Linux 6.12)
  bool connected_sends = false;         // steady streams of a busy shard send connected
};

struct CallEnded {
  media::EndReason reason;
  media::CallState state;  // as it was at its end
};

class Engine {
 public:
  using StateCallback = std::function<void(Result<media::CallState>)>;
  using ExplainCallback = std::function<void(Result<std::vector<media::Explanation>>)>;

  // Opens the packet I/O and starts the shards. Errors name what could not be had: address, port
  // range, ring, limit.
  static Result<std::unique_ptr<Engine>> start(const EngineOptions& options);
  // Ends every call, without a word to the handler of set_on_ended(), and waits for the shards.
  // Callbacks that are still due come before it returns.
  ~Engine();

  // Creates the call or changes it to the specification. The state returned has local and
  // advertised endpoints of every stream; counters and learned endpoints are only in query() and
  // remove().
  Result<media::CallState> apply(const media::CallSpec& spec);
  void query(const std::string& key, StateCallback done);
  // Where a packet from `source` would go now (media/explain.h); the call is not touched. `port`:
  // of ours that it is sent to, 0 for all. Errors: unknown_call; invalid_spec for a source that no
  // packet can come from.
  void explain(const std::string& key, const RemoteEndpoint& source, std::uint16_t port,
               ExplainCallback done);
  // Ends the call and gives its final state. The handler of set_on_ended() is not called for it.
  void remove(const std::string& key, StateCallback done);
  // Up to `limit` keys, in no particular order.
  [[nodiscard]] std::vector<std::string> list(std::size_t limit) const;
  [[nodiscard]] std::size_t size() const;

  // Called for calls that end by themselves (time-outs), not by remove(). Set before the first
  // apply().
  void set_on_ended(std::function<void(CallEnded)> handler);

  // Called when new calls begin to be refused, and when they no longer are. Set before the first
  // apply(). What changes between two looks (an apply() or headroom()) is not told.
  void set_on_refusal(std::function<void(Refusal)> handler);

  // How much of the relay is in use now; cheap.
  [[nodiscard]] Assessment headroom() const;
  // Calls refused for want of room, since the start.
  [[nodiscard]] std::uint64_t refused() const;
  // "the limit is 2000": what such a refusal says.
  [[nodiscard]] std::string describe_limit(Refusal refusal) const;
  // A snapshot that may be a second old.
  [[nodiscard]] EngineCounts counts() const;
  [[nodiscard]] const EngineOptions& options() const;
  [[nodiscard]] EngineLimits limits() const;

 private:
  Engine();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rtpool

template <>
struct boost::system::is_error_code_enum<rtpool::EngineErrc> : std::true_type {};
