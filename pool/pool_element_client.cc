#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "pool/client.h"
#include "pool/errc.h"
#include "pool/executor.h"
#include "pool/link_client.h"
#include "pool/wire_codec.h"

namespace rtpool::pool {
namespace {

constexpr Duration kSilentRegistrar = std::chrono::seconds(1);
constexpr Duration kRefusalPause = std::chrono::milliseconds(500);
constexpr auto kDeregisterWithin = std::chrono::milliseconds(200);
constexpr Duration kShortestInterval = std::chrono::milliseconds(5);
constexpr Duration kLongestInterval = std::chrono::seconds(1);

}  // namespace

bool PoolElementClient::State::operator==(const State& other) const {
  const bool same_refusal = refused.has_value() == other.refused.has_value() &&
                            (!refused || (refused->code == other.refused->code &&
                                          refused->detail == other.refused->detail));
  return epoch == other.epoch && registered == other.registered && registrars == other.registrars &&
         drained == other.drained && same_refusal;
}

// All of it belongs to the executor, but for state_ (under mutex_).
class PoolElementClient::Impl {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)), random_(random_seed()), registration_(options_.registration) {
    while (registration_.incarnation == 0) registration_.incarnation = random_();
    registration_.epoch = 0;
    state_.registrars = options_.registrars.size();
    for (const std::string& registrar : options_.registrars) {
      auto link = std::make_unique<Link>();
      link->registrar = registrar;
      link->stub = connect_registrar(registrar, options_.tls);
      links_.push_back(std::move(link));
    }
  }
  ~Impl() { stop(); }

  void start() {
    executor_.post([this] {
      for (auto& link : links_) open(*link);
    });
  }

  State state() const {
    const std::scoped_lock lock(mutex_);
    return state_;
  }
  void set_leaving(bool leaving) {
    executor_.post([this, leaving] {
      leaving_ = leaving;
      for (auto& link : links_) beat(*link);
    });
  }
  void stop();

 private:
  class Stream;
  struct Link {
    std::string registrar;
    std::unique_ptr<v1::Registrar::Stub> stub;
    Stream* stream = nullptr;  // deletes itself
    Backoff backoff;
    std::uint64_t granted = 0;  // by this registrar, on this stream; 0: not registered
    Duration interval = std::chrono::milliseconds(50);
    Instant heard{};
    std::uint64_t beats = 0;
    std::uint64_t timer = 0;  // the generation of its heartbeat timer
    bool complained = false;
    bool ever_attached = false;  // by this process
    bool claims_anew = false;    // comes without an epoch, as a new process does
  };

  void open(Link& link);
  void registered(Link& link, const v1::Registered& reply);
  void closed(Link& link, const grpc::Status& status);
  bool unknown_here(const Link& link, const Error& error);
  void retry_after(Link& link, Duration wait);
  void beat(Link& link);
  void beat_on(Link& link, std::uint64_t timer);
  void deregister(Link& link);
  void operation_ended();
  void publish();
  void log(LogLevel level, const std::string& text) const {
    if (options_.log) options_.log(level, text);
  }

  Options options_;
  Random random_;
  Registration registration_;
  std::vector<std::unique_ptr<Link>> links_;
  bool leaving_ = false;
  bool displaced_ = false;  // another process has taken this one's name
  bool drained_ = false;
  bool stopping_ = false;
  std::optional<Error> refused_;

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  State state_;
  std::size_t operations_ = 0;  // streams and one-shot calls that gRPC still knows

  std::mutex stop_mutex_;
  Executor executor_;  // last: its thread ends before what it uses
};

