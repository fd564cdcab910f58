// The registrar as a gRPC server (pool/proto/registrar.proto): one thread of its own runs the core;
// gRPC's threads only hand messages over. start() and stop() may be called from any thread; stop()
// ends every stream and returns within half a second. Messages above 80 KiB, more streams than the
// core's limits allow and names of the wrong form are refused with the reason.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pool/client.h"
#include "pool/records.h"
#include "pool/registrar.h"
#include "pool/store.h"

namespace rtpool::pool {

class RegistrarServer {
 public:
  struct Options {
    std::string listen = "127.0.0.1:7400";  // HOST:PORT; port 0 takes a free one
    Registrar::Options core;
    std::unique_ptr<Store> store;   // none: a MemoryStore
    std::uint64_t first_epoch = 0;  // of names the store does not know; 0: Unix time in ms, which a
                                    // restarted registrar without memory needs
    std::uint64_t seed = 1;
    std::size_t max_queued = 65'536;        // messages waiting for the core
    std::shared_ptr<const TlsContext> tls;  // none: plaintext, and every peer may do everything
    Log log;
  };

  struct StoreState {
    std::uint64_t operations = 0;
    std::uint64_t failures = 0;
    std::optional<std::size_t> records;  // as Store::records()
    std::string trouble;                 // empty: it answers
  };

  // Errors: bind_failed (busy or not ours), bad_endpoint.
  static Result<std::unique_ptr<RegistrarServer>> start(Options options);
  ~RegistrarServer();

  [[nodiscard]] std::string endpoint() const;  // with the port that was bound
  [[nodiscard]] std::uint16_t port() const;
  void stop();  // idempotent

  // Both wait for what the core is at; not for data paths.
  [[nodiscard]] Registrar::Counts counts() const;
  [[nodiscard]] std::uint64_t refused_peers() const;  // whose certificate lacks the role
  [[nodiscard]] StoreState store_state() const;       // not after stop()
  [[nodiscard]] std::vector<ListedPool> list(const std::string& pool = {}) const;
  // The records of a pool for a client in this process, which stops it before this is stopped.
  // `lifetime`: as RecordClient's.
  [[nodiscard]] std::unique_ptr<Records> records(const std::string& pool, Duration lifetime);

 private:
  class Impl;
  explicit RegistrarServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rtpool::pool
