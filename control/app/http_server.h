// The HTTP server of a process: routes are added, then start() binds and serves them on threads of
// its own.
//
// Thread-safe in that handlers run concurrently on the server's threads; routes are added before
// start() by one thread. Only GET is served. Malformed requests are the library's to refuse; sizes
// and times are bounded here. Errors: an address that can't be bound. It does no TLS and no
// authorisation: bind it to loopback.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"

namespace rtpool::control {

struct HttpReply {
  int status = 200;
  std::string type = "application/json";
  std::string body;
};

class HttpServer {
 public:
  using Handler = std::function<HttpReply()>;

  HttpServer();
  ~HttpServer();

  void get(const std::string& path, Handler handler);

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
