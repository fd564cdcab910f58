// NG over UDP: takes requests from the proxies, hands each fresh one to the handler and sends the
// answer back, from the address that was asked, in the request's encoding (WIRE: NG control
// protocol).
//
// Runs on the given io_context; its own work is serialised, so the context may be run by several
// threads. The handler is called on the io_context, once per fresh request, and must not block. A
// Responder may be used from any thread and outlive the Server. Copies of a request get the first
// one's reply (cookie_cache.h). A datagram that is malformed but has a cookie gets an error; one
// without a cookie gets silence. Everything is counted.
//
// It binds one endpoint. `0.0.0.0` and `[::]` are allowed: replies then leave from the address that
// the request came to (IP_PKTINFO); `[::]` takes IPv4 too. It does not know calls, and has no
// authentication: bind it to an address that only the proxies reach.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "control/ng/cookie_cache.h"
#include "control/ng/request.h"
#include "control/ng/value.h"
#include "relay/base/endpoint.h"
#include "relay/base/result.h"

namespace rtpool::ng {

// The duty to answer one request: exactly once, from any thread. Moved, not copied. Destroyed
// without an answer it sends a generic error, so that no proxy waits for what never comes.
class Responder {
 public:
  struct State;
  explicit Responder(std::unique_ptr<State> state);
  Responder(Responder&& other) noexcept;
  Responder& operator=(Responder&& other) noexcept;
  ~Responder();

  // Sends the reply. A second call is a bug.
  void answer(const Value& reply);
  [[nodiscard]] bool answered() const { return state_ == nullptr; }

 private:
  void give_up();

  std::unique_ptr<State> state_;
};

struct ServerCounts {
  std::array<std::uint64_t, kCommandCount>
      requests{};  // fresh ones, by Command; those that did not parse: unknown
  std::array<std::uint64_t, kCommandCount> errors{};  // of these, answered with result `error`
  std::uint64_t datagrams = 0;
  std::uint64_t duplicates = 0;      // answered from the cache, or waiting
  std::uint64_t without_cookie = 0;  // silence
  std::uint64_t malformed = 0;       // with a cookie, but no usable dictionary
  std::uint64_t refused = 0;         // the cookie cache is full of requests in work
  std::uint64_t not_answered = 0;    // the handler gave its Responder up
  std::uint64_t replies = 0;
  std::uint64_t reply_too_large = 0;
  std::uint64_t send_failed = 0;
  std::uint64_t in_work = 0;  // gauges
  std::uint64_t cache_entries = 0;
  std::uint64_t cache_bytes = 0;
};

struct ServerOptions {
  CookieCacheOptions cache;
  ParseLimits limits;
  std::size_t receive_buffer_bytes = 4U << 20U;  // asked of the kernel, which may give less
  std::size_t datagrams_per_wakeup = 32;
  // Called once per fresh request when its reply leaves; on the io_context.
  std::function<void(Command, double seconds, bool error)> observe;
};

class Server {
 public:
  struct Impl;
  using Handler = std::function<void(Request, Responder)>;

  // Binds at once. Errors name the endpoint that can't be bound.
  static Result<std::unique_ptr<Server>> start(boost::asio::io_context& context,
                                               const Endpoint& endpoint, Handler handler,
                                               ServerOptions options = {});
  // Destroy it on the io_context, or when that runs no more. Takes no more requests; Responders
  // that are still out answer into the void. None may outlive the io_context.
  ~Server();

  [[nodiscard]] Endpoint local() const;       // with the port that was given for port 0
  [[nodiscard]] ServerCounts counts() const;  // any thread

 private:
  explicit Server(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace rtpool::ng
