#include "control/ng/server.h"

#include <atomic>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <mutex>
#include <string>
#include <utility>

#include "control/ng/reply.h"
#include "control/ng/udp.h"
#include "relay/base/assert.h"

namespace rtpool::ng {
namespace {

Instant read_clock() {
  return Instant(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

bool is_success(const Value& reply) {
  const auto result = reply.find_text("result");
  return result == "ok" || result == "pong";
}

std::size_t index_of(Command command) {
  return static_cast<std::size_t>(command);
}

}  // namespace

// What a reply needs to find its way back; the cookie and source are the cache's key too.
struct Responder::State {
  std::weak_ptr<Server::Impl> server;
  std::string cookie;
  Endpoint source;
  UdpPath path;
  Encoding encoding = Encoding::bencode;
  Command command = Command::unknown;
  Instant received{};
};

// Runs on the strand, all but count().
struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
  Impl(boost::asio::io_context& context, int opened, Handler h, ServerOptions o)
      : strand(boost::asio::make_strand(context)),
        descriptor(strand, opened),
        handler(std::move(h)),
        options(std::move(o)),
        cache(options.cache),
        batch(options.datagrams_per_wakeup),
        local(local_endpoint(opened)) {}

  void wait();
  void receive_batch();
  void receive(std::string_view datagram, const UdpPath& path, Instant now);
  void run(Request request, const UdpPath& path, Instant now);
  void complete(const Responder::State& to, std::shared_ptr<const std::string> reply, bool error);
  void send(const UdpPath& path, std::string_view datagram, std::uint32_t times = 1);
  void send_error(const Frame& frame, const UdpPath& path, std::string_view reason);
  void close();

  // From any thread.
  template <class Change>
  void count(Change change) {
    const std::lock_guard lock(counts_mutex);
    change(counts);
  }
  void count_cache() {
    count([this](ServerCounts& c) {
      c.in_work = cache.in_work();
      c.cache_entries = cache.entries();
      c.cache_bytes = cache.bytes();
    });
  }

  boost::asio::strand<boost::asio::io_context::executor_type> strand;
  boost::asio::posix::stream_descriptor descriptor;
  Handler handler;
  ServerOptions options;
  CookieCache cache;
  UdpBatch batch;
  const Endpoint local;
  std::mutex counts_mutex;
  ServerCounts counts;
};

void Server::Impl::wait() {
  descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                        [self = shared_from_this()](const boost::system::error_code& error) {
                          if (error || !self->descriptor.is_open()) return;
                          self->receive_batch();
                          if (self->descriptor.is_open()) self->wait();
                        });
}

// One batch a wake-up, so that a flood leaves the rest of the io_context its turn.
void Server::Impl::receive_batch() {
  const std::size_t received = batch.receive(descriptor.native_handle());
  const Instant now = read_clock();
  for (std::size_t i = 0; i < received && descriptor.is_open(); ++i) {
    receive(batch.datagram(i), batch.path(i), now);
  }
}

void Server::Impl::receive(std::string_view datagram, const UdpPath& path, Instant now) {
  const auto frame = split_frame(datagram);
  count([&](ServerCounts& c) {
    ++c.datagrams;
    if (!frame) ++c.without_cookie;
  });
  if (!frame) return;

  const Endpoint source = path.source();
  const CookieCache::Lookup seen = cache.lookup(now, frame->cookie, source);
  if (seen.outcome != CookieCache::Outcome::fresh) {
    count([](ServerCounts& c) { ++c.duplicates; });
    if (seen.reply != nullptr) send(path, *seen.reply);
    return;
  }
  auto request = parse_request(*frame, options.limits);
  if (!request) {
    count([](ServerCounts& c) {
      ++c.malformed;
      ++c.requests[index_of(Command::unknown)];
      ++c.errors[index_of(Command::unknown)];
    });
    return send_error(*frame, path, error_reason(request.error()));
  }
  request->source = source;
  if (!cache.begin(now, frame->cookie, source)) {
    count([](ServerCounts& c) { ++c.refused; });
    const Value refusal = load_limit(request->supports.has("load limit"));
    return send(path, ng::frame(frame->cookie, refusal, request->encoding));
  }
  run(std::move(*request), path, now);
}

void Server::Impl::run(Request request, const UdpPath& path, Instant now) {
  auto state = std::make_unique<Responder::State>();
  state->server = weak_from_this();
  state->cookie = request.cookie;
  state->source = request.source;
  state->path = path;
  state->encoding = request.encoding;
  state->command = request.command;
  state->received = now;
  count([&](ServerCounts& c) { ++c.requests[index_of(request.command)]; });
  count_cache();
  handler(std::move(request), Responder(std::move(state)));
}

void Server::Impl::complete(const Responder::State& to, std::shared_ptr<const std::string> reply,
                            bool error) {
  if (!descriptor.is_open()) return;
  const Instant now = read_clock();
  const std::uint32_t times = cache.complete(now, to.cookie, to.source, reply);
  if (error) count([&](ServerCounts& c) { ++c.errors[index_of(to.command)]; });
  count_cache();
  send(to.path, *reply, times);
  if (options.observe) {
    options.observe(to.command, std::chrono::duration<double>(now - to.received).count(), error);
  }
}

void Server::Impl::send(const UdpPath& path, std::string_view datagram, std::uint32_t times) {
  std::uint64_t sent = 0;
  for (std::uint32_t i = 0; i < times; ++i) {
    if (send_udp(descriptor.native_handle(), path, datagram)) ++sent;
  }
  // A reply that the kernel did not take is not tried again: the proxy asks again, and the cache
  // has it.
  count([&](ServerCounts& c) {
    c.replies += sent;
    c.send_failed += times - sent;
  });
}

void Server::Impl::send_error(const Frame& frame, const UdpPath& path, std::string_view reason) {
  // A body that is no dictionary has no encoding; bencode is what the proxies read.
  const auto detected = detect_encoding(frame.body);
  const Encoding encoding = detected ? *detected : Encoding::bencode;
  send(path, ng::frame(frame.cookie, error(reason), encoding));
}

void Server::Impl::close() {
  boost::system::error_code ignored;
  descriptor.close(ignored);
}

Responder::Responder(std::unique_ptr<State> state) : state_(std::move(state)) {}
Responder::Responder(Responder&& other) noexcept = default;

Responder& Responder::operator=(Responder&& other) noexcept {
  if (this != &other) {
    give_up();
    state_ = std::move(other.state_);
  }
  return *this;
}

Responder::~Responder() {
  give_up();
}

void Responder::give_up() {
  if (state_ == nullptr) return;
  if (const auto server = state_->server.lock())
    server->count([](ServerCounts& c) { ++c.not_answered; });
  answer(error(kNotAnswered));
}

void Responder::answer(const Value& reply) {
  RTPOOL_ASSERT(state_ != nullptr);
  const std::unique_ptr<State> state = std::move(state_);
  auto server = state->server.lock();
  if (server == nullptr) return;
  bool failed = !is_success(reply);
  auto datagram = std::make_shared<std::string>(frame(state->cookie, reply, state->encoding));
  if (datagram->size() > kMaxDatagramBytes) {
    *datagram = frame(state->cookie, error(kReplyTooLarge), state->encoding);
    failed = true;
    server->count([](ServerCounts& c) { ++c.reply_too_large; });
  }
  Server::Impl& impl = *server;
  boost::asio::post(impl.strand, [server = std::move(server), to = std::move(*state),
                                  datagram = std::move(datagram),
                                  failed] { server->complete(to, datagram, failed); });
}

Result<std::unique_ptr<Server>> Server::start(boost::asio::io_context& context,
                                              const Endpoint& endpoint, Handler handler,
                                              ServerOptions options) {
  const auto socket = open_udp(endpoint, options.receive_buffer_bytes);
  if (!socket) return socket.error();
  auto impl = std::make_shared<Impl>(context, *socket, std::move(handler), std::move(options));
  boost::asio::post(impl->strand, [impl] { impl->wait(); });
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  boost::asio::dispatch(impl_->strand, [impl = impl_] { impl->close(); });
}

Endpoint Server::local() const {
  return impl_->local;
}

ServerCounts Server::counts() const {
  const std::lock_guard lock(impl_->counts_mutex);
  return impl_->counts;
}

}  // namespace rtpool::ng
