#include "pool/registrar_service.h"

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

#include "pool/admission.h"
#include "pool/counted_store.h"
#include "pool/executor.h"
#include "pool/local_records.h"
#include "pool/memory_store.h"
#include "pool/proto/registrar.grpc.pb.h"
#include "pool/record_service.h"
#include "pool/registrar_notice.h"
#include "pool/tls.h"
#include "pool/wire_codec.h"

namespace rtpool::pool {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(5);
constexpr Duration kRegisterWithin = std::chrono::seconds(5);
constexpr int kMaxMessage = 80 * 1024;  // a record with its key; everything else is far smaller
constexpr std::size_t kMaxQueuedReplies = 64;
constexpr std::size_t kMaxQueuedUpdates = 16;
constexpr std::size_t kMaxExcluded = 256;
constexpr auto kStopGrace = std::chrono::milliseconds(100);

std::uint64_t unix_ms() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
}

}  // namespace

class RegistrarServer::Impl final : public v1::Registrar::CallbackService {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)),
        store_(std::make_unique<CountedStore>(options_.store ? std::move(options_.store)
                                                             : std::make_unique<MemoryStore>())),
        first_epoch_(options_.first_epoch != 0 ? options_.first_epoch : unix_ms()),
        gate_(options_.tls != nullptr, options_.log),
        records_(*store_),
        core_(options_.core, Executor::now(), options_.seed),
        admission_({}, *store_, executor_, options_.log,
                   [this](StreamId stream, const Admission::Verdict& verdict) {
                     decided(stream, verdict);
                   }) {}

  ~Impl() override { stop(); }

  Result<void> listen();
  void stop();
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string endpoint() const {
    return options_.listen.substr(0, options_.listen.rfind(':') + 1) + std::to_string(port_);
  }
  [[nodiscard]] std::uint64_t refused_peers() const { return gate_.refused(); }
  [[nodiscard]] StoreState store_state() const {
    return {.operations = store_->counts().operations,
            .failures = store_->counts().failures,
            .records = store_->records(),
            .trouble = store_->trouble()};
  }
  std::unique_ptr<Records> records(const std::string& pool, Duration lifetime) {
    return std::make_unique<LocalRecords>(*store_, pool, lifetime);
  }
  pool::Registrar::Counts counts() {
    pool::Registrar::Counts counts;
    executor_.run([&] { counts = core_.counts(); });
    return counts;
  }
  std::vector<ListedPool> list(const std::string& pool) {
    std::vector<ListedPool> listed;
    executor_.run([&] { listed = core_.list(Executor::now(), pool); });
    return listed;
  }

 private:
  class ServeStream;
  class WatchStream;
  using Unary = grpc::ServerUnaryReactor;

  grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeReply>* Serve(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::PoolUpdate>* Watch(grpc::CallbackServerContext* context,
                                                  const v1::WatchRequest* request) override;
  Unary* Deregister(grpc::CallbackServerContext* context, const v1::DeregisterRequest* request,
                    v1::Done*) override {
    return answer(context, gate_.authorise_relay(*context, "Deregister", request->name()),
                  [this, request] {
                    return core_.deregister(Executor::now(), request->pool(), request->name(),
                                            request->epoch());
                  });
  }
  Unary* Resolve(grpc::CallbackServerContext* context, const v1::ResolveRequest* request,
                 v1::ResolveReply* reply) override {
    return answer(context, gate_.authorise(*context, "Resolve", {PeerRole::controller}),
                  [this, request, reply] { return resolve(*request, *reply); });
  }
  Unary* ReportUnreachable(grpc::CallbackServerContext* context, const v1::ReportRequest* request,
                           v1::Done*) override {
    return answer(context, gate_.authorise(*context, "ReportUnreachable", {PeerRole::controller}),
                  [this, request] {
                    return core_.report_unreachable(Executor::now(), request->pool(),
                                                    PoolElementId{request->id()}, request->epoch());
                  });
  }
  Unary* Drain(grpc::CallbackServerContext* context, const v1::DrainRequest* request,
               v1::Done*) override {
    return answer(
        context, gate_.authorise(*context, "Drain", {PeerRole::operator_}), [this, request] {
          return core_.set_drained(Executor::now(), request->pool(), request->name(), true);
        });
  }
  Unary* Undrain(grpc::CallbackServerContext* context, const v1::DrainRequest* request,
                 v1::Done*) override {
    return answer(
        context, gate_.authorise(*context, "Undrain", {PeerRole::operator_}), [this, request] {
          return core_.set_drained(Executor::now(), request->pool(), request->name(), false);
        });
  }
  Unary* List(grpc::CallbackServerContext* context, const v1::ListRequest* request,
              v1::ListReply* reply) override {
    return answer(context,
                  gate_.authorise(*context, "List",
                                  {PeerRole::relay, PeerRole::controller, PeerRole::registrar,
                                   PeerRole::operator_}),
                  [this, request, reply]() -> Result<void> {
                    for (const ListedPool& pool : core_.list(Executor::now(), request->pool())) {
                      encode(pool, *reply->add_pools());
                    }
                    return {};
                  });
  }

  Unary* GetRecord(grpc::CallbackServerContext* context, const v1::GetRecordRequest* request,
                   v1::Record* reply) override {
    return records_.get(
        *context, gate_.authorise(*context, "GetRecord", {PeerRole::relay, PeerRole::controller}),
        *request, *reply);
  }
  Unary* SwapRecord(grpc::CallbackServerContext* context, const v1::SwapRecordRequest* request,
                    v1::SwapRecordReply* reply) override {
    return records_.swap(*context, gate_.authorise(*context, "SwapRecord", {PeerRole::controller}),
                         *request, *reply);
  }

  // Runs `work`, where it is allowed, on the core's executor and finishes the call with its
  // outcome.
  template <class Work>
  Unary* answer(grpc::CallbackServerContext* context, const grpc::Status& allowed, Work work) {
    Unary* reactor = context->DefaultReactor();
    if (!allowed.ok()) {
      reactor->Finish(allowed);
      return reactor;
    }
    if (overloaded()) {
      reactor->Finish(to_status(Errc::overloaded));
      return reactor;
    }
    executor_.post([this, reactor, work = std::move(work)] {
      const Result<void> outcome = work();
      flush();
      reactor->Finish(outcome ? grpc::Status::OK : to_status(outcome.error()));
    });
    return reactor;
  }

  [[nodiscard]] bool overloaded() const { return executor_.queued() >= options_.max_queued; }
  Result<void> resolve(const v1::ResolveRequest& request, v1::ResolveReply& reply);
  void decided(StreamId stream, const Admission::Verdict& verdict);
  void tick();
  void flush();
  void log(LogLevel level, std::string_view text) const {
    if (options_.log) options_.log(level, text);
  }

  Options options_;
  std::unique_ptr<CountedStore> store_;
  std::uint64_t first_epoch_;
  std::uint16_t port_ = 0;
  std::atomic<std::uint64_t> next_id_{1};
  PeerGate gate_;
  RecordService records_;

  // Touched by tasks of the executor alone.
  pool::Registrar core_;
  Admission admission_;
  std::unordered_map<StreamId, ServeStream*> serving_;
  std::unordered_map<WatcherId, WatchStream*> watching_;

  std::unique_ptr<grpc::Server> server_;
  Executor executor_;  // last: its thread ends before what it uses
};

