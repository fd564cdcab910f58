// What the engine and a shard say to each other. Values that are moved; nothing in them is shared.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "relay/base/ids.h"
#include "relay/base/result.h"
#include "relay/io/socket.h"
#include "relay/media/call.h"

namespace rtpool {

// One life of a call: a key that is used again after its call ended gets a new id.
using CallId = StrongId<struct CallIdTag, std::uint64_t>;
using StateCallback = std::function<void(Result<media::CallState>)>;
using CopyCallback = std::function<void(Result<std::unique_ptr<media::Call>>)>;

// A leased pair of ports: which media IP (by its place in the port book), and the even port.
struct LeaseKey {
  std::uint16_t address = 0;
  std::uint16_t even = 0;
  bool operator==(const LeaseKey&) const = default;
};

// A bound socket on its way to the shard, and whose it is.
struct Handover {
  io::UdpSocket socket;
  media::StreamId stream;
  media::ComponentKind component = media::ComponentKind::rtp;
  LeaseKey lease;
};

struct SocketName {
  media::StreamId stream;
  media::ComponentKind component = media::ComponentKind::rtp;
};

// To the shard.
struct CreateCall {
  CallId id;
  std::unique_ptr<media::Call> call;
  std::vector<Handover> sockets;
};
struct UpdateCall {
  CallId id;
  media::CallSpec spec;
  std::vector<media::StreamSockets> endpoints;  // of spec.streams
  std::vector<SocketName> closed;               // stand now and must go, before `added` come
  std::vector<Handover> added;
};
struct QueryCall {
  CallId id;
  StateCallback done;
};
// A copy to try things out on, which must not cost the shard's time.
struct CopyCall {
  CallId id;
  CopyCallback done;
};
struct RemoveCall {
  CallId id;
  StateCallback done;
};
struct StopShard {};
using Command = std::variant<std::monostate, CreateCall, UpdateCall, QueryCall, CopyCall,
                             RemoveCall, StopShard>;

// From the shard.
struct StateReady {
  StateCallback done;
  Result<media::CallState> state;
};
struct CopyReady {
  CopyCallback done;
  Result<std::unique_ptr<media::Call>> call;
};
struct CallExpired {
  CallId id;
  media::EndReason reason;
  media::CallState state;
};
struct SocketsClosed {  // one entry per socket
  std::vector<LeaseKey> leases;
};
using ShardEvent = std::variant<std::monostate, StateReady, CopyReady, CallExpired, SocketsClosed>;

}  // namespace rtpool
