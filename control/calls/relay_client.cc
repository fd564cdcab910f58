#include "control/calls/relay_client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "control/calls/relay_codec.h"
#include "control/calls/relay_link_client.h"

namespace rtpool::control {
namespace {

constexpr std::size_t kMaxChannels = 4096;
constexpr auto kWatchRetry = std::chrono::milliseconds(200);
// A relay that is gone for so many tries is given up until it is asked for something again.
constexpr int kMaxWatchRetries = 150;

}  // namespace

struct RelayClient::Impl : std::enable_shared_from_this<RelayClient::Impl> {
  struct Channel {
    std::unique_ptr<relay::v1::Relay::Stub> stub;
    RelayRef relay;  // as last used
    bool watching = false;
    int watch_retries = 0;
    std::uint64_t last_used = 0;
  };

  // One request or watch that gRPC holds; cancelled by stop().
  struct Rpc {
    grpc::ClientContext context;
  };

  class Watch;

  Impl(boost::asio::io_context& io_context, std::function<Instant()> clock,
       std::shared_ptr<const pool::TlsContext> context)
      : io(io_context), now(std::move(clock)), tls(std::move(context)) {}

  Channel& channel(const RelayRef& relay);
  void start_watch(const std::string& address);
  void watch_ended(const std::string& address);
  void rewatch_later(const std::string& address);
  void forget_oldest();

  template <class Request, class Start>
  void call(const RelayRef& relay, Request request, Duration deadline, Done done, Start start);

  void rpc_started(Rpc* rpc) {
    const std::lock_guard lock(mutex);
    active.insert(rpc);
    if (stopping) rpc->context.TryCancel();
  }
  // Ends what gRPC has let go of, and only then lets stop() go on: a channel may not outlive its
  // last call's context, nor end on a thread of gRPC.
  template <class Ended>
  void rpc_ended(Ended* rpc) {
    {
      const std::lock_guard lock(mutex);
      active.erase(rpc);
      ++ending;
    }
    delete rpc;
    const std::lock_guard lock(mutex);
    --ending;
    idle.notify_all();
  }

  boost::asio::io_context& io;
  std::function<Instant()> now;
  std::shared_ptr<const pool::TlsContext> tls;
  std::map<std::string, Channel> channels;
  Ended on_ended;
  std::uint64_t uses = 0;

