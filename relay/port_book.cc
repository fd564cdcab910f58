#include "relay/port_book.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "relay/base/assert.h"
#include "relay/io/entropy.h"

namespace rtpool {
namespace {

// Pairs that other programs have, one after another, before a fill gives up for now.
constexpr int kMaxTaken = 32;
// Missing pairs that are worth waking fill() for. Small: what it binds at one go is time that a
// lone core has not for calls (128 pairs are 2 ms).
constexpr std::size_t kRefill = 8;
// How long the last free pair may be in the hands of fill(), which only has to bind it.
constexpr auto kBindPatience = std::chrono::milliseconds(20);
constexpr int kMaxWaits = 3;

Error engine_error(const Error& error) {
  if (error.code == make_error_code(io::IoErrc::out_of_ports)) {
    return {EngineErrc::out_of_ports, error.detail};
  }
  if (error.code == make_error_code(io::IoErrc::out_of_descriptors)) {
    return {EngineErrc::too_many_calls, "RLIMIT_NOFILE: " + error.detail};
  }
  return {EngineErrc::bind_failed, error.message()};
}

}  // namespace

std::uint16_t PortBook::add(const IpAddress& address) {
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    if (addresses_[i]->ip == address) return static_cast<std::uint16_t>(i);
  }
  const io::PortPairAllocator::Options options{
      .first = range_.first, .last = range_.last, .rest = rest_, .seed = io::random_seed()};
  addresses_.push_back(std::make_unique<Address>(address, options));
  return static_cast<std::uint16_t>(addresses_.size() - 1);
}

// ---- bound ahead -------------------------------------------------------------------------------

void PortBook::bind_ahead(std::size_t pairs, const io::SocketOptions& options,
                          std::function<void()> on_low) {
  ahead_options_ = options;
  on_low_ = std::move(on_low);
  for (const auto& at : addresses_) at->wanted = std::min(pairs, at->allocator.total() / 4);
}

std::size_t PortBook::wanted_ahead() const {
  std::size_t sum = 0;
  for (const auto& at : addresses_) sum += at->wanted;
  return sum;
}

bool PortBook::fill(Instant now) {
  bool all = true;
  for (const auto& at : addresses_) {
    while (at->ahead < at->wanted) {
      if (!fill_one(*at, now)) {
        all = false;
        break;
      }
    }
    const std::lock_guard lock(at->mutex);
    at->told_low = false;
  }
  return all;
}

bool PortBook::fill_one(Address& at, Instant now) {
  const auto in_hand = [&at](bool binding) {
    const std::lock_guard lock(at.mutex);
    at.binding = binding;
    if (!binding) at.bound.notify_all();
  };
  in_hand(true);
  for (int tries = 0; tries < kMaxTaken; ++tries) {
    const auto pair = at.allocator.lease(now);
    if (!pair) break;
    ++at.ahead;
    auto rtp = io::UdpSocket::bind_deaf(LocalEndpoint{{at.ip, pair->even}}, ahead_options_);
    auto rtcp = rtp ? io::UdpSocket::bind_deaf(LocalEndpoint{{at.ip, pair->odd()}}, ahead_options_)
                    : Result<io::UdpSocket>(rtp.error());
    if (rtcp) {
      const std::lock_guard lock(at.mutex);
      at.ready.push_back({*pair, std::move(*rtp), std::move(*rtcp)});
      at.binding = false;
      at.bound.notify_all();
      return true;
    }
    const bool taken = rtcp.error().code == make_error_code(io::IoErrc::bind_failed);
    rtp = io::UdpSocket();
    --at.ahead;
    if (!taken) {
      at.allocator.give_back(*pair);
      break;
    }
    at.allocator.set_aside(*pair, now);
  }
  in_hand(false);
  return false;
}

// Where no pair is free: whether one may be, now that fill() has let go of what it had in hand.
bool PortBook::wait_for_fill(Address& at) {
  std::unique_lock lock(at.mutex);
  if (!at.binding) return !at.ready.empty();
  return at.bound.wait_for(lock, kBindPatience, [&at] { return !at.binding; });
}

std::optional<PortBook::Lease> PortBook::take_ready(std::uint16_t address, bool with_rtcp,
                                                    const io::SocketOptions& options) {
  Address& at = *addresses_[address];
  io::LeasedSockets sockets;
  bool low = false;
  {
    const std::lock_guard lock(at.mutex);
    if (!at.ready.empty()) {
      auto& drawn = at.ready[at.random.below(static_cast<std::uint32_t>(at.ready.size()))];
      sockets = std::move(drawn);
      if (&drawn != &at.ready.back()) drawn = std::move(at.ready.back());
      at.ready.pop_back();
    }
    low = !at.told_low && at.wanted > 0 &&
          at.ready.size() + std::min(at.wanted / 2, kRefill) <= at.wanted;
    if (low) at.told_low = true;
  }
  if (low) on_low_();
  if (!sockets.rtp.valid()) return std::nullopt;
  --at.ahead;
  if (!with_rtcp) sockets.rtcp = io::UdpSocket();
  for (const io::UdpSocket* socket : {&sockets.rtp, &sockets.rtcp}) {
    if (!socket->valid()) continue;
    const bool as_wanted = options == ahead_options_ || socket->set(at.ip.family, options);
    if (as_wanted && socket->open_ears()) continue;
    const io::PortPair pair = sockets.ports;
    sockets = {};
    at.allocator.give_back(pair);
    return std::nullopt;
  }
  return stand(address, std::move(sockets), with_rtcp);
}

