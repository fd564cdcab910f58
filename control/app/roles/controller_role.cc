#include "control/app/roles/controller_role.h"

#include <openssl/rand.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <future>
#include <map>
#include <thread>

#include "control/app/errc.h"
#include "control/app/log.h"
#include "control/app/roles/call_json.h"
#include "control/app/roles/pool_json.h"
#include "control/app/roles/pool_log.h"
#include "control/app/roles/role_metrics.h"
#include "control/app/system_time.h"
#include "control/calls/call_manager.h"
#include "control/calls/local_relay.h"
#include "control/calls/pool_selector.h"
#include "control/calls/record_call_store.h"
#include "control/calls/relay_client.h"
#include "control/ng/server.h"
#include "pool/client.h"
#include "pool/record_client.h"
#include "relay/base/assert.h"

namespace rtpool::control {
namespace {

constexpr auto kPatience =
    std::chrono::milliseconds(800);  // of an HTTP request for the control thread
constexpr auto kTick = std::chrono::seconds(1);
// No call is longer than its relay allows; its record may be needed until that is known everywhere.
constexpr auto kRecordsOutliveCalls = std::chrono::hours(1);

void fill_with_secret(std::span<std::byte> out) {
  const int filled =
      RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
  // A system without randomness must not hand out passwords that can be guessed.
  RTPOOL_ASSERT(filled == 1);
}

void log_call(LogLevel level, std::string_view call_id, std::string_view text) {
  const Severity severity = level == LogLevel::debug  ? Severity::debug
                            : level == LogLevel::info ? Severity::info
                            : level == LogLevel::warn ? Severity::warning
                                                      : Severity::error;
  if (call_id.empty()) {
    log(severity, text);
  } else {
    log(severity, text, {{"call_id", call_id}});
  }
}

// Reports of calls as relays answer; the HTTP thread may have given up by the last one.
struct Gathering {
  nlohmann::json calls = nlohmann::json::array();  // control thread, until complete
  std::size_t outstanding = 0;
  std::size_t total = 0;
  std::string next;  // empty: this is the last page
  std::promise<nlohmann::json> complete;

  void finish_one() {
    if (--outstanding > 0) return;
    nlohmann::json answer{{"total", total}, {"calls", std::move(calls)}};
    if (!next.empty()) answer["next"] = next;
    complete.set_value(std::move(answer));
  }
};

}  // namespace

struct ControllerRole::Impl {
  ControllerOptions options;
  Neighbours neighbours;
  LatencyHistogram offer_times, answer_times, other_times;
  std::unique_ptr<pool::PoolUserClient> user;
  std::unique_ptr<PoolSelector> selector;
  std::unique_ptr<pool::Records> records;

  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work =
      boost::asio::make_work_guard(io);
  std::thread thread;
  // Of the control thread, once it runs.
  std::unique_ptr<RelayClient> relays;
  std::unique_ptr<LocalRelay> local_relay;  // null: none in this process
  std::unique_ptr<RecordCallStore> store;
  std::unique_ptr<CallManager> manager;
  std::unique_ptr<ng::Server> server;
  boost::asio::steady_timer timer{io};
  std::atomic<bool> stopped{false};
  std::atomic<bool> store_reached{true};

  Result<void> join_pool();
  Result<void> open_records();
  void start_store();
  Result<void> start_ng();
  void start_manager();
  void handle(ng::Request request, ng::Responder responder);
  void tick();
  void observe(ng::Command command, double seconds);
  void gather(const std::shared_ptr<Gathering>& gathering, const CallQuery& query);
  CallManagerCounts manager_counts() const;