// An element's stream. Its callbacks run on gRPC's threads and only post; everything else on the
// core's executor, where it is also deleted, after all that was posted about it.
class RegistrarServer::Impl::ServeStream final
    : public grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeReply> {
 public:
  ServeStream(Impl& impl, const grpc::CallbackServerContext& context)
      : impl_(impl), context_(context), id_{impl.next_id_++} {
    impl_.executor_.post([this] { opened(); });
  }

  void OnReadDone(bool ok) override {
    impl_.executor_.post([this, ok] { ok ? read() : ended(); });
  }
  void OnWriteDone(bool ok) override {
    impl_.executor_.post([this, ok] {
      writing_ = false;
      if (ok) write_next();
    });
  }
  void OnCancel() override {
    impl_.executor_.post([this] { ended(); });
  }
  void OnDone() override {
    impl_.executor_.post([this] {
      ended();
      impl_.serving_.erase(id_);
      delete this;
    });
  }

  void send(v1::ServeReply reply) {
    if (finished_) return;
    if (replies_.size() >= kMaxQueuedReplies) return finish(to_status(Errc::overloaded));
    replies_.push_back(std::move(reply));
    if (!writing_) write_next();
  }
  void finish(const grpc::Status& status) {
    if (std::exchange(finished_, true)) return;
    Finish(status);
  }

  void decided(const Admission::Verdict& verdict) {
    if (ended_ || finished_) return;
    const auto& epoch = verdict.epoch;
    if (verdict.confirms && epoch && *epoch == verdict.registration.epoch) return;
    Result<void> outcome;
    if (!epoch) {
      outcome = epoch.error();
    } else {
      outcome = impl_.core_.attach(Executor::now(), id_, verdict.registration, *epoch);
    }
    impl_.flush();
    if (!outcome) {
      impl_.log(LogLevel::warning,
                "refused '" + verdict.registration.name + "': " + outcome.error().message());
      return finish(to_status(outcome.error()));
    }
    registered_ = true;
    v1::ServeReply reply;
    reply.mutable_registered()->set_epoch(*epoch);
    const auto interval = std::chrono::duration_cast<std::chrono::microseconds>(
        impl_.options_.core.heartbeat_interval);
    reply.mutable_registered()->set_heartbeat_interval_us(
        static_cast<std::uint64_t>(interval.count()));
    send(std::move(reply));
  }

 private:
  void opened() {
    impl_.serving_.emplace(id_, this);
    impl_.executor_.after(kRegisterWithin, [&impl = impl_, id = id_] {
      const auto it = impl.serving_.find(id);
      if (it == impl.serving_.end() || it->second->registered_) return;
      it->second->finish(to_status(Error(Errc::bad_argument, "no registration within 5 s")));
    });
    if (impl_.serving_.size() > 2 * impl_.options_.core.max_elements) {
      return finish(to_status(Errc::too_many_elements));
    }
    StartRead(&request_);
  }

  void ended() {
    if (!std::exchange(ended_, true)) {
      impl_.admission_.forget(id_);
      impl_.core_.stream_ended(Executor::now(), id_);
      impl_.flush();
    }
    finish(grpc::Status::OK);
  }

  void read() {
    if (finished_) return;
    if (request_.has_registration()) return register_element();
    if (!request_.has_heartbeat()) {
      return finish(to_status(Error(Errc::bad_argument, "a message that says nothing")));
    }
    const v1::Heartbeat& beat = request_.heartbeat();
    if (!registered_ && impl_.admission_.claiming(id_)) return read_on();
    const auto outcome = impl_.core_.heartbeat(Executor::now(), id_,
                                               {.load = beat.load(),
                                                .calls = beat.calls(),
                                                .drained = beat.drained(),
                                                .leaving = beat.leaving()});
    impl_.flush();
    if (!outcome) return finish(to_status(outcome.error()));
    v1::ServeReply reply;
    reply.set_heard(beat.number());
    send(std::move(reply));
    read_on();
  }

  void register_element() {
    const Registration registration = decode(request_.registration());
    if (auto ok = impl_.gate_.authorise_relay(context_, "Serve", registration.name); !ok.ok())
      return finish(ok);
    if (const auto ok = impl_.core_.admit(registration); !ok) {
      impl_.log(LogLevel::warning, "refused a registration: " + ok.error().message());
      return finish(to_status(ok.error()));
    }
    // A registrar that has just started does not know who is in the pool.
    const bool settled =
        Executor::now() - impl_.core_.started_at() >= impl_.options_.core.settle_time;
    impl_.admission_.claim(
        id_, {.registration = registration,
              .first_epoch = impl_.first_epoch_,
              .pool_is_empty = settled && impl_.core_.pool_is_empty(registration.pool)});
    // Heartbeats go on while the store is asked.
    read_on();
  }

  void read_on() {
    if (!finished_ && !ended_) StartRead(&request_);
  }

  void write_next() {
    if (finished_ || replies_.empty()) return;
    reply_ = std::move(replies_.front());
    replies_.pop_front();
    writing_ = true;
    StartWrite(&reply_);
  }

  Impl& impl_;
  const grpc::CallbackServerContext& context_;  // lives until OnDone()
  StreamId id_;
  v1::ServeRequest request_;
  v1::ServeReply reply_;
  std::deque<v1::ServeReply> replies_;
  bool registered_ = false;
  bool writing_ = false;
  bool ended_ = false;     // the core knows
  bool finished_ = false;  // Finish was called
};

