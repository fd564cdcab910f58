#include "relay/port_book.h"

#include <utility>

#include "relay/base/assert.h"
#include "relay/io/entropy.h"

namespace rtpool {
namespace {

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
    if (addresses_[i].ip == address) return static_cast<std::uint16_t>(i);
  }
  addresses_.push_back(
      {address,
       io::PortPairAllocator(
           {.first = range_.first, .last = range_.last, .rest = rest_, .seed = io::random_seed()}),
       {}});
  return static_cast<std::uint16_t>(addresses_.size() - 1);
}

Result<PortBook::Lease> PortBook::lease(std::uint16_t address, bool with_rtcp,
                                        const io::SocketOptions& options, Instant now) {
  Address& at = addresses_[address];
  auto leased = io::lease_sockets(at.allocator, at.ip, with_rtcp, options, now);
  if (!leased) return engine_error(leased.error());
  const LeaseKey key{address, leased->ports.even};
  const auto [place, fresh] =
      at.standing.emplace(key.even, Standing{.open = static_cast<std::uint8_t>(with_rtcp ? 2 : 1)});
  RTPOOL_ASSERT(fresh);
  return Lease{key, std::move(*leased)};
}

Result<io::UdpSocket> PortBook::open_rtcp(LeaseKey key, const io::SocketOptions& options) {
  const io::PortPair pair{key.even};
  auto socket =
      io::UdpSocket::bind(LocalEndpoint{{addresses_[key.address].ip, pair.odd()}}, options);
  if (!socket) return engine_error(socket.error());
  ++standing(key).open;
  return std::move(*socket);
}

void PortBook::abandon(LeaseKey key) {
  addresses_[key.address].standing.erase(key.even);
  addresses_[key.address].allocator.give_back({key.even});
}

void PortBook::abandon_rtcp(LeaseKey key) {
  --standing(key).open;
}

void PortBook::release(LeaseKey key, Instant now) {
  Standing& lease = standing(key);
  RTPOOL_ASSERT(!lease.released);
  lease.released = true;
  rest_if_done(key, now);
}

void PortBook::closed(LeaseKey key, Instant now) {
  Standing& lease = standing(key);
  RTPOOL_ASSERT(lease.open > 0);
  --lease.open;
  rest_if_done(key, now);
}

bool PortBook::owns(const Endpoint& endpoint) const {
  for (const Address& at : addresses_) {
    if (at.ip != endpoint.address || !at.allocator.in_use(endpoint.port)) continue;
    // The odd port of a multiplexed stream is nobody's socket of ours: a telephone on this host may
    // have it.
    const auto standing = at.standing.find(static_cast<std::uint16_t>(endpoint.port & ~1U));
    const bool odd = (endpoint.port & 1U) != 0;
    return !odd || standing == at.standing.end() || standing->second.open > 1;
  }
  return false;
}

PortBook::Counts PortBook::counts(Instant now) {
  Counts sum;
  for (Address& at : addresses_) {
    sum.resting += at.allocator.resting(now);
    sum.total += at.allocator.total();
    sum.leased += at.allocator.leased();
  }
  return sum;
}

PortBook::Standing& PortBook::standing(LeaseKey key) {
  auto& leases = addresses_[key.address].standing;
  const auto place = leases.find(key.even);
  RTPOOL_ASSERT(place != leases.end());
  return place->second;
}

void PortBook::rest_if_done(LeaseKey key, Instant now) {
  const Standing& lease = standing(key);
  if (!lease.released || lease.open > 0) return;
  addresses_[key.address].standing.erase(key.even);
  addresses_[key.address].allocator.release({key.even}, now);
}

}  // namespace rtpool