  std::mutex mutex;  // guards what gRPC's threads touch as well
  std::condition_variable idle;
  std::set<Rpc*> active;
  std::size_t ending = 0;  // no longer active, not yet gone
  bool stopping = false;
};

class RelayClient::Impl::Watch : public grpc::ClientReadReactor<relay::v1::CallEnded>, public Rpc {
 public:
  Watch(std::shared_ptr<Impl> impl, std::string address, relay::v1::Relay::Stub& stub)
      : impl_(std::move(impl)), address_(std::move(address)) {
    impl_->rpc_started(this);
    stub.async()->Watch(&context, &request_, this);
    StartRead(&event_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    auto state = decode(event_.state(), impl_->now());
    if (state) {
      boost::asio::post(impl_->io, [impl = impl_, address = address_,
                                    ended = CallEnded{decode(event_.reason()), std::move(*state)}] {
        const auto found = impl->channels.find(address);
        if (found != impl->channels.end() && impl->on_ended)
          impl->on_ended(found->second.relay, ended);
      });
    }
    StartRead(&event_);
  }

  void OnDone(const grpc::Status&) override {
    Impl& impl = *impl_;  // its owner's stop() waits for this
    boost::asio::post(impl.io, [impl = std::move(impl_), address = std::move(address_)] {
      impl->watch_ended(address);
    });
    impl.rpc_ended(this);
  }

 private:
  std::shared_ptr<Impl> impl_;
  std::string address_;
  relay::v1::WatchRequest request_;
  relay::v1::CallEnded event_;
};

RelayClient::Impl::Channel& RelayClient::Impl::channel(const RelayRef& relay) {
  if (!channels.contains(relay.address) && channels.size() >= kMaxChannels) forget_oldest();
  auto& entry = channels[relay.address];
  if (!entry.stub) entry.stub = connect_relay(relay.address, tls);
  entry.relay = relay;
  entry.last_used = ++uses;
  entry.watch_retries = 0;
  if (!entry.watching) start_watch(relay.address);
  return entry;
}

void RelayClient::Impl::forget_oldest() {
  const auto oldest = std::min_element(
      channels.begin(), channels.end(),
      [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; });
  channels.erase(oldest);
}

void RelayClient::Impl::start_watch(const std::string& address) {
  auto& entry = channels.at(address);
  entry.watching = true;
  new Watch(shared_from_this(), address, *entry.stub);  // deletes itself when gRPC is done with it
}

void RelayClient::Impl::watch_ended(const std::string& address) {
  const auto found = channels.find(address);
  if (found == channels.end()) return;
  found->second.watching = false;
  {
    const std::lock_guard lock(mutex);
    if (stopping) return;
  }
  if (++found->second.watch_retries <= kMaxWatchRetries) rewatch_later(address);
}

void RelayClient::Impl::rewatch_later(const std::string& address) {
  auto timer = std::make_shared<boost::asio::steady_timer>(io, kWatchRetry);
  timer->async_wait(
      [self = shared_from_this(), timer, address](const boost::system::error_code& error) {
        const auto entry = self->channels.find(address);
        if (error || entry == self->channels.end() || entry->second.watching) return;
        {
          const std::lock_guard lock(self->mutex);
          if (self->stopping) return;
        }
        self->start_watch(address);
      });
}

template <class Request, class Start>
void RelayClient::Impl::call(const RelayRef& relay, Request request, Duration deadline, Done done,
                             Start start) {
  struct Unary : Rpc {
    Request request;
    relay::v1::CallState reply;
    Done done;
  };
  auto* rpc = new Unary;  // gRPC holds it until its callback, which deletes it
  rpc->request = std::move(request);
  rpc->done = std::move(done);
  rpc->context.set_deadline(
      std::chrono::system_clock::now() +
      std::chrono::duration_cast<std::chrono::system_clock::duration>(deadline));
  auto& stub = *channel(relay).stub;
  rpc_started(rpc);
  start(*stub.async(), &rpc->context, &rpc->request, &rpc->reply,
        [rpc, self = shared_from_this()](const grpc::Status& status) mutable {
          Impl& impl = *self;  // its owner's stop() waits for this
          Result<media::CallState> result = Error(RelayErrc::protocol);
          if (!status.ok()) {
            result = relay_error(status);
          } else {
            result = decode(rpc->reply, impl.now());
          }
          boost::asio::post(impl.io, [self = std::move(self), done = std::move(rpc->done),
                                      result = std::move(result)] { done(result); });
          impl.rpc_ended(rpc);
        });
}

RelayClient::RelayClient(boost::asio::io_context& io, std::function<Instant()> now,
                         std::shared_ptr<const pool::TlsContext> tls)
    : impl_(std::make_shared<Impl>(io, std::move(now), std::move(tls))) {}

RelayClient::~RelayClient() {
  stop();
}

void RelayClient::set_on_ended(Ended handler) {
  impl_->on_ended = std::move(handler);
}

void RelayClient::apply(const RelayRef& relay, const media::CallSpec& spec, Duration deadline,
                        Done done) {
  relay::v1::ApplyRequest request;
  request.set_epoch(relay.epoch);
  encode(spec, *request.mutable_spec());
  impl_->call(relay, std::move(request), deadline, std::move(done),
              [](auto& stub, auto... arguments) { stub.Apply(std::move(arguments)...); });
}

void RelayClient::query(const RelayRef& relay, const std::string& key, Duration deadline,
                        Done done) {
  relay::v1::CallKey request;
  request.set_key(key);
  impl_->call(relay, std::move(request), deadline, std::move(done),
              [](auto& stub, auto... arguments) { stub.Query(std::move(arguments)...); });
}

void RelayClient::remove(const RelayRef& relay, const std::string& key, Duration deadline,
                         Done done) {
  relay::v1::CallKey request;
  request.set_key(key);
  impl_->call(relay, std::move(request), deadline, std::move(done),
              [](auto& stub, auto... arguments) { stub.Remove(std::move(arguments)...); });
}

void RelayClient::stop() {
  std::unique_lock lock(impl_->mutex);
  if (impl_->stopping) return;
  impl_->stopping = true;
  for (auto* rpc : impl_->active) rpc->context.TryCancel();
  impl_->idle.wait(lock, [this] { return impl_->active.empty() && impl_->ending == 0; });
}

}  // namespace rtpool::control
