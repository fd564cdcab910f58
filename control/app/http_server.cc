#include "control/app/http_server.h"

#include <httplib.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>
#include <thread>

#include "control/app/errc.h"
#include "pool/refusals.h"
#include "pool/tls_context.h"

namespace rtpool::control {
namespace {

constexpr std::size_t kThreads = 4;
constexpr std::size_t kLongestBody = 64 * 1024;
constexpr auto kPatience = std::chrono::seconds(1);
constexpr auto kLongestStop = std::chrono::milliseconds(500);

// For each handshake: what is in force now.
int use_current(SSL* ssl, void* context) {
  const auto material = static_cast<const pool::TlsContext*>(context)->current();
  const std::shared_ptr<STACK_OF(X509)> chain(sk_X509_new_null(),
                                              [](STACK_OF(X509) * s) { sk_X509_free(s); });
  for (const auto& one : material->chain) sk_X509_push(chain.get(), one.get());
  const bool taken = SSL_use_cert_and_key(ssl, material->certificate.get(), material->key.get(),
                                          chain.get(), 1) == 1 &&
                     SSL_set1_verify_cert_store(ssl, material->authorities.get()) == 1;
  return taken ? 1 : 0;
}

bool set_up(SSL_CTX& context, const pool::TlsContext& tls) {
  SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION);
  // A resumed session would go on with what the client showed when it began.
  SSL_CTX_set_options(&context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_cert_cb(&context, use_current, const_cast<pool::TlsContext*>(&tls));
  SSL_CTX_set_verify(&context, SSL_VERIFY_PEER, nullptr);
  return true;
}

std::unique_ptr<httplib::Server> make_server(const pool::TlsContext* tls) {
  if (tls == nullptr) return std::make_unique<httplib::Server>();
  return std::make_unique<httplib::SSLServer>(
      [tls](SSL_CTX& context) { return set_up(context, *tls); });
}

HttpReply forbidden(const std::string& why) {
  std::string text;
  for (const char c : why) text += c == '"' || c == '\\' ? '\'' : c;
  return {.status = 403, .body = "{\"error\":\"forbidden: " + text + "\"}\n"};
}

}  // namespace

struct HttpServer::Impl {
  Impl(std::shared_ptr<const pool::TlsContext> context, pool::Log log)
      : tls(std::move(context)), refusals(std::move(log)), owned(make_server(tls.get())) {}

  // Why the peer may not read the path; empty where it may.
  std::string objection(const httplib::Request& request, HttpAccess access) const {
    if (!tls || access == HttpAccess::anyone) return {};
    const std::shared_ptr<X509> certificate(
        request.ssl != nullptr ? SSL_get1_peer_certificate(request.ssl) : nullptr, X509_free);
    const bool verified = certificate && SSL_get_verify_result(request.ssl) == X509_V_OK;
    const auto peer = pool::identity_of(verified ? certificate.get() : nullptr);
    if (verified &&
        (access == HttpAccess::any_certificate || peer.holds(pool::PeerRole::operator_)))
      return {};
    return request.path + " takes a certificate" +
           (access == HttpAccess::operator_ ? " with the role operator; " : "; ") +
           request.remote_addr + " has " + (verified ? peer.describe() : "none");
  }

  const std::shared_ptr<const pool::TlsContext> tls;
  pool::Refusals refusals;
  const std::unique_ptr<httplib::Server> owned;
  httplib::Server& server = *owned;
  std::thread thread;
  std::promise<void> ended;
  std::future<void> ended_future = ended.get_future();
  bool abandoned = false;  // stop() gave up on the thread
};

HttpServer::HttpServer(std::shared_ptr<const pool::TlsContext> tls, pool::Log log)
    : impl_(std::make_shared<Impl>(std::move(tls), std::move(log))) {
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

void HttpServer::get(const std::string& path, Handler handler, HttpAccess access) {
  get(path, QueryHandler([handler = std::move(handler)](const Parameters&) { return handler(); }),
      access);
}

void HttpServer::get(const std::string& path, QueryHandler handler, HttpAccess access) {
  impl_->server.Get(path, [impl = impl_.get(), handler = std::move(handler), access](
                              const httplib::Request& request, httplib::Response& response) {
    const std::string why = impl->objection(request, access);
    if (!why.empty()) impl->refusals.add(why);
    const HttpReply reply =
        why.empty() ? handler({request.params.begin(), request.params.end()}) : forbidden(why);
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

std::uint64_t HttpServer::refused_peers() const {
  return impl_->refusals.count();
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
