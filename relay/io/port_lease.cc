#include "relay/io/port_lease.h"

#include <algorithm>
#include <string>
#include <utility>

#include "relay/base/assert.h"

namespace rtpool::io {
namespace {

// How many pairs are tried before the range counts as taken by others: enough to get past a range
// that is half occupied (a chance of 2^-32 to fail), few enough to bound the time a request takes.
constexpr int kMaxTries = 32;

std::size_t pairs_in(std::uint32_t first, std::uint32_t last) {
  return last < first + 1 ? 0 : (last - first + 1) / 2;
}

}  // namespace

PortPairAllocator::PortPairAllocator(const Options& options)
    : first_(static_cast<std::uint16_t>((options.first + 1U) & ~1U)),
      rest_(options.rest),
      random_(options.seed) {
  const std::uint32_t first =
      (options.first + 1U) & ~1U;  // 65535 rounds up beyond the last port: no pair
  state_.resize(pairs_in(first, options.last), State::free);
  free_.resize(state_.size());
  for (std::size_t i = 0; i < free_.size(); ++i) free_[i] = static_cast<std::uint16_t>(i);
}

std::optional<PortPair> PortPairAllocator::lease(Instant now) {
  const std::lock_guard lock(mutex_);
  wake_rested(now);
  if (free_.empty()) return std::nullopt;
  const auto drawn = random_.below(static_cast<std::uint32_t>(free_.size()));
  const std::uint16_t index = free_[drawn];
  free_[drawn] = free_.back();
  free_.pop_back();
  RTPOOL_ASSERT(state_[index] == State::free);
  state_[index] = State::leased;
  ++leased_;
  return PortPair{static_cast<std::uint16_t>(first_ + 2 * index)};
}

void PortPairAllocator::release(PortPair pair, Instant now) {
  rest(pair, State::resting, now);
}

void PortPairAllocator::set_aside(PortPair pair, Instant now) {
  rest(pair, State::taken, now);
}

void PortPairAllocator::rest(PortPair pair, State state, Instant now) {
  const std::lock_guard lock(mutex_);
  const std::uint16_t index = index_of(pair);
  RTPOOL_ASSERT(state_[index] == State::leased);
  state_[index] = state;
  --leased_;
  resting_.push_back({now + rest_, index});
}

void PortPairAllocator::give_back(PortPair pair) {
  const std::lock_guard lock(mutex_);
  const std::uint16_t index = index_of(pair);
  RTPOOL_ASSERT(state_[index] == State::leased);
  state_[index] = State::free;
  --leased_;
  free_.push_back(index);
}

std::size_t PortPairAllocator::leased() const {
  const std::lock_guard lock(mutex_);
  return leased_;
}

std::size_t PortPairAllocator::resting(Instant now) {
  const std::lock_guard lock(mutex_);
  wake_rested(now);
  return resting_.size();
}

bool PortPairAllocator::in_use(std::uint16_t port) const {
  if (port < first_) return false;
  const std::size_t index = (port - first_) / 2U;
  if (index >= state_.size()) return false;
  const std::lock_guard lock(mutex_);
  return state_[index] == State::leased || state_[index] == State::resting;
}

std::uint16_t PortPairAllocator::index_of(PortPair pair) const {
  RTPOOL_ASSERT(pair.even >= first_ && (pair.even - first_) / 2U < state_.size());
  return static_cast<std::uint16_t>((pair.even - first_) / 2);
}

void PortPairAllocator::wake_rested(Instant now) {
  while (!resting_.empty() && resting_.front().until <= now) {
    const std::uint16_t index = resting_.front().index;
    resting_.pop_front();
    state_[index] = State::free;
    free_.push_back(index);
  }
}

Result<LeasedSockets> lease_sockets(PortPairAllocator& allocator, const IpAddress& address,
                                    bool with_rtcp, const SocketOptions& options, Instant now) {
  for (int tries = 0; tries < kMaxTries; ++tries) {
    const auto pair = allocator.lease(now);
    if (!pair) break;
    LeasedSockets leased{*pair, {}, {}};
    auto rtp = UdpSocket::bind(LocalEndpoint{{address, pair->even}}, options);
    Error error = rtp.error();
    if (rtp) {
      leased.rtp = std::move(*rtp);
      if (!with_rtcp) return leased;
      auto rtcp = UdpSocket::bind(LocalEndpoint{{address, pair->odd()}}, options);
      if (rtcp) {
        leased.rtcp = std::move(*rtcp);
        return leased;
      }
      error = rtcp.error();
    }
    if (error.code != make_error_code(IoErrc::bind_failed)) {
      allocator.give_back(*pair);
      return error;
    }
    // Another program sits on one of the two: no use in drawing this pair again soon.
    allocator.set_aside(*pair, now);
  }
  return Error{IoErrc::out_of_ports, address.to_string() + ": all media ports are in use, " +
                                         std::to_string(allocator.leased()) + " of " +
                                         std::to_string(allocator.total()) + " pairs by calls"};
}

}  // namespace rtpool::io