// One heartbeat stream. Callbacks post; the rest runs on the executor, where it also dies.
class PoolElementClient::Impl::Stream final
    : public grpc::ClientBidiReactor<v1::ServeRequest, v1::ServeReply> {
 public:
  Stream(Impl& impl, Link& link) : impl_(impl), link_(link) {
    link_.stub->async()->Serve(&context_, this);
    // Holds the call open for the writes that come from outside its callbacks; released on the
    // first failure.
    AddHold();
    held_ = true;
  }
  void begin() {
    StartCall();
    StartRead(&reply_);
  }
  void OnReadDone(bool ok) override {
    impl_.executor_.post([this, ok] { ok ? read() : release(); });
  }
  void OnWriteDone(bool ok) override {
    impl_.executor_.post([this, ok] {
      writing_ = false;
      if (ok) write_next();
    });
  }
  void OnDone(const grpc::Status& status) override {
    impl_.executor_.post([this, status] {
      Impl& impl = impl_;
      Link& link = link_;
      delete this;
      impl.closed(link, status);
    });
  }

  void send(const v1::ServeRequest& request) {
    if (!held_) return;
    // One heartbeat waiting is enough: a newer one says more than two old ones.
    if (request.has_heartbeat() && writing_) return;
    waiting_.push_back(request);
    if (!writing_) write_next();
  }
  void cancel() { context_.TryCancel(); }

 private:
  void read() {
    link_.heard = Executor::now();
    if (reply_.has_registered()) {
      impl_.registered(link_, reply_.registered());
    } else if (reply_.has_order()) {
      impl_.drained_ = reply_.order().drained();
      impl_.log(LogLevel::info, impl_.drained_ ? "drained by an operator" : "no longer drained");
      impl_.publish();
      for (auto& link : impl_.links_) impl_.beat(*link);
    }
    if (held_) StartRead(&reply_);
  }
  void write_next() {
    if (!held_ || waiting_.empty()) return;
    request_ = std::move(waiting_.front());
    waiting_.pop_front();
    writing_ = true;
    StartWrite(&request_);
  }
  void release() {
    if (std::exchange(held_, false)) RemoveHold();
  }

  Impl& impl_;
  Link& link_;
  grpc::ClientContext context_;
  v1::ServeRequest request_;
  v1::ServeReply reply_;
  std::deque<v1::ServeRequest> waiting_;
  bool writing_ = false;
  bool held_ = false;
};

void PoolElementClient::Impl::open(Link& link) {
  if (stopping_ || link.stream != nullptr) return;
  {
    const std::scoped_lock lock(mutex_);
    ++operations_;
  }
  link.heard = Executor::now();
  link.stream = new Stream(*this, link);
  link.stream->begin();
  v1::ServeRequest request;
  encode(registration_, *request.mutable_registration());
  if (link.claims_anew) request.mutable_registration()->set_epoch(0);
  link.stream->send(request);
  beat_on(link, ++link.timer);
}

void PoolElementClient::Impl::registered(Link& link, const v1::Registered& reply) {
  const bool first = link.granted == 0;
  link.granted = reply.epoch();
  if (options_.heartbeat_interval > Duration::zero()) {
    link.interval = options_.heartbeat_interval;
  } else {
    link.interval = std::clamp<Duration>(std::chrono::microseconds(std::min<std::uint64_t>(
                                             reply.heartbeat_interval_us(), 1'000'000)),
                                         kShortestInterval, kLongestInterval);
  }
  link.backoff.reset();
  link.complained = false;
  link.ever_attached = true;
  link.claims_anew = false;
  refused_.reset();
  if (first) {
    log(LogLevel::info,
        "registered at " + link.registrar + " with epoch " + std::to_string(link.granted));
  }
  // The highest epoch counts; registrars that granted a lower one are told.
  registration_.epoch = std::max(registration_.epoch, link.granted);
  for (auto& other : links_) {
    if (other->granted == 0 || other->granted >= registration_.epoch) continue;
    v1::ServeRequest request;
    encode(registration_, *request.mutable_registration());
    other->stream->send(request);
  }
  publish();
  if (first) beat(link);
}

// A registrar that was out of reach may remember a higher epoch of an earlier process than another
// granted to this one. Whoever it has never seen is new to it, unless a younger process has taken
// the name.
bool PoolElementClient::Impl::unknown_here(const Link& link, const Error& error) {
  if (error.code != make_error_code(Errc::stale_epoch)) return false;
  displaced_ = displaced_ || link.ever_attached;
  return !displaced_ && !link.claims_anew;
}

void PoolElementClient::Impl::closed(Link& link, const grpc::Status& status) {
  const bool was_registered = std::exchange(link.granted, 0) != 0;
  link.stream = nullptr;
  ++link.timer;
  Duration wait = link.backoff.next(random_);
  if (!stopping_) {
    const Error error = from_status(status);
    if (unknown_here(link, error)) {
      link.claims_anew = true;
    } else if (is_refusal(status)) {
      if (!refused_ || refused_->code != error.code) {
        log(LogLevel::error, "refused by " + link.registrar + ": " + error.message());
      }
      refused_ = error;
      wait = kRefusalPause;
    } else if (was_registered || !link.complained) {
      log(LogLevel::warning,
          "no contact with registrar " + link.registrar + ", trying again: " + error.message());
      link.complained = true;
    }
    retry_after(link, wait);
  }
  publish();
  operation_ended();
}

