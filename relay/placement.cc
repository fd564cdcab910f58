#include "relay/placement.h"

#include <algorithm>
#include <utility>

#include "relay/media/target.h"

namespace rtpool {
namespace {

// Empty names mean the first address of the family.
const Interface* find_interface(const std::vector<Interface>& interfaces,
                                const media::StreamSpec& spec) {
  const auto fits = [&](const Interface& candidate) {
    return candidate.address.local.family == spec.family &&
           (spec.interface.empty() || candidate.address.name == spec.interface);
  };
  const auto found = std::find_if(interfaces.begin(), interfaces.end(), fits);
  return found == interfaces.end() ? nullptr : &*found;
}

media::StreamSockets endpoints_of(const Interface& interface, LeaseKey lease, bool with_rtcp) {
  const auto odd = static_cast<std::uint16_t>(with_rtcp ? lease.even + 1 : 0);
  const MediaAddress& address = interface.address;
  return {.rtp = LocalEndpoint{{address.local, lease.even}},
          .rtcp = LocalEndpoint{{address.local, odd}},
          .advertised_rtp = AdvertisedEndpoint{{address.advertised, lease.even}},
          .advertised_rtcp = AdvertisedEndpoint{{address.advertised, odd}}};
}

io::SocketOptions options_of(const media::StreamSpec& spec, const Interface& interface) {
  return {.tos = spec.tos, .path_mtu = interface.path_mtu};
}

// Two media ports that send to each other would never stop.
std::string forbidden_target(const media::StreamSpec& spec, const IpAddress& local,
                             const PortBook& book) {
  for (const auto& remote : {spec.remote_rtp, spec.remote_rtcp}) {
    if (!remote) continue;
    if (!media::media_target_allowed(*remote, local)) {
      return "media must not be sent to " + remote->to_string() + " from " + local.to_string();
    }
    if (book.owns(*remote)) return remote->to_string() + " is a media port of this relay";
  }
  return {};
}

}  // namespace

Placement::Placement(Placement&& other) noexcept
    : book_(std::exchange(other.book_, nullptr)),
      streams_(std::move(other.streams_)),
      closed_(std::move(other.closed_)),
      added_(std::move(other.added_)),
      leased_(std::move(other.leased_)),
      rtcp_opened_(std::move(other.rtcp_opened_)),
      released_(std::move(other.released_)) {}

Placement::~Placement() {
  if (book_ == nullptr) return;
  added_.clear();
  for (const LeaseKey key : rtcp_opened_) book_->abandon_rtcp(key);
  for (const LeaseKey key : leased_) book_->abandon(key);
}

Result<Placement> Placement::make(const media::CallSpec& spec,
                                  const std::vector<PlacedStream>& standing,
                                  const std::vector<Interface>& interfaces, PortBook& book,
                                  Instant now) {
  Placement placement(book);
  for (const media::StreamSpec& stream : spec.streams) {
    const auto old = std::find_if(standing.begin(), standing.end(),
                                  [&](const PlacedStream& s) { return s.id == stream.id; });
    auto placed = placement.place(stream, old == standing.end() ? nullptr : &*old, interfaces, now);
    if (!placed) return placed.error();
  }
  for (const PlacedStream& old : standing) {
    const bool stays = std::any_of(spec.streams.begin(), spec.streams.end(),
                                   [&](const media::StreamSpec& s) { return s.id == old.id; });
    if (!stays) placement.drop(old);
  }
  // Only now, for a target may be a port that was leased just above.
  for (std::size_t i = 0; i < spec.streams.size(); ++i) {
    std::string wrong =
        forbidden_target(spec.streams[i], placement.streams_[i].endpoints.rtp.address, book);
    if (!wrong.empty()) return Error{EngineErrc::invalid_spec, std::move(wrong)};
  }
  return placement;
}

Result<void> Placement::place(const media::StreamSpec& spec, const PlacedStream* old,
                              const std::vector<Interface>& interfaces, Instant now) {
  const Interface* interface = find_interface(interfaces, spec);
  if (interface == nullptr) {
    const std::string family = spec.family == IpFamily::v4 ? "IPv4" : "IPv6";
    return Error{EngineErrc::unknown_interface,
                 spec.interface.empty()
                     ? "no " + family + " media address"
                     : "no " + family + " media address named '" + spec.interface + "'"};
  }
  if (old != nullptr) {
    if (keep(spec, *old, *interface)) return {};
    drop(*old);
  }
  const bool with_rtcp = !spec.rtcp_mux;
  auto lease = book_->lease(interface->place, with_rtcp, options_of(spec, *interface), now);
  if (!lease) return lease.error();
  leased_.push_back(lease->key);
  streams_.push_back(
      {spec.id, lease->key, with_rtcp, endpoints_of(*interface, lease->key, with_rtcp)});
  using media::ComponentKind;
  added_.push_back({std::move(lease->sockets.rtp), spec.id, ComponentKind::rtp, lease->key});
  if (with_rtcp)
    added_.push_back({std::move(lease->sockets.rtcp), spec.id, ComponentKind::rtcp, lease->key});
  return {};
}

// Whether the stream goes on with its ports. With rtcp-mux the odd port is leased but not bound, so
// that a multiplexed stream costs one socket; should another program have taken it when
// multiplexing ends, the stream gets new ports.
bool Placement::keep(const media::StreamSpec& spec, const PlacedStream& old,
                     const Interface& interface) {
  const media::StreamSockets& endpoints = old.endpoints;
  if (interface.place != old.lease.address ||
      interface.address.advertised != endpoints.advertised_rtp.address) {
    return false;
  }
  const bool with_rtcp = !spec.rtcp_mux;
  if (with_rtcp && !old.rtcp_open) {
    auto socket = book_->open_rtcp(old.lease, options_of(spec, interface));
    if (!socket) return false;
    rtcp_opened_.push_back(old.lease);
    added_.push_back({std::move(*socket), spec.id, media::ComponentKind::rtcp, old.lease});
  }
  if (!with_rtcp && old.rtcp_open) closed_.push_back({spec.id, media::ComponentKind::rtcp});
  streams_.push_back(
      {spec.id, old.lease, with_rtcp, endpoints_of(interface, old.lease, with_rtcp)});
  return true;
}

void Placement::drop(const PlacedStream& old) {
  closed_.push_back({old.id, media::ComponentKind::rtp});
  if (old.rtcp_open) closed_.push_back({old.id, media::ComponentKind::rtcp});
  released_.push_back(old.lease);
}

std::vector<media::StreamSockets> Placement::endpoints() const {
  std::vector<media::StreamSockets> endpoints;
  endpoints.reserve(streams_.size());
  for (const PlacedStream& stream : streams_) endpoints.push_back(stream.endpoints);
  return endpoints;
}

Placement::Committed Placement::commit(Instant now) {
  for (const LeaseKey key : released_) book_->release(key, now);
  book_ = nullptr;
  return {std::move(streams_), std::move(closed_), std::move(added_)};
}

}  // namespace rtpool
