#include "control/app/roles/registrar_role.h"

#include <map>

#include "control/app/errc.h"
#include "control/app/log.h"
#include "control/app/roles/pool_json.h"
#include "control/app/roles/pool_log.h"
#include "control/app/system_time.h"
#include "pool/etcd_store.h"
#include "pool/memory_store.h"

namespace rtpool::control {

struct RegistrarRole::Impl {
  std::string store;  // as --store says
  std::unique_ptr<pool::RegistrarServer> server;
};

namespace {

// `text` has been checked by the command line.
Result<std::unique_ptr<pool::Store>> open_store(const std::string& text) {
  if (text == "memory") return std::make_unique<pool::MemoryStore>();
  auto url = pool::parse_etcd_url(text);
  if (!url) return url.error();
  pool::EtcdStore::Options o;
  o.url = std::move(*url);
  o.log = pool_log("store");
  auto opened = pool::EtcdStore::open(std::move(o));
  if (!opened) return opened.error();
  return std::unique_ptr<pool::Store>(std::move(*opened));
}

}  // namespace

RegistrarRole::RegistrarRole() : impl_(std::make_unique<Impl>()) {}
RegistrarRole::~RegistrarRole() {
  stop();
}

Result<std::unique_ptr<RegistrarRole>> RegistrarRole::start(const RegistrarOptions& options) {
  std::unique_ptr<RegistrarRole> role(new RegistrarRole());
  pool::RegistrarServer::Options o;
  o.listen = options.listen.to_string();
  o.core.heartbeat_interval = options.heartbeat_interval;
  o.core.missed_heartbeats = options.missed_heartbeats;
  o.core.fence = options.fence;
  o.core.settle_time = options.settle_time;
  o.core.flaps.free_returns = options.flap_returns;
  o.core.flaps.hold_max = options.flap_hold;
  o.core.flaps.quiet = options.flap_quiet;
  o.seed = random_seed();
  o.log = pool_log("registrar");
  o.tls = options.tls;
  auto store = open_store(options.store);
  if (!store) return Error(AppErrc::start_failed, "registrar: --store: " + store.error().detail);
  role->impl_->store = options.store;
  o.store = std::move(*store);
  const auto limits = o.core;
  auto started = pool::RegistrarServer::start(std::move(o));
  if (!started) return Error(AppErrc::start_failed, "registrar: " + started.error().message());
  role->impl_->server = std::move(*started);
  log(Severity::info, "registrar's limits",
      {{"pools", static_cast<std::uint64_t>(limits.max_pools)},
       {"relays", static_cast<std::uint64_t>(limits.max_elements)},
       {"watchers", static_cast<std::uint64_t>(limits.max_watchers)},
       {"flap_histories", static_cast<std::uint64_t>(limits.flaps.max_histories)}});
  return role;
}

std::uint16_t RegistrarRole::port() const {
  return impl_->server->port();
}

pool::RegistrarServer& RegistrarRole::server() {
  return *impl_->server;
}

std::vector<std::string> RegistrarRole::missing() const {
  // It listens from the start; a pool without relays is the controllers' and relays' to miss.
  const auto trouble = impl_->server->store_state().trouble;
  if (!trouble.empty()) return {"registrar: the store: " + trouble};
  return {};
}

void RegistrarRole::write_metrics(MetricPage& page) const {
  const auto counts = impl_->server->counts();
  const auto value = [](std::uint64_t n) { return static_cast<double>(n); };
  page.gauge("rtpool_registrar_pools", "Pools in the handlespace.", value(counts.pools));
  page.gauge("rtpool_registrar_watchers", "Controllers that watch.", value(counts.watchers));
  page.counter("rtpool_registrar_registrations_total", "Registrations granted.",
               value(counts.registrations));
  page.counter("rtpool_registrar_heartbeats_total", "Heartbeats heard.", value(counts.heartbeats));
  page.counter("rtpool_registrar_deaths_total", "Relays declared dead.", value(counts.deaths));
  page.counter("rtpool_registrar_damped_total", "Returns of relays that were damped.",
               value(counts.damped));
  page.counter("rtpool_registrar_reports_total", "Reports that a relay is unreachable.",
               value(counts.reports));
  page.counter("rtpool_tls_refused_peers_total",
               "Requests refused for the role that the peer's certificate lacks.",
               value(impl_->server->refused_peers()), {{"service", "registrar"}});
  const auto store = impl_->server->store_state();
  page.counter("rtpool_registrar_store_operations_total", "Operations asked of the store.",
               value(store.operations));
  page.counter("rtpool_registrar_store_failures_total", "Those that the store failed or refused.",
               value(store.failures));
  page.gauge("rtpool_registrar_store_up", "1 while the store answers.",
             store.trouble.empty() ? 1 : 0);
  if (store.records) {
    page.gauge("rtpool_registrar_records", "Call records in the store, where that is its memory.",
               value(*store.records));
  }
  std::map<std::string_view, std::uint64_t> states{
      {"up", 0}, {"suspect", 0}, {"drained", 0}, {"damped", 0}, {"full", 0}};
  for (const auto& pool : impl_->server->list()) {
    for (const auto& listed : pool.elements) ++states[state_of(listed.element)];
  }
  for (const auto& [state, count] : states)
    page.gauge("rtpool_registrar_relays", "Relays in all pools, by state.", value(count),
               {{"state", state}});
}

void RegistrarRole::write_status(nlohmann::json& status) const {
  const auto counts = impl_->server->counts();
  status["registrar"] = {{"listen", impl_->server->endpoint()},
                         {"pools", counts.pools},
                         {"relays", counts.elements},
                         {"watchers", counts.watchers},
                         {"store", impl_->store},
                         {"store_trouble", impl_->server->store_state().trouble}};
}

std::optional<nlohmann::json> RegistrarRole::pool() {
  const auto pools = impl_->server->list();
  if (pools.empty())
    return nlohmann::json{
        {"pool", ""}, {"relays", nlohmann::json::array()}, {"pools", nlohmann::json::array()}};
  // The first pool as a controller would show it, and all of them.
  auto answer = pool_json(pools.front());
  answer["pools"] = nlohmann::json::array();
  for (const auto& pool : pools) answer["pools"].push_back(pool_json(pool));
  return answer;
}

void RegistrarRole::stop() {
  if (impl_->server) impl_->server->stop();
}

}  // namespace rtpool::control