// A user's watch. A watcher that does not keep up loses its queue and gets a snapshot when it can
// take one.
class RegistrarServer::Impl::WatchStream final : public grpc::ServerWriteReactor<v1::PoolUpdate> {
 public:
  WatchStream(Impl& impl, std::string pool, grpc::Status allowed)
      : impl_(impl), id_{impl.next_id_++}, pool_(std::move(pool)) {
    impl_.executor_.post([this, allowed = std::move(allowed)] { opened(allowed); });
  }

  void OnWriteDone(bool ok) override {
    impl_.executor_.post([this, ok] { ok ? written() : ended(); });
  }
  void OnCancel() override {
    impl_.executor_.post([this] { ended(); });
  }
  void OnDone() override {
    impl_.executor_.post([this] {
      ended();
      impl_.watching_.erase(id_);
      delete this;
    });
  }

  void send(std::shared_ptr<const v1::PoolUpdate> update) {
    if (finished_) return;
    if (updates_.size() >= kMaxQueuedUpdates) {
      updates_.clear();
      lagging_ = true;
    }
    if (lagging_) return;
    updates_.push_back(std::move(update));
    if (!writing_) write_next();
  }

 private:
  void opened(const grpc::Status& allowed) {
    impl_.watching_.emplace(id_, this);
    if (!allowed.ok()) return finish(allowed);
    const auto outcome = impl_.core_.watch(Executor::now(), id_, pool_);
    impl_.flush();
    if (!outcome) finish(to_status(outcome.error()));
  }
  void ended() {
    impl_.core_.unwatch(id_);
    finish(grpc::Status::OK);
  }
  void finish(const grpc::Status& status) {
    if (std::exchange(finished_, true)) return;
    Finish(status);
  }
  void written() {
    writing_ = false;
    if (lagging_ && updates_.empty()) {
      lagging_ = false;
      impl_.core_.resync(Executor::now(), id_);
      impl_.flush();
      return;
    }
    write_next();
  }
  void write_next() {
    if (finished_ || updates_.empty()) return;
    message_ = std::move(updates_.front());
    updates_.pop_front();
    writing_ = true;
    StartWrite(message_.get());
  }

