// Who has which media port: the allocators of all media IPs, the pairs of sockets that are bound
// ahead of need, and what stands between a call's end and its ports' rest, for a port is free only
// when the shard has really closed its socket.
//
// Any thread, once the addresses are added. Each address has a lock of its own, which is never held
// over a system call. A pair goes: [bound ahead ->] lease() -> [sockets handed to a shard] ->
// release() when no stream uses it any more, closed() for each socket that is gone, in any order
// -> rests -> free.
//
// A pair that waits bound ahead takes no packets (UdpSocket::bind_deaf), so that its user meets
// none from before its time. It is drawn at random when it is bound, and again when it is leased.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/random.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/engine.h"
#include "relay/io/port_lease.h"
#include "relay/shard_messages.h"

namespace rtpool {

class PortBook {
 public:
  PortBook(PortRange range, Duration rest) : range_(range), rest_(rest) {}

  // The place of a media IP in the book; two interfaces may share one.
  std::uint16_t add(const IpAddress& address);

  struct Lease {
    LeaseKey key;
    io::LeasedSockets sockets;
  };
  // Of those bound ahead, while there are any; otherwise binds now. The errors are the engine's:
  // out_of_ports, bind_failed, too_many_calls (descriptors).
  Result<Lease> lease(std::uint16_t address, bool with_rtcp, const io::SocketOptions& options,
                      Instant now);
  // Binds the odd port of a standing lease that was taken for RTP alone.
  Result<io::UdpSocket> open_rtcp(LeaseKey key, const io::SocketOptions& options);
  // What lease() and open_rtcp() gave is not wanted after all; its sockets were closed by the
  // caller.
  void abandon(LeaseKey key);
  void abandon_rtcp(LeaseKey key);

  void release(LeaseKey key, Instant now);
  void closed(LeaseKey key, Instant now);  // one socket of the pair

  // Whether an endpoint is one of our ports: that calls use, that rests after use, or that is bound
  // ahead.
  [[nodiscard]] bool owns(const Endpoint& endpoint) const;

  // From now on fill() keeps `pairs` bound ahead at each address, or a quarter of what it has, so
  // that other programs on this host find ports, too. `options`: as most calls will want them.
  // `on_low` is called by lease() when some of them are gone, and must not use the book.
  void bind_ahead(std::size_t pairs, const io::SocketOptions& options,
                  std::function<void()> on_low);
  // Binds what is missing. False: not all of it could be had. One thread at a time.
  bool fill(Instant now);
  // Pairs that bind_ahead() asks for, over all addresses.
  [[nodiscard]] std::size_t wanted_ahead() const;

  struct Counts {
    std::uint64_t total = 0, leased = 0, resting = 0, ahead = 0;  // pairs
  };
  [[nodiscard]] Counts counts(Instant now);

 private:
  struct Standing {
    std::uint8_t open = 0;  // sockets that exist
    bool released = false;
  };
  struct Address {
    Address(const IpAddress& address, const io::PortPairAllocator::Options& options)
        : ip(address), allocator(options), random(options.seed ^ 1) {}

    const IpAddress ip;
    io::PortPairAllocator allocator;
    std::size_t wanted = 0;             // pairs bound ahead
    std::atomic<std::size_t> ahead{0};  // of the allocator's leased ones, not yet any call's

    std::mutex mutex;                                      // guards what follows
    std::unordered_map<std::uint16_t, Standing> standing;  // by even port
    std::vector<io::LeasedSockets> ready;
    bool told_low = false;
    bool binding = false;  // fill() has a pair in hand
    std::condition_variable bound;
    Random random;
  };
  std::optional<Lease> take_ready(std::uint16_t address, bool with_rtcp,
                                  const io::SocketOptions& options);
  Lease stand(std::uint16_t address, io::LeasedSockets sockets, bool with_rtcp);
  bool fill_one(Address& at, Instant now);
  static bool wait_for_fill(Address& at);
  static Standing& standing(Address& at, LeaseKey key);
  static void rest_if_done(Address& at, LeaseKey key, Instant now);

  PortRange range_;
  Duration rest_;
  io::SocketOptions ahead_options_;
  std::function<void()> on_low_;
  std::vector<std::unique_ptr<Address>> addresses_;
};

}  // namespace rtpool
