#include "control/calls/relay_service.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "control/calls/relay_codec.h"
#include "control/calls/relay_gateway.h"
#include "control/proto/relay.grpc.pb.h"
#include "pool/tls.h"

namespace rtpool::control {
namespace {

using pool::PeerRole;

constexpr int kMaxMessageBytes = 256 * 1024;
constexpr std::size_t kMaxQueuedEvents = 4096;
constexpr std::uint32_t kMaxListed = 100'000;

grpc::StatusCode status_code(const ErrorCode& code) {
  switch (static_cast<EngineErrc>(code.value())) {
    case EngineErrc::unknown_call:
      return grpc::StatusCode::NOT_FOUND;
    case EngineErrc::stale_revision:
      return grpc::StatusCode::ABORTED;
    case EngineErrc::invalid_spec:
    case EngineErrc::unknown_interface:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case EngineErrc::out_of_ports:
    case EngineErrc::too_many_calls:
    case EngineErrc::too_many_packets:
    case EngineErrc::too_much_bandwidth:
    case EngineErrc::too_busy:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case EngineErrc::bind_failed:
    case EngineErrc::io_unavailable:
    case EngineErrc::shutting_down:
      return grpc::StatusCode::UNAVAILABLE;
  }
  return grpc::StatusCode::UNKNOWN;
}

// The engine's own code travels in the details, so that the controller gets it back as it was.
grpc::Status to_status(const Error& error) {
  return {status_code(error.code), error.detail, std::to_string(error.code.value())};
}

class Watcher;

// Who watches for ended calls. Events reach every watcher; one that falls behind is cut off and
// watches anew.
class Watchers {
 public:
  explicit Watchers(std::uint32_t limit) : limit_(limit) {}
  bool add(Watcher* watcher);
  void remove(Watcher* watcher);
  void publish(const relay::v1::CallEnded& event);
  void close();

 private:
  std::mutex mutex_;
  std::set<Watcher*> watchers_;
  std::uint32_t limit_;
  bool closed_ = false;
};

class Watcher : public grpc::ServerWriteReactor<relay::v1::CallEnded> {
 public:
  Watcher(Watchers& watchers, const grpc::Status& allowed) : watchers_(watchers) {
    if (!allowed.ok()) {
      end(allowed);
    } else if (!watchers_.add(this)) {
      end(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many watchers"));
    }
    // Headers at once: the controller knows from them that nothing is missed from now on.
    StartSendInitialMetadata();
  }

  void push(const relay::v1::CallEnded& event) {
    const std::lock_guard lock(mutex_);
    if (finished_) return;
    if (queue_.size() >= kMaxQueuedEvents)
      return finish(grpc::Status(grpc::StatusCode::DATA_LOSS, "too slow"));
    queue_.push_back(event);
    if (queue_.size() == 1) StartWrite(&queue_.front());
  }

  void end(const grpc::Status& status) {
    const std::lock_guard lock(mutex_);
    finish(status);
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    if (!ok) return finish(grpc::Status::CANCELLED);
    queue_.pop_front();
    if (!finished_ && !queue_.empty()) StartWrite(&queue_.front());
  }
  void OnCancel() override { end(grpc::Status::CANCELLED); }
  void OnDone() override {
    watchers_.remove(this);
    delete this;
  }

 private:
  void finish(const grpc::Status& status) {
    if (finished_) return;
    finished_ = true;
    Finish(status);
  }

  Watchers& watchers_;
  std::mutex mutex_;
  std::deque<relay::v1::CallEnded> queue_;
  bool finished_ = false;
};

bool Watchers::add(Watcher* watcher) {
  const std::lock_guard lock(mutex_);
  if (closed_ || watchers_.size() >= limit_) return false;
  watchers_.insert(watcher);
  return true;
}

void Watchers::remove(Watcher* watcher) {
  const std::lock_guard lock(mutex_);
  watchers_.erase(watcher);
}

void Watchers::publish(const relay::v1::CallEnded& event) {
  const std::lock_guard lock(mutex_);
  for (auto* watcher : watchers_) watcher->push(event);
}

void Watchers::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (auto* watcher : watchers_)
    watcher->end(grpc::Status(grpc::StatusCode::UNAVAILABLE, "relay is stopping"));
}

class Service : public relay::v1::Relay::CallbackService {
 public:
  Service(const RelayServerOptions& options, Engine& engine)
      : options_(options),
        engine_(engine),
        watchers_(options.max_watchers),
        gate_(options.tls != nullptr, options.log) {
    engine_.set_on_ended([this](const CallEnded& ended) {
      tell_neighbour(ended);
      relay::v1::CallEnded event;
      event.set_reason(encode(ended.reason));
      encode(ended.state, *event.mutable_state());
      watchers_.publish(event);
    });
  }