  Impl& impl_;
  WatcherId id_;
  std::string pool_;
  std::shared_ptr<const v1::PoolUpdate> message_;  // being written
  std::deque<std::shared_ptr<const v1::PoolUpdate>> updates_;
  bool writing_ = false;
  bool lagging_ = false;
  bool finished_ = false;
};

grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeReply>* RegistrarServer::Impl::Serve(
    grpc::CallbackServerContext* context) {
  return new ServeStream(*this, *context);
}

grpc::ServerWriteReactor<v1::PoolUpdate>* RegistrarServer::Impl::Watch(
    grpc::CallbackServerContext* context, const v1::WatchRequest* request) {
  return new WatchStream(
      *this, request->pool(),
      gate_.authorise(*context, "Watch", {PeerRole::controller, PeerRole::operator_}));
}

Result<void> RegistrarServer::Impl::resolve(const v1::ResolveRequest& request,
                                            v1::ResolveReply& reply) {
  if (static_cast<std::size_t>(request.exclude_size()) > kMaxExcluded) {
    return Error(Errc::bad_argument, "more than 256 excluded elements");
  }
  std::vector<PoolElementId> exclude;
  for (const auto id : request.exclude()) exclude.push_back(PoolElementId{id});
  const auto elements = core_.resolve(Executor::now(), request.pool(), request.limit(),
                                      {.exclude = exclude, .zone = request.zone()});
  if (!elements) return elements.error();
  for (const PoolElement& element : *elements) encode(element, *reply.add_elements());
  reply.set_policy(static_cast<std::uint32_t>(core_.policy(request.pool())));
  return {};
}

