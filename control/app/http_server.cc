#include "control/app/http_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>
#include <thread>

#include "control/app/errc.h"

namespace rtpool::control {
namespace {

constexpr std::size_t kThreads = 4;
constexpr std::size_t kLongestBody = 64 * 1024;
constexpr auto kPatience = std::chrono::seconds(1);
constexpr auto kLongestStop = std::chrono::milliseconds(500);

}  // namespace

struct HttpServer::Impl {
  httplib::Server server;
  std::thread thread;
  std::promise<void> ended;
  std::future<void> ended_future = ended.get_future();
  bool abandoned = false;  // stop() gave up on the thread
};

HttpServer::HttpServer() : impl_(std::make_shared<Impl>()) {
  auto& server = impl_->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_payload_max_length(kLongestBody);
  server.set_read_timeout(kPatience);
  server.set_write_timeout(kPatience);
  // A kept connection holds one of few threads, and would hold up the end of the process.
  server.set_keep_alive_max_count(1);
  // The library's default is SO_REUSEPORT, with which a second process would silently share the
  // port.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server.set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty()) return;
    const char* text = response.status == 404   ? "no such page"
                       : response.status == 413 ? "too large"
                                                : "bad request";
    response.set_content(std::string("{\"error\":\"") + text + "\"}\n", "application/json");
  });
  server.set_exception_handler(
      [](const httplib::Request&, httplib::Response& response, std::exception_ptr) {
        response.status = 500;
        response.set_content("{\"error\":\"internal error\"}\n", "application/json");
      });
}

HttpServer::~HttpServer() {
  stop();
}

void HttpServer::get(const std::string& path, Handler handler) {
  impl_->server.Get(
      path, [handler = std::move(handler)](const httplib::Request&, httplib::Response& response) {
        const HttpReply reply = handler();
        response.status = reply.status;
        response.set_header("Cache-Control", "no-store");
        response.set_header("X-Content-Type-Options", "nosniff");
        response.set_content(reply.body, reply.type);
      });
}

Result<Endpoint> HttpServer::start(const Endpoint& listen) {
  auto& server = impl_->server;
  const std::string host = listen.address.to_string();
  Endpoint bound = listen;
  errno = 0;
  if (listen.port == 0) {
    const int port = server.bind_to_any_port(host);
    bound.port = static_cast<std::uint16_t>(port < 0 ? 0 : port);
  } else if (!server.bind_to_port(host, listen.port)) {
    bound.port = 0;
  }
  if (bound.port == 0) {
    const int reason = errno;
    return Error(AppErrc::start_failed,
                 "can't bind HTTP to " + listen.to_string() +
                     (reason != 0 ? std::string(": ") + std::strerror(reason) : ""));
  }
  impl_->thread = std::thread([impl = impl_] {
    impl->server.listen_after_bind();
    impl->ended.set_value();
  });
  // The library can only be stopped once its loop runs.
  while (!server.is_running() &&
         impl_->ended_future.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
  }
  return bound;
}

bool HttpServer::stop() {
  if (!impl_->thread.joinable()) return !impl_->abandoned;
  impl_->server.stop();
  if (impl_->ended_future.wait_for(kLongestStop) != std::future_status::ready) {
    impl_->thread.detach();
    impl_->abandoned = true;
    return false;
  }
  impl_->thread.join();
  return true;
}

}  // namespace rtpool::control
