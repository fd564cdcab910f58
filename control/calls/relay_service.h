// The relay's gRPC service (control/proto/relay.proto) over its Engine, and the same for a
// controller in its own process (local_relay.h). Requests run on gRPC's threads; the engine takes
// them from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "pool/client.h"
#include "relay/base/result.h"
#include "relay/engine.h"

namespace rtpool::control {

struct RelayServerOptions {
  std::string listen = "127.0.0.1:7410";  // HOST:PORT; port 0 takes a free one
  std::function<std::uint64_t()>
      epoch;  // of the registration now in force; 0: not registered, any is taken
  std::uint32_t max_watchers = 64;              // controllers that watch for ended calls
  std::shared_ptr<const pool::TlsContext> tls;  // none: plaintext, and every peer may do everything
  pool::Log log;
};

class RelayServer {
 public:
  // Registers itself as the engine's handler of ended calls. The engine outlives the server.
  static Result<std::unique_ptr<RelayServer>> start(const RelayServerOptions& options,
                                                    Engine& engine);
  ~RelayServer();  // stop()

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::uint64_t refused_peers() const;  // whose certificate lacks the role

  // For a controller in this process: what its peers get by the RPCs of these names, at the cost of
  // a function call. The errors are the engine's, and RelayErrc::stale_epoch. `done` comes on the
  // engine's control thread.
  Result<media::CallState> apply(std::uint64_t epoch, const media::CallSpec& spec);
  void query(const std::string& key, Engine::StateCallback done);
  void remove(const std::string& key, Engine::StateCallback done);
  // As RelayGateway::set_on_ended(), on the engine's control thread. None: nobody wants to know;
  // no call of the handler goes on when this returns.
  void set_on_ended(std::function<void(const CallEnded&)> handler);

  // Ends the watches, refuses new requests, waits for those in work. Idempotent.
  void stop();

 private:
  RelayServer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rtpool::control
