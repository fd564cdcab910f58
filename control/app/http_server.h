// The HTTP server of a process: routes are added, then start() binds and serves them on threads of
// its own.
//
// Thread-safe in that handlers run concurrently on the server's threads; routes are added before
// start() by one thread. Only GET is served. Malformed requests are the library's to refuse; sizes
// and times are bounded here. Errors: an address that can't be bound.
//
// With a TlsContext it speaks TLS 1.2 or 1.3 alone and asks clients for a certificate, which
// must then be good, but does without one where a route is for anyone. Without, it is plaintext and
// everybody may read everything: bind it to loopback.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "pool/client.h"
#include "relay/base/endpoint.h"
#include "relay/base/result.h"

namespace rtpool::control {

// Who may read a route, by their certificate.
enum class HttpAccess : std::uint8_t {
  anyone,           // no certificate at all: what load balancers ask
  any_certificate,  // of our authority, whatever its roles
  operator_         // with the role operator
};

struct HttpReply {
  int status = 200;
  std::string type = "application/json";
  std::string body;
};

class HttpServer {
 public:
  using Handler = std::function<HttpReply()>;
  using Parameters =
      std::map<std::string, std::string>;  // of the query, decoded; the first of each
  using QueryHandler = std::function<HttpReply(const Parameters&)>;

  // No `tls`: plaintext.
  explicit HttpServer(std::shared_ptr<const pool::TlsContext> tls = {}, pool::Log log = {});
  ~HttpServer();

  void get(const std::string& path, Handler handler, HttpAccess access = HttpAccess::operator_);
  void get(const std::string& path, QueryHandler handler,
           HttpAccess access = HttpAccess::operator_);
  [[nodiscard]] std::uint64_t refused_peers() const;  // whose certificate does not do

  // Port 0 takes a free one.
  Result<Endpoint> start(const Endpoint& listen);

  // Takes no more requests and waits for those in work. False when one did not end within half a
  // second (a client that neither finishes nor leaves): its thread goes on, so that the process
  // must end without destructors.
  bool stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with its thread, which may outlast it (stop())
};

}  // namespace rtpool::control
