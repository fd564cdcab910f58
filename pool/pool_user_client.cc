#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <utility>

#include "pool/client.h"
#include "pool/errc.h"
#include "pool/executor.h"
#include "pool/link_client.h"
#include "pool/policy.h"
#include "pool/pool_view.h"
#include "pool/wire_codec.h"

namespace rtpool::pool {
namespace {

// Registrars send at least every 100 ms; one that is silent for so long has hung or is cut off.
constexpr Duration kSilentRegistrar = std::chrono::milliseconds(350);
constexpr Duration kConnectWithin = std::chrono::seconds(2);
constexpr Duration kWatchdog = std::chrono::milliseconds(50);
constexpr auto kReportWithin = std::chrono::seconds(1);
constexpr std::size_t kMaxReportsInFlight = 64;

Selected selected(const PoolElement& element) {
  return {.id = element.id,
          .name = element.name,
          .endpoint = element.endpoint,
          .zone = element.zone,
          .epoch = element.epoch};
}

}  // namespace

// links_ belong to the executor; everything below mutex_ is shared with the callers.
class PoolUserClient::Impl {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)),
        random_(random_seed()),
        view_(options_.registrars.size()),
        selector_(Policy::least_used_degradation, options_.seed),
        confirmed_at_(Executor::now()) {
    for (std::size_t i = 0; i < options_.registrars.size(); ++i) {
      auto link = std::make_unique<Link>();
      link->index = i;
      link->registrar = options_.registrars[i];
      link->stub = connect_registrar(link->registrar, options_.tls);
      links_.push_back(std::move(link));
    }
  }
  ~Impl() { stop(); }

  void start() {
    executor_.post([this] {
      for (auto& link : links_) open(*link);
      watch_over();
    });
  }

  Result<Selected> select(std::span<const PoolElementId> exclude) {
    const std::scoped_lock lock(mutex_);
    const auto element =
        selector_.select(Executor::now(), {.exclude = exclude, .zone = options_.zone});
    if (!element) return Error(static_cast<Errc>(element.error().code.value()), options_.pool);
    return selected(**element);
  }
  std::optional<Selected> find(std::string_view name) const {
    const std::scoped_lock lock(mutex_);
    const PoolElement* element = selector_.find(element_id(name));
    if (element == nullptr || element->name != name) return std::nullopt;
    return selected(*element);
  }
  View view() const;
  bool in_contact() const {
    const std::scoped_lock lock(mutex_);
    return view_.contacts() > 0;
  }
  bool wait_ready(std::chrono::milliseconds timeout);
  void report_unreachable(PoolElementId id);
  void stop();

 private:
  class Watch;
  struct Link {
    std::size_t index = 0;
    std::string registrar;
    std::unique_ptr<v1::Registrar::Stub> stub;
    Watch* watch = nullptr;  // deletes itself
    Backoff backoff;
    Instant heard{};
    bool contact = false;
    bool complained = false;
  };

  void open(Link& link);
  bool updated(Link& link, const v1::PoolUpdate& message);
  void lost(Link& link);
  void closed(Link& link, const grpc::Status& status);
  void watch_over();
  void apply(const PoolView::Changes& changes);
  void tell(const PoolView::Changes& changes);
  void send_reports(PoolElementId id, std::uint64_t epoch);
  void operation_began();
  void operation_ended();
  void log(LogLevel level, const std::string& text) const {
    if (options_.log) options_.log(level, text);
  }

  Options options_;
  Random random_;
  std::vector<std::unique_ptr<Link>> links_;
  std::set<std::shared_ptr<OneShot<v1::ReportRequest>>> reports_;  // in flight
  bool stopping_ = false;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  PoolView view_;
  Selector selector_;
  Instant confirmed_at_;
  bool ever_filled_ = false;
  std::size_t operations_ = 0;  // watches and one-shot calls that gRPC still knows

  std::mutex stop_mutex_;
  Executor executor_;  // last: its thread ends before what it uses
};