// ---- leases ------------------------------------------------------------------------------------

Result<PortBook::Lease> PortBook::lease(std::uint16_t address, bool with_rtcp,
                                        const io::SocketOptions& options, Instant now) {
  Address& at = *addresses_[address];
  for (int waits = 0;; ++waits) {
    if (auto ready = take_ready(address, with_rtcp, options)) return std::move(*ready);
    auto leased = io::lease_sockets(at.allocator, at.ip, with_rtcp, options, now);
    if (leased) return stand(address, std::move(*leased), with_rtcp);
    const bool none_free = leased.error().code == make_error_code(io::IoErrc::out_of_ports);
    if (!none_free || waits == kMaxWaits || !wait_for_fill(at)) return engine_error(leased.error());
  }
}

PortBook::Lease PortBook::stand(std::uint16_t address, io::LeasedSockets sockets, bool with_rtcp) {
  Address& at = *addresses_[address];
  const LeaseKey key{address, sockets.ports.even};
  const std::lock_guard lock(at.mutex);
  const auto [place, fresh] =
      at.standing.emplace(key.even, Standing{.open = static_cast<std::uint8_t>(with_rtcp ? 2 : 1)});
  RTPOOL_ASSERT(fresh);
  return {key, std::move(sockets)};
}

Result<io::UdpSocket> PortBook::open_rtcp(LeaseKey key, const io::SocketOptions& options) {
  Address& at = *addresses_[key.address];
  const io::PortPair pair{key.even};
  auto socket = io::UdpSocket::bind(LocalEndpoint{{at.ip, pair.odd()}}, options);
  if (!socket) return engine_error(socket.error());
  const std::lock_guard lock(at.mutex);
  ++standing(at, key).open;
  return std::move(*socket);
}

void PortBook::abandon(LeaseKey key) {
  Address& at = *addresses_[key.address];
  const std::lock_guard lock(at.mutex);
  at.standing.erase(key.even);
  at.allocator.give_back({key.even});
}

void PortBook::abandon_rtcp(LeaseKey key) {
  Address& at = *addresses_[key.address];
  const std::lock_guard lock(at.mutex);
  --standing(at, key).open;
}

void PortBook::release(LeaseKey key, Instant now) {
  Address& at = *addresses_[key.address];
  const std::lock_guard lock(at.mutex);
  Standing& lease = standing(at, key);
  RTPOOL_ASSERT(!lease.released);
  lease.released = true;
  rest_if_done(at, key, now);
}

void PortBook::closed(LeaseKey key, Instant now) {
  Address& at = *addresses_[key.address];
  const std::lock_guard lock(at.mutex);
  Standing& lease = standing(at, key);
  RTPOOL_ASSERT(lease.open > 0);
  --lease.open;
  rest_if_done(at, key, now);
}

bool PortBook::owns(const Endpoint& endpoint) const {
  for (const auto& at : addresses_) {
    if (at->ip != endpoint.address || !at->allocator.in_use(endpoint.port)) continue;
    // The odd port of a multiplexed stream is nobody's socket of ours: a telephone on this host may
    // have it.
    const bool odd = (endpoint.port & 1U) != 0;
    if (!odd) return true;
    const std::lock_guard lock(at->mutex);
    const auto standing = at->standing.find(static_cast<std::uint16_t>(endpoint.port & ~1U));
    return standing == at->standing.end() || standing->second.open > 1;
  }
  return false;
}

PortBook::Counts PortBook::counts(Instant now) {
  Counts sum;
  for (const auto& at : addresses_) {
    const std::size_t ahead = at->ahead;
    const std::size_t out = at->allocator.leased();
    sum.resting += at->allocator.resting(now);
    sum.total += at->allocator.total();
    sum.leased += out - std::min(out, ahead);
    sum.ahead += ahead;
  }
  return sum;
}

PortBook::Standing& PortBook::standing(Address& at, LeaseKey key) {
  const auto place = at.standing.find(key.even);
  RTPOOL_ASSERT(place != at.standing.end());
  return place->second;
}

void PortBook::rest_if_done(Address& at, LeaseKey key, Instant now) {
  const Standing& lease = standing(at, key);
  if (!lease.released || lease.open > 0) return;
  at.standing.erase(key.even);
  at.allocator.release({key.even}, now);
}

}  // namespace rtpool
