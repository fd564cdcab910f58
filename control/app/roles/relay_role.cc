#include "control/app/roles/relay_role.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <future>
#include <mutex>
#include <optional>

#include "control/app/errc.h"
#include "control/app/log.h"
#include "control/app/refusal_log.h"
#include "control/app/roles/call_json.h"
#include "control/app/roles/pool_log.h"
#include "control/app/roles/role_metrics.h"
#include "control/app/system_time.h"
#include "pool/client.h"
#include "relay/engine.h"

namespace rtpool::control {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(800);  // of an HTTP request for the engine

// Rates are never the same twice; a report that says so is not worth sending to every controller.
constexpr double kRateSteps = 256;

// How much of the relay is in use: of whatever is scarcest. All of it exactly while it refuses
// calls.
std::uint32_t load_of(const Assessment& state) {
  if (state.refusal != Refusal::none) return pool::kFullLoad;
  double load = 0;
  for (std::size_t i = 0; i < kRefusals; ++i) {
    const auto limit = static_cast<Refusal>(i);
    const bool rate =
        limit == Refusal::packets || limit == Refusal::bandwidth || limit == Refusal::busy;
    load =
        std::max(load, rate ? std::floor(state.used[i] * kRateSteps) / kRateSteps : state.used[i]);
  }
  return static_cast<std::uint32_t>(std::min(load, 0.999) * static_cast<double>(pool::kFullLoad));
}

// States of calls as they come in from the engine's thread, waited for by an HTTP thread that may
// give up.
struct Gathering {
  std::mutex mutex;
  nlohmann::json calls = nlohmann::json::array();
  std::size_t outstanding = 0;
  std::promise<void> complete;

  void add(const Result<media::CallState>& state) {
    const std::lock_guard lock(mutex);
    if (state) calls.push_back(call_json(*state));
    if (--outstanding == 0) complete.set_value();
  }
};

}  // namespace

struct RelayRole::Impl {
  RelayOptions options;
  std::string address;  // as the pool is told
  std::unique_ptr<Engine> engine;
  std::unique_ptr<RelayServer> server;
  std::unique_ptr<pool::PoolElementClient> element;
  std::atomic<std::uint64_t> epoch{0};
  std::atomic<bool> stopped{false};

  Result<void> start_engine();
  Result<void> start_server();
  Result<void> join_pool();
  void on_state(const pool::PoolElementClient::State& state);
  bool was_registered = false;  // for the pool client's callbacks alone

  // Asked by every heartbeat, and by the engine when it begins to refuse calls.
  Assessment look_at_load(const Engine& of);
  std::mutex refusal_mutex;
  RefusalLog refusal_log;
};

Result<void> RelayRole::Impl::start_engine() {
  auto started = Engine::start(options.engine);
  if (!started) return Error(AppErrc::start_failed, "relay: " + started.error().message());
  engine = std::move(*started);
  const EngineLimits limits = engine->limits();
  if (!limits.io_uring_missing.empty()) {
    log(Severity::warning, "media is forwarded by epoll, which takes more CPU",
        {{"reason", limits.io_uring_missing}});
  }
  log(Severity::info, "media engine",
      {{"io", io::to_string(limits.io)},
       {"shards", options.engine.shards},
       {"sockets_per_shard", limits.sockets_per_shard},
       {"descriptors", limits.descriptors},
       {"prebound_ports", limits.prebound_ports},
       {"fixed_files", limits.fixed_files ? "yes" : "no"},
       {"min_wait", limits.min_wait ? "yes" : "no"},
       {"connected_sends", limits.connected_sends ? "yes" : "no"}});
  engine->set_on_refusal([this, e = engine.get()](Refusal) { look_at_load(*e); });
  for (const auto& media : options.engine.media_addresses) {
    log(Severity::info, "media address",
        {{"name", media.name},
         {"local", media.local.to_string()},
         {"advertised", media.advertised.to_string()},
         {"ports", format_port_range(options.engine.ports)}});
  }
  return {};
}

Result<void> RelayRole::Impl::start_server() {
  RelayServerOptions o;
  o.listen = options.listen.to_string();
  o.epoch = [this] { return epoch.load(); };
  o.tls = options.tls;
  o.log = pool_log("relay");
  auto started = RelayServer::start(o, *engine);
  if (!started) return Error(AppErrc::start_failed, "relay: " + started.error().message());
  server = std::move(*started);
  options.listen.port = server->port();
  address = options.advertise.empty() ? options.listen.to_string() : options.advertise;
  log(Severity::info, "relay listens",
      {{"listen", options.listen.to_string()}, {"address", address}, {"id", options.id}});
  return {};
}

Assessment RelayRole::Impl::look_at_load(const Engine& of) {
  const Assessment state = of.headroom();
  std::optional<RefusalLog::Line> line;
  {
    const std::lock_guard lock(refusal_mutex);
    line = refusal_log.look(monotonic_now(), state.refusal, of.refused());
  }
  if (!line) return state;
  if (line->refusal == Refusal::none) {
    log(Severity::info, "new calls are taken again", {{"refused", line->refused}});
  } else {
    log(Severity::warning, "new calls are refused",
        {{"reason", to_string(line->refusal)}, {"limit", of.describe_limit(line->refusal)}});
  }
  return state;
}