  // What peers and this process alike may ask for.
  Result<media::CallState> apply(std::uint64_t asked_epoch, const media::CallSpec& spec) {
    if (auto known = check_epoch(asked_epoch); !known) return known.error();
    return engine_.apply(spec);
  }
  void query(const std::string& key, Engine::StateCallback done) {
    engine_.query(key, std::move(done));
  }
  void remove(const std::string& key, Engine::StateCallback done) {
    engine_.remove(key, [this, done = std::move(done)](Result<media::CallState> state) {
      if (state) publish_removed(*state);
      done(std::move(state));
    });
  }
  void set_neighbour(std::function<void(const CallEnded&)> handler) {
    const std::lock_guard lock(neighbour_mutex_);
    neighbour_ = std::move(handler);
  }

  grpc::ServerUnaryReactor* Apply(grpc::CallbackServerContext* context,
                                  const relay::v1::ApplyRequest* request,
                                  relay::v1::CallState* reply) override {
    auto* reactor = context->DefaultReactor();
    if (!allows(*context, "Apply", {PeerRole::controller}, reactor)) return reactor;
    if (const auto known = check_epoch(request->epoch()); !known) {
      reactor->Finish({grpc::StatusCode::FAILED_PRECONDITION, known.error().detail});
      return reactor;
    }
    const auto spec = decode(request->spec());
    if (!spec) {
      reactor->Finish(to_status(spec.error()));
      return reactor;
    }
    const auto state = engine_.apply(*spec);
    if (state) encode(*state, *reply);
    reactor->Finish(state ? grpc::Status::OK : to_status(state.error()));
    return reactor;
  }

  grpc::ServerUnaryReactor* Query(grpc::CallbackServerContext* context,
                                  const relay::v1::CallKey* request,
                                  relay::v1::CallState* reply) override {
    auto* reactor = context->DefaultReactor();
    if (!allows(*context, "Query", {PeerRole::controller, PeerRole::operator_}, reactor))
      return reactor;
    engine_.query(request->key(), answer_with(reactor, reply));
    return reactor;
  }

  grpc::ServerUnaryReactor* Explain(grpc::CallbackServerContext* context,
                                    const relay::v1::ExplainRequest* request,
                                    relay::v1::ExplainReply* reply) override {
    auto* reactor = context->DefaultReactor();
    if (!allows(*context, "Explain", {PeerRole::controller, PeerRole::operator_}, reactor))
      return reactor;
    const auto question = decode(*request);
    if (!question) {
      reactor->Finish(to_status(question.error()));
      return reactor;
    }
    engine_.explain(question->key, question->source, question->port,
                    [reactor, reply](Result<std::vector<media::Explanation>> told) {
                      if (told) {
                        for (const auto& one : *told) encode(one, *reply->add_explanations());
                      }
                      reactor->Finish(told ? grpc::Status::OK : to_status(told.error()));
                    });
    return reactor;
  }