  // Runs `ask` on the control thread; nullopt when that takes too long.
  template <class Ask>
  auto on_control_thread(Ask ask) -> std::optional<std::invoke_result_t<Ask>> {
    if (stopped) return std::nullopt;
    auto promise = std::make_shared<std::promise<std::invoke_result_t<Ask>>>();
    auto answer = promise->get_future();
    boost::asio::post(io, [promise, ask] { promise->set_value(ask()); });
    if (answer.wait_for(kPatience) != std::future_status::ready) return std::nullopt;
    return answer.get();
  }
};

Result<void> ControllerRole::Impl::join_pool() {
  pool::PoolUserClient::Options o;
  o.registrars = options.registrars;
  o.pool = options.pool;
  o.zone = options.zone;
  o.seed = random_seed();
  o.log = pool_log("controller");
  o.tls = options.tls;
  auto started = pool::PoolUserClient::start(std::move(o));
  if (!started) return Error(AppErrc::start_failed, "controller: " + started.error().message());
  user = std::move(*started);
  selector = std::make_unique<PoolSelector>(*user);
  return {};
}

// CallRecords are with the registrars, where every other controller of the pool finds them.
Result<void> ControllerRole::Impl::open_records() {
  Duration lifetime{};
  if (options.max_call_duration > Duration::zero())
    lifetime = options.max_call_duration + kRecordsOutliveCalls;
  if (neighbours.registrar != nullptr) {
    records = neighbours.registrar->server().records(options.pool, lifetime);
    return {};
  }
  pool::RecordClient::Options o;
  o.registrars = options.registrars;
  o.pool = options.pool;
  o.tls = options.tls;
  o.lifetime = lifetime;
  o.log = pool_log("controller");
  auto started = pool::RecordClient::start(std::move(o));
  if (!started) return Error(AppErrc::start_failed, "controller: " + started.error().message());
  records = std::move(*started);
  return {};
}

void ControllerRole::Impl::start_store() {
  store = std::make_unique<RecordCallStore>(io, *records, monotonic_now);
  store->set_on_reach([this](bool reached, const std::string& why) {
    store_reached = reached;
    if (reached) {
      log(Severity::info, "the store answers again");
    } else {
      log(Severity::warning,
          "the store does not answer: calls go on at the controllers that know them",
          {{"reason", why}});
    }
  });
}

void ControllerRole::Impl::start_manager() {
  relays = std::make_unique<RelayClient>(io, monotonic_now, options.tls);
  RelayGateway* gateway = relays.get();
  if (neighbours.relay != nullptr) {
    local_relay = std::make_unique<LocalRelay>(io, neighbours.relay->server(),
                                               neighbours.relay->address(), *relays);
    gateway = local_relay.get();
  }
  CallManagerOptions o;
  o.pool = options.pool;
  o.setup_timeout = options.setup_timeout;
  o.media_timeout = options.media_timeout;
  o.max_duration = options.max_call_duration;
  o.max_calls = options.max_calls;
  o.clock = monotonic_now;
  o.secret_bytes = fill_with_secret;
  o.log = log_call;
  manager = std::make_unique<CallManager>(std::move(o), *selector, *gateway, store.get());
  gateway->set_on_ended([this](const RelayRef& relay, const CallEnded& ended) {
    manager->on_relay_ended(relay, ended);
  });
}

void ControllerRole::Impl::handle(ng::Request request, ng::Responder responder) {
  // A std::function must be copyable, a Responder can't be.
  auto shared = std::make_shared<ng::Responder>(std::move(responder));
  manager->handle(request, monotonic_now(), wall_now(),
                  [shared](const ng::Value& reply) { shared->answer(reply); });
}

void ControllerRole::Impl::observe(ng::Command command, double seconds) {
  auto& histogram = command == ng::Command::offer    ? offer_times
                    : command == ng::Command::answer ? answer_times
                                                     : other_times;
  histogram.observe(seconds);
}

Result<void> ControllerRole::Impl::start_ng() {
  ng::ServerOptions o;
  o.observe = [this](ng::Command command, double seconds, bool) { observe(command, seconds); };
  auto started = ng::Server::start(
      io, options.ng,
      [this](ng::Request request, ng::Responder responder) {
        handle(std::move(request), std::move(responder));
      },
      std::move(o));
  if (!started) return Error(AppErrc::start_failed, "controller: " + started.error().message());
  server = std::move(*started);
  options.ng = server->local();
  log(Severity::info, "NG listens", {{"listen", options.ng.to_string()}, {"pool", options.pool}});
  return {};
}

void ControllerRole::Impl::tick() {
  timer.expires_after(kTick);
  timer.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    manager->tick(monotonic_now());
    tick();
  });
}

CallManagerCounts ControllerRole::Impl::manager_counts() const {
  auto* self = const_cast<Impl*>(this);
  return self
      ->on_control_thread(
          [self] { return self->manager ? self->manager->counts() : CallManagerCounts{}; })
      .value_or(CallManagerCounts{});
}

void ControllerRole::Impl::gather(const std::shared_ptr<Gathering>& gathering,
                                  const CallQuery& query) {
  gathering->outstanding = 1;  // this function itself
  if (manager) {
    gathering->total = manager->counts().calls;
    const auto ids = manager->call_ids_after(query.after, query.limit);
    if (ids.size() == query.limit) gathering->next = to_hex(ids.back());
    gathering->outstanding += ids.size();
    for (const auto& id : ids) {
      const auto add = [gathering, id, relay = query.relay](const ng::Value& report) {
        const bool wanted = report.find("tags") != nullptr &&
                            (relay.empty() || report.find_text("relay").value_or("") == relay);
        if (wanted) gathering->calls.push_back(call_json(id, report, unix_seconds_now()));
        gathering->finish_one();
      };
      manager->describe(id, monotonic_now(), add);
    }
  }
  gathering->finish_one();
}

ControllerRole::ControllerRole() : impl_(std::make_unique<Impl>()) {}
ControllerRole::~ControllerRole() {
  stop();
}

Result<std::unique_ptr<ControllerRole>> ControllerRole::start(const ControllerOptions& options,
                                                              const Neighbours& neighbours) {
  std::unique_ptr<ControllerRole> role(new ControllerRole());
  Impl& impl = *role->impl_;
  impl.options = options;
  impl.neighbours = neighbours;
  if (auto joined = impl.join_pool(); !joined) return joined.error();
  if (auto opened = impl.open_records(); !opened) return opened.error();
  impl.start_store();
  impl.start_manager();
  if (auto started = impl.start_ng(); !started) return started.error();
  impl.tick();
  impl.thread = std::thread([&impl] { impl.io.run(); });
  return role;
}