class PoolUserClient::Impl::Watch final : public grpc::ClientReadReactor<v1::PoolUpdate> {
 public:
  Watch(Impl& impl, Link& link) : impl_(impl), link_(link) {
    request_.set_pool(impl.options_.pool);
    link_.stub->async()->Watch(&context_, &request_, this);
    AddHold();
  }
  void begin() {
    StartRead(&message_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    impl_.executor_.post([this, ok] {
      if (!ok) return release();
      if (!impl_.updated(link_, message_)) context_.TryCancel();
      StartRead(&message_);
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
  void cancel() { context_.TryCancel(); }

 private:
  void release() {
    // Reads come from outside the callbacks, hence the hold; there are none after a failed one.
    RemoveHold();
  }

  Impl& impl_;
  Link& link_;
  grpc::ClientContext context_;
  v1::WatchRequest request_;
  v1::PoolUpdate message_;
};

void PoolUserClient::Impl::open(Link& link) {
  if (stopping_ || link.watch != nullptr) return;
  operation_began();
  link.heard = Executor::now();
  link.watch = new Watch(*this, link);
  link.watch->begin();
}

bool PoolUserClient::Impl::updated(Link& link, const v1::PoolUpdate& message) {
  const PoolUpdate update = decode(message);
  PoolView::Changes changes;
  link.heard = Executor::now();
  bool in_sequence = false;
  {
    const std::scoped_lock lock(mutex_);
    in_sequence = view_.apply(link.index, update, changes);
    if (in_sequence) {
      confirmed_at_ = link.heard;
      ever_filled_ = true;
      apply(changes);
    }
  }
  if (!in_sequence) {
    log(LogLevel::warning, "registrar " + link.registrar + " skipped an update, asking anew");
    return false;
  }
  if (!link.contact) {
    link.contact = true;
    link.complained = false;
    link.backoff.reset();
    log(LogLevel::info, "watching pool '" + options_.pool + "' at " + link.registrar);
  }
  tell(changes);
  return true;
}

// Under mutex_.
void PoolUserClient::Impl::apply(const PoolView::Changes& changes) {
  selector_.set_policy(view_.policy());
  for (const PoolElement& element : changes.put) selector_.put(element);
  for (const PoolElementId id : changes.removed) selector_.remove(id);
  changed_.notify_all();
}

void PoolUserClient::Impl::tell(const PoolView::Changes& changes) {
  if (changes.membership && options_.on_change && !stopping_) options_.on_change();
}

void PoolUserClient::Impl::lost(Link& link) {
  if (!std::exchange(link.contact, false)) return;
  PoolView::Changes changes;
  {
    const std::scoped_lock lock(mutex_);
    if (!stopping_) view_.lost_contact(link.index, changes);
    apply(changes);
  }
  if (!stopping_) log(LogLevel::warning, "no contact with registrar " + link.registrar);
  tell(changes);
}

void PoolUserClient::Impl::closed(Link& link, const grpc::Status& status) {
  link.watch = nullptr;
  if (!stopping_) {
    if (!link.contact && !link.complained) {
      link.complained = true;
      log(LogLevel::warning,
          "can't watch at " + link.registrar + " yet: " + from_status(status).message());
    }
    lost(link);
    executor_.after(link.backoff.next(random_), [this, &link] { open(link); });
  }
  operation_ended();
}

void PoolUserClient::Impl::watch_over() {
  if (stopping_) return;
  const Instant now = Executor::now();
  for (auto& link : links_) {
    if (link->watch == nullptr) continue;
    const Duration patience = link->contact ? kSilentRegistrar : kConnectWithin;
    if (now - link->heard <= patience) continue;
    lost(*link);
    link->heard = now;
    link->watch->cancel();
  }
  executor_.after(kWatchdog, [this] { watch_over(); });
}

PoolUserClient::View PoolUserClient::Impl::view() const {
  const std::scoped_lock lock(mutex_);
  View view;
  for (const auto& [id, element] : view_.elements()) view.elements.push_back(element);
  view.policy = view_.policy();
  view.registrars_in_contact = view_.contacts();
  view.registrars = options_.registrars.size();
  view.ever_filled = ever_filled_;
  view.panic = view_.panic();
  view.age = Executor::now() - confirmed_at_;
  return view;
}

bool PoolUserClient::Impl::wait_ready(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, timeout, [this] {
    return !selector_.ranking(Executor::now(), 1, {.exclude = {}, .zone = options_.zone}).empty();
  });
}

void PoolUserClient::Impl::report_unreachable(PoolElementId id) {
  std::uint64_t epoch = 0;
  {
    const std::scoped_lock lock(mutex_);
    const PoolElement* element = selector_.find(id);
    if (element == nullptr) return;
    epoch = element->epoch;
    selector_.shun(id, Executor::now() + options_.shun_time);
  }
  executor_.post([this, id, epoch] { send_reports(id, epoch); });
}

void PoolUserClient::Impl::send_reports(PoolElementId id, std::uint64_t epoch) {
  for (auto& link : links_) {
    if (stopping_ || !link->contact) continue;
    if (reports_.size() >= kMaxReportsInFlight) return;
    operation_began();
    const auto call = std::make_shared<OneShot<v1::ReportRequest>>();
    call->context->set_deadline(std::chrono::system_clock::now() + kReportWithin);
    call->request.set_pool(options_.pool);
    call->request.set_id(id.value);
    call->request.set_epoch(epoch);
    link->stub->async()->ReportUnreachable(&*call->context, &call->request, &call->reply,
                                           [this, call](const grpc::Status&) {
                                             executor_.post([this, call] {
                                               reports_.erase(call);
                                               call->context.reset();
                                               operation_ended();
                                             });
                                           });
    reports_.insert(call);
  }
}

void PoolUserClient::Impl::operation_began() {
  const std::scoped_lock lock(mutex_);
  ++operations_;
}

void PoolUserClient::Impl::operation_ended() {
  const std::scoped_lock lock(mutex_);
  --operations_;
  changed_.notify_all();
}

void PoolUserClient::Impl::stop() {
  const std::scoped_lock once(stop_mutex_);
  const bool running = executor_.run([this] {
    stopping_ = true;
    for (auto& link : links_) {
      if (link->watch != nullptr) link->watch->cancel();
    }
    for (const auto& report : reports_) report->context->TryCancel();
  });
  if (!running) return;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return operations_ == 0; });
  }
  executor_.stop();
}

PoolUserClient::PoolUserClient(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
PoolUserClient::~PoolUserClient() = default;

Result<std::unique_ptr<PoolUserClient>> PoolUserClient::start(Options options) {
  if (auto ok = check_registrars(options.registrars); !ok) return ok.error();
  if (auto ok = check_name("the pool's name", options.pool); !ok) return ok.error();
  auto impl = std::make_shared<Impl>(std::move(options));
  impl->start();
  return std::unique_ptr<PoolUserClient>(new PoolUserClient(std::move(impl)));
}

Result<Selected> PoolUserClient::select(std::span<const PoolElementId> exclude) {
  return impl_->select(exclude);
}
std::optional<Selected> PoolUserClient::find(std::string_view name) const {
  return impl_->find(name);
}
void PoolUserClient::report_unreachable(PoolElementId id) {
  impl_->report_unreachable(id);
}
PoolUserClient::View PoolUserClient::view() const {
  return impl_->view();
}
bool PoolUserClient::in_contact() const {
  return impl_->in_contact();
}
bool PoolUserClient::wait_ready(std::chrono::milliseconds timeout) const {
  return impl_->wait_ready(timeout);
}
void PoolUserClient::stop() {
  impl_->stop();
}

}  // namespace rtpool::pool