  grpc::ServerUnaryReactor* Remove(grpc::CallbackServerContext* context,
                                   const relay::v1::CallKey* request,
                                   relay::v1::CallState* reply) override {
    auto* reactor = context->DefaultReactor();
    if (!allows(*context, "Remove", {PeerRole::controller}, reactor)) return reactor;
    remove(request->key(), answer_with(reactor, reply));
    return reactor;
  }

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const relay::v1::ListRequest* request,
                                 relay::v1::ListReply* reply) override {
    auto* reactor = context->DefaultReactor();
    if (!allows(*context, "List", {PeerRole::controller, PeerRole::operator_}, reactor))
      return reactor;
    for (auto& key : engine_.list(std::min(request->limit(), kMaxListed)))
      reply->add_keys(std::move(key));
    reply->set_total(engine_.size());
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerWriteReactor<relay::v1::CallEnded>* Watch(grpc::CallbackServerContext* context,
                                                        const relay::v1::WatchRequest*) override {
    return new Watcher(
        watchers_, gate_.authorise(*context, "Watch", {PeerRole::controller, PeerRole::operator_}));
  }

  void close() { watchers_.close(); }
  [[nodiscard]] std::uint64_t refused_peers() const { return gate_.refused(); }

 private:
  // Finishes the call where its peer may not make it.
  bool allows(const grpc::CallbackServerContext& context, std::string_view operation,
              std::initializer_list<PeerRole> roles, grpc::ServerUnaryReactor* reactor) {
    const auto status = gate_.authorise(context, operation, roles);
    if (!status.ok()) reactor->Finish(status);
    return status.ok();
  }

  // Other controllers may hold the call's record too; its key and revision are all they need.
  void publish_removed(const media::CallState& state) {
    relay::v1::CallEnded event;
    event.set_reason(relay::v1::DELETED);
    event.mutable_state()->set_key(state.key);
    event.mutable_state()->set_revision(state.revision);
    watchers_.publish(event);
    CallEnded ended{.reason = media::EndReason::deleted, .state = {}};
    ended.state.key = state.key;
    ended.state.revision = state.revision;
    tell_neighbour(ended);
  }

  void tell_neighbour(const CallEnded& ended) {
    const std::lock_guard lock(neighbour_mutex_);
    if (neighbour_) neighbour_(ended);
  }

  Result<void> check_epoch(std::uint64_t asked) const {
    const std::uint64_t epoch = options_.epoch ? options_.epoch() : 0;
    if (epoch == 0 || asked == 0 || asked == epoch) return {};
    return Error(RelayErrc::stale_epoch, "registered with epoch " + std::to_string(epoch) +
                                             ", asked with " + std::to_string(asked));
  }

  static Engine::StateCallback answer_with(grpc::ServerUnaryReactor* reactor,
                                           relay::v1::CallState* reply) {
    return [reactor, reply](Result<media::CallState> state) {
      if (state) encode(*state, *reply);
      reactor->Finish(state ? grpc::Status::OK : to_status(state.error()));
    };
  }

  RelayServerOptions options_;
  Engine& engine_;
  Watchers watchers_;
  pool::PeerGate gate_;
  std::mutex neighbour_mutex_;
  std::function<void(const CallEnded&)> neighbour_;  // a controller in this process
};

}  // namespace

struct RelayServer::Impl {
  Impl(const RelayServerOptions& options, Engine& engine) : service(options, engine) {}

  Service service;
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

RelayServer::RelayServer() = default;

Result<std::unique_ptr<RelayServer>> RelayServer::start(const RelayServerOptions& options,
                                                        Engine& engine) {
  std::unique_ptr<RelayServer> relay(new RelayServer());
  relay->impl_ = std::make_unique<Impl>(options, engine);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options.listen, pool::server_credentials(options.tls),
                           &relay->impl_->port);
  // Without this a second relay would share the port silently and get half of the requests.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Who connects and says nothing is not kept.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 5'000);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.RegisterService(&relay->impl_->service);
  relay->impl_->server = builder.BuildAndStart();
  if (!relay->impl_->server || relay->impl_->port == 0) {
    return Error(EngineErrc::bind_failed, "relay service can't listen on " + options.listen);
  }
  return relay;
}

RelayServer::~RelayServer() {
  stop();
}

std::uint16_t RelayServer::port() const {
  return static_cast<std::uint16_t>(impl_->port);
}

std::uint64_t RelayServer::refused_peers() const {
  return impl_->service.refused_peers();
}

Result<media::CallState> RelayServer::apply(std::uint64_t epoch, const media::CallSpec& spec) {
  return impl_->service.apply(epoch, spec);
}
void RelayServer::query(const std::string& key, Engine::StateCallback done) {
  impl_->service.query(key, std::move(done));
}
void RelayServer::remove(const std::string& key, Engine::StateCallback done) {
  impl_->service.remove(key, std::move(done));
}
void RelayServer::set_on_ended(std::function<void(const CallEnded&)> handler) {
  impl_->service.set_neighbour(std::move(handler));
}

void RelayServer::stop() {
  if (!impl_ || !impl_->server) return;
  impl_->service.close();
  impl_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
  impl_->server->Wait();
  impl_->server.reset();
}

}  // namespace rtpool::control