std::vector<std::string> ControllerRole::missing() const {
  const auto view = impl_->user->view();
  if (!view.ever_filled) return {"controller: no registrar has answered yet"};
  for (const auto& element : view.elements) {
    if (!element.drained && !element.full()) return {};
  }
  return {"controller: no usable relay in pool " + impl_->options.pool};
}

void ControllerRole::write_metrics(MetricPage& page) const {
  if (impl_->stopped) return;
  control::write_metrics(page, impl_->manager_counts(), impl_->options.max_calls);
  control::write_metrics(page, impl_->server->counts());
  static constexpr std::string_view kName = "rtpool_ng_request_seconds";
  static constexpr std::string_view kHelp =
      "Time from a request's arrival to its reply; for offers, the set-up time.";
  impl_->offer_times.write(page, kName, kHelp, {{"command", "offer"}});
  impl_->answer_times.write(page, kName, kHelp, {{"command", "answer"}});
  impl_->other_times.write(page, kName, kHelp, {{"command", "other"}});
  const auto view = impl_->user->view();
  std::map<std::string_view, std::uint64_t> states{
      {"up", 0}, {"suspect", 0}, {"drained", 0}, {"full", 0}};
  for (const auto& element : view.elements) ++states[state_of(element)];
  for (const auto& [state, count] : states)
    page.gauge("rtpool_pool_relays", "Relays of the pool as this controller sees it, by state.",
               static_cast<double>(count), {{"state", state}});
  page.gauge("rtpool_pool_view_age_seconds", "Since a registrar last confirmed the view.",
             std::chrono::duration<double>(view.age).count());
  page.gauge("rtpool_pool_registrars_in_contact", "Registrars that answer.",
             static_cast<double>(view.registrars_in_contact));
}

void ControllerRole::write_status(nlohmann::json& status) const {
  const auto counts = impl_->manager_counts();
  status["calls"] = {
      {"current", counts.calls}, {"created", counts.created}, {"limit", impl_->options.max_calls}};
  status["controller"] = {{"ng", impl_->options.ng.to_string()},
                          {"pool", impl_->options.pool},
                          {"store_reached", impl_->store_reached.load()},
                          {"unsaved_calls", counts.unsaved}};
}

std::optional<nlohmann::json> ControllerRole::calls(const CallQuery& query) {
  if (impl_->stopped) return std::nullopt;
  auto gathering = std::make_shared<Gathering>();
  auto complete = gathering->complete.get_future();
  boost::asio::post(impl_->io, [this, gathering, query] { impl_->gather(gathering, query); });
  if (complete.wait_for(kPatience) != std::future_status::ready)
    return nlohmann::json{{"error", "the relays did not answer in time"},
                          {"total", 0},
                          {"calls", nlohmann::json::array()}};
  return complete.get();
}

std::optional<nlohmann::json> ControllerRole::call(const std::string& call_id) {
  if (impl_->stopped) return std::nullopt;
  auto answer = std::make_shared<std::promise<nlohmann::json>>();
  auto known = answer->get_future();
  boost::asio::post(impl_->io, [this, answer, call_id] {
    if (!impl_->manager) return answer->set_value(nullptr);
    impl_->manager->describe(call_id, monotonic_now(), [answer, call_id](const ng::Value& report) {
      if (report.find("tags") == nullptr) return answer->set_value(nullptr);
      answer->set_value(call_json(call_id, report, unix_seconds_now()));
    });
  });
  if (known.wait_for(kPatience) != std::future_status::ready)
    return nlohmann::json{{"error", "the relay did not answer in time"}};
  return known.get();
}

std::optional<nlohmann::json> ControllerRole::pool() {
  const auto view = impl_->user->view();
  nlohmann::json relays = nlohmann::json::array();
  for (const auto& element : view.elements) relays.push_back(element_json(element));
  return nlohmann::json{
      {"pool", impl_->options.pool},
      {"policy", pool::name_of(view.policy)},
      {"in_contact", view.registrars_in_contact > 0},
      {"registrars", view.registrars},
      {"registrars_in_contact", view.registrars_in_contact},
      {"panic", view.panic},
      {"view_age_ms", std::chrono::duration_cast<std::chrono::milliseconds>(view.age).count()},
      {"relays", std::move(relays)}};
}

void ControllerRole::stop() {
  if (impl_->stopped.exchange(true)) return;
  if (impl_->thread.joinable()) {
    boost::asio::post(impl_->io, [impl = impl_.get()] {
      impl->server.reset();
      impl->timer.cancel();
      impl->relays->stop();
      if (impl->local_relay) impl->local_relay->stop();
      impl->manager.reset();
      impl->local_relay.reset();
      impl->relays.reset();
      impl->records->stop();
      impl->work.reset();
      impl->io.stop();
    });
    impl_->thread.join();
  }
  if (impl_->user) impl_->user->stop();
}

}  // namespace rtpool::control