Result<void> RegistrarServer::Impl::listen() {
  int bound = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options_.listen, server_credentials(options_.tls), &bound);
  builder.RegisterService(this);
  builder.SetMaxReceiveMessageSize(kMaxMessage);
  // Two registrars must not share a port by accident, each with half of the relays.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1'024);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 8 * 1024);
  // Who connects and says nothing is not kept.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 5'000);
  // Ends the watches of hosts that vanished without a word.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || bound == 0) {
    return Error(Errc::bind_failed, options_.listen + " is in use or not an address of this host");
  }
  port_ = static_cast<std::uint16_t>(bound);
  executor_.after(kTick, [this] { tick(); });
  return {};
}

void RegistrarServer::Impl::decided(StreamId stream, const Admission::Verdict& verdict) {
  const auto it = serving_.find(stream);
  if (it != serving_.end()) it->second->decided(verdict);
}

void RegistrarServer::Impl::tick() {
  core_.tick(Executor::now());
  flush();
  executor_.after(kTick, [this] { tick(); });
}

// Sends what the core has decided. Nothing here calls back into the core.
void RegistrarServer::Impl::flush() {
  const pool::Registrar::Outbox outbox = core_.take_outbox();
  // One update goes to many: it is encoded once.
  const PoolUpdate* encoded = nullptr;
  std::shared_ptr<const v1::PoolUpdate> wire;
  for (const auto& message : outbox.updates) {
    if (message.update.get() != encoded) {
      const auto fresh = std::make_shared<v1::PoolUpdate>();
      encode(*message.update, *fresh);
      encoded = message.update.get();
      wire = fresh;
    }
    const auto it = watching_.find(message.watcher);
    if (it != watching_.end()) it->second->send(wire);
  }
  for (const auto& order : outbox.drain_orders) {
    const auto it = serving_.find(order.stream);
    if (it == serving_.end()) continue;
    v1::ServeReply reply;
    reply.mutable_order()->set_drained(order.drained);
    it->second->send(std::move(reply));
  }
  for (const auto& closed : outbox.closed) {
    const auto it = serving_.find(closed.stream);
    if (it != serving_.end()) it->second->finish(to_status(closed.reason));
  }
  for (const auto& notice : outbox.notices) {
    log(is_warning(notice) ? LogLevel::warning : LogLevel::info, describe(notice));
  }
}

void RegistrarServer::Impl::stop() {
  records_.stop();
  if (server_ != nullptr) {
    server_->Shutdown(std::chrono::system_clock::now() + kStopGrace);
    server_->Wait();
  }
  // Every stream has posted its end by now; what is queued still runs.
  executor_.stop();
  server_.reset();
  // What it still owes an answer posts to an executor that no longer listens.
  store_.reset();
}

RegistrarServer::RegistrarServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RegistrarServer::~RegistrarServer() = default;

Result<std::unique_ptr<RegistrarServer>> RegistrarServer::start(Options options) {
  const auto colon = options.listen.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == options.listen.size()) {
    return Error(Errc::bad_endpoint, "'" + options.listen + "' is not HOST:PORT");
  }
  auto impl = std::make_unique<Impl>(std::move(options));
  if (auto ok = impl->listen(); !ok) return ok.error();
  return std::unique_ptr<RegistrarServer>(new RegistrarServer(std::move(impl)));
}

std::string RegistrarServer::endpoint() const {
  return impl_->endpoint();
}
std::uint16_t RegistrarServer::port() const {
  return impl_->port();
}
void RegistrarServer::stop() {
  impl_->stop();
}
std::uint64_t RegistrarServer::refused_peers() const {
  return impl_->refused_peers();
}
RegistrarServer::StoreState RegistrarServer::store_state() const {
  return impl_->store_state();
}
std::unique_ptr<Records> RegistrarServer::records(const std::string& pool, Duration lifetime) {
  return impl_->records(pool, lifetime);
}
Registrar::Counts RegistrarServer::counts() const {
  return impl_->counts();
}
std::vector<ListedPool> RegistrarServer::list(const std::string& pool) const {
  return impl_->list(pool);
}

}  // namespace rtpool::pool