void RelayRole::Impl::on_state(const pool::PoolElementClient::State& state) {
  epoch = state.epoch;
  if ((state.registered > 0) != was_registered) {
    was_registered = state.registered > 0;
    log(was_registered || stopped ? Severity::info : Severity::warning,
        was_registered ? "registered in the pool" : "no longer registered in the pool",
        {{"pool", options.pool}, {"id", options.id}, {"epoch", state.epoch}});
  }
  if (state.refused)
    log(Severity::error, "the registration is refused", {{"reason", state.refused->message()}});
}

Result<void> RelayRole::Impl::join_pool() {
  const auto policy = pool::policy_of(options.policy);
  if (!policy) return Error(AppErrc::start_failed, "relay: " + policy.error().message());
  pool::PoolElementClient::Options o;
  o.registrars = options.registrars;
  o.registration.pool = options.pool;
  o.registration.name = options.id;
  o.registration.endpoint = address;
  o.registration.zone = options.zone;
  o.registration.policy = *policy;
  o.registration.values = {
      .weight = options.weight, .priority = options.priority, .capacity = options.engine.max_calls};
  o.load = [this] {
    return pool::PoolElementClient::LoadReport{load_of(look_at_load(*engine)),
                                               static_cast<std::uint32_t>(engine->size())};
  };
  o.on_state = [this](const auto& state) { on_state(state); };
  o.log = pool_log("relay");
  o.tls = options.tls;
  auto started = pool::PoolElementClient::start(std::move(o));
  if (!started) return Error(AppErrc::start_failed, "relay: " + started.error().message());
  element = std::move(*started);
  return {};
}

RelayRole::RelayRole() : impl_(std::make_unique<Impl>()) {}
RelayRole::~RelayRole() {
  stop();
}

Result<std::unique_ptr<RelayRole>> RelayRole::start(const RelayOptions& options) {
  std::unique_ptr<RelayRole> role(new RelayRole());
  role->impl_->options = options;
  for (const auto step : {&Impl::start_engine, &Impl::start_server, &Impl::join_pool}) {
    if (auto started = (role->impl_.get()->*step)(); !started) return started.error();
  }
  return role;
}

std::vector<std::string> RelayRole::missing() const {
  const auto state = impl_->element->state();
  if (state.registered > 0 && state.epoch != 0) return {};
  if (state.refused) return {"relay: registration refused: " + state.refused->message()};
  return {"relay: not registered at any registrar"};
}

void RelayRole::write_metrics(MetricPage& page) const {
  if (impl_->stopped) return;
  control::write_metrics(page, impl_->engine->counts(), impl_->engine->options());
  page.gauge("rtpool_io_info", "What media is forwarded by; always 1.", 1,
             {{"io", io::to_string(impl_->engine->limits().io)}});
  const auto state = impl_->element->state();
  page.gauge("rtpool_relay_registrations", "Registrars that carry this relay's registration.",
             static_cast<double>(state.registered));
  page.gauge("rtpool_relay_registrars", "Registrars that this relay is told to use.",
             static_cast<double>(state.registrars));
  page.counter("rtpool_tls_refused_peers_total",
               "Requests refused for the role that the peer's certificate lacks.",
               static_cast<double>(impl_->server->refused_peers()), {{"service", "relay"}});
  page.gauge("rtpool_relay_epoch", "Epoch of this relay's registration.",
             static_cast<double>(state.epoch));
}

void RelayRole::write_status(nlohmann::json& status) const {
  if (impl_->stopped) return;
  const auto counts = impl_->engine->counts();
  const auto state = impl_->element->state();
  status["engine"] = engine_json(counts);
  status["relay"] = {{"id", impl_->options.id},        {"pool", impl_->options.pool},
                     {"address", impl_->address},      {"epoch", state.epoch},
                     {"registered", state.registered}, {"drained", state.drained}};
  if (!status.contains("calls"))
    status["calls"] = {{"current", impl_->engine->size()},
                       {"created", counts.calls_created},
                       {"limit", impl_->engine->options().max_calls}};
}

std::optional<nlohmann::json> RelayRole::calls(const CallQuery& query) {
  if (impl_->stopped) return std::nullopt;
  auto keys = impl_->engine->list(impl_->engine->options().max_calls);
  std::erase_if(keys, [&](const std::string& key) { return key <= query.after; });
  std::sort(keys.begin(), keys.end());
  const bool more = keys.size() > query.limit;
  if (more) keys.resize(query.limit);
  auto gathering = std::make_shared<Gathering>();
  auto complete = gathering->complete.get_future();
  gathering->outstanding = keys.size();
  for (const auto& key : keys)
    impl_->engine->query(
        key, [gathering](const Result<media::CallState>& state) { gathering->add(state); });
  if (!keys.empty()) complete.wait_for(kPatience);
  const std::lock_guard lock(gathering->mutex);
  nlohmann::json answer{{"total", impl_->engine->size()}, {"calls", gathering->calls}};
  if (more) answer["next"] = to_hex(keys.back());
  return answer;
}

RelayServer& RelayRole::server() {
  return *impl_->server;
}

const std::string& RelayRole::address() const {
  return impl_->address;
}

void RelayRole::leave() {
  if (impl_->element) impl_->element->stop();
}

void RelayRole::stop() {
  if (impl_->stopped.exchange(true)) return;
  leave();
  if (impl_->server) impl_->server->stop();
  impl_->server.reset();
  impl_->engine.reset();
}

}  // namespace rtpool::control
