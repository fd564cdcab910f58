// Turning a specification into ports: which streams keep theirs, which get new ones, which sockets
// must go.
//
// Used by the engine under its mutex. A Placement is a proposal: until commit() nothing but the
// book's new leases has changed, and a Placement that is dropped gives those back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "relay/engine.h"
#include "relay/port_book.h"
#include "relay/shard_messages.h"

namespace rtpool {

// A media address and its place in the port book.
struct Interface {
  MediaAddress address;
  std::uint16_t place = 0;
  io::PathMtu path_mtu = io::PathMtu::kernel;
};

struct PlacedStream {
  media::StreamId id;
  LeaseKey lease;
  bool rtcp_open = false;
  media::StreamSockets endpoints;
};

class Placement {
 public:
  // `standing`: the call's streams as they are, empty for a new call.
  static Result<Placement> make(const media::CallSpec& spec,
                                const std::vector<PlacedStream>& standing,
                                const std::vector<Interface>& interfaces, PortBook& book,
                                Instant now);
  Placement(Placement&& other) noexcept;
  Placement& operator=(Placement&&) = delete;
  ~Placement();

  [[nodiscard]] std::size_t new_sockets() const { return added_.size(); }
  [[nodiscard]] std::vector<media::StreamSockets> endpoints() const;

  struct Committed {
    std::vector<PlacedStream> streams;  // in the order of the specification
    std::vector<SocketName> closed;
    std::vector<Handover> added;
  };
  // The call is placed: leases of streams that are gone are released.
  Committed commit(Instant now);

 private:
  explicit Placement(PortBook& book) : book_(&book) {}
  Result<void> place(const media::StreamSpec& spec, const PlacedStream* old,
                     const std::vector<Interface>& interfaces, Instant now);
  bool keep(const media::StreamSpec& spec, const PlacedStream& old, const Interface& interface);
  void drop(const PlacedStream& old);

  PortBook* book_;  // null: committed, or moved from
  std::vector<PlacedStream> streams_;
  std::vector<SocketName> closed_;
  std::vector<Handover> added_;
  std::vector<LeaseKey> leased_, rtcp_opened_;  // taken for this placement
  std::vector<LeaseKey> released_;              // not used any longer
};

}  // namespace rtpool