void PoolElementClient::Impl::retry_after(Link& link, Duration wait) {
  executor_.after(wait, [this, &link] { open(link); });
}

void PoolElementClient::Impl::beat(Link& link) {
  if (link.granted == 0 || link.stream == nullptr) return;
  const LoadReport report = options_.load ? options_.load() : LoadReport{};
  v1::ServeRequest request;
  v1::Heartbeat& heartbeat = *request.mutable_heartbeat();
  heartbeat.set_number(++link.beats);
  heartbeat.set_load(report.load);
  heartbeat.set_calls(report.calls);
  heartbeat.set_drained(drained_);
  heartbeat.set_leaving(leaving_);
  link.stream->send(request);
}

// The timer of one stream: heartbeats, and the end of a stream whose registrar says nothing any
// more.
void PoolElementClient::Impl::beat_on(Link& link, std::uint64_t timer) {
  if (link.timer != timer || link.stream == nullptr) return;
  beat(link);
  const Duration patience = std::max<Duration>(kSilentRegistrar, 10 * link.interval);
  if (Executor::now() - link.heard > patience) link.stream->cancel();
  executor_.after(link.interval, [this, &link, timer] { beat_on(link, timer); });
}

void PoolElementClient::Impl::deregister(Link& link) {
  {
    const std::scoped_lock lock(mutex_);
    ++operations_;
  }
  auto call = std::make_shared<OneShot<v1::DeregisterRequest>>();
  call->context->set_deadline(std::chrono::system_clock::now() + kDeregisterWithin);
  call->request.set_pool(registration_.pool);
  call->request.set_name(registration_.name);
  call->request.set_epoch(link.granted);
  link.stub->async()->Deregister(&*call->context, &call->request, &call->reply,
                                 [this, call, &link](const grpc::Status&) {
                                   call->context.reset();
                                   executor_.post([this, &link] {
                                     if (link.stream != nullptr) link.stream->cancel();
                                     operation_ended();
                                   });
                                 });
}

void PoolElementClient::Impl::operation_ended() {
  const std::scoped_lock lock(mutex_);
  --operations_;
  idle_.notify_all();
}

void PoolElementClient::Impl::publish() {
  State state;
  state.epoch = registration_.epoch;
  state.registrars = links_.size();
  state.registered = static_cast<std::size_t>(std::count_if(
      links_.begin(), links_.end(), [](const auto& link) { return link->granted != 0; }));
  state.drained = drained_;
  state.refused = refused_;
  {
    const std::scoped_lock lock(mutex_);
    if (state == state_) return;
    state_ = state;
  }
  if (options_.on_state && !stopping_) options_.on_state(state);
}

void PoolElementClient::Impl::stop() {
  const std::scoped_lock once(stop_mutex_);
  const bool running = executor_.run([this] {
    stopping_ = true;
    for (auto& link : links_) {
      if (link->granted != 0) {
        deregister(*link);
      } else if (link->stream != nullptr) {
        link->stream->cancel();
      }
    }
  });
  if (!running) return;
  {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return operations_ == 0; });
  }
  executor_.stop();
}

PoolElementClient::PoolElementClient(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
PoolElementClient::~PoolElementClient() = default;

Result<std::unique_ptr<PoolElementClient>> PoolElementClient::start(Options options) {
  if (auto ok = check_registrars(options.registrars); !ok) return ok.error();
  Registration checked = options.registration;
  checked.incarnation = 1;
  if (auto ok = check_registration(checked); !ok) return ok.error();
  auto impl = std::make_shared<Impl>(std::move(options));
  impl->start();
  return std::unique_ptr<PoolElementClient>(new PoolElementClient(std::move(impl)));
}

PoolElementClient::State PoolElementClient::state() const {
  return impl_->state();
}
std::uint64_t PoolElementClient::epoch() const {
  return impl_->state().epoch;
}
void PoolElementClient::set_leaving(bool leaving) {
  impl_->set_leaving(leaving);
}
void PoolElementClient::stop() {
  impl_->stop();
}

}  // namespace rtpool::pool
