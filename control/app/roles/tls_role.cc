#include "control/app/roles/tls_role.h"

#include <algorithm>

#include "control/app/errc.h"
#include "control/app/log.h"
#include "control/app/roles/pool_log.h"

namespace rtpool::control {
namespace {

using pool::PeerRole;

std::vector<PeerRole> roles_of(Command command) {
  switch (command) {
    case Command::registrar:
      return {PeerRole::registrar};
    case Command::relay:
      return {PeerRole::relay};
    case Command::controller:
      return {PeerRole::controller};
    case Command::serve:
      return {PeerRole::registrar, PeerRole::relay, PeerRole::controller};
    default:
      return {};
  }
}

Error unfit(const Options& options, const std::string& what) {
  return {AppErrc::start_failed, options.tls_files.certificate + ": " + what};
}

Result<void> check_fitness(const Options& options, const pool::TlsMaterial& material) {
  const auto& identity = material.identity;
  for (const PeerRole role : roles_of(options.command)) {
    if (identity.holds(role)) continue;
    return unfit(options, "`rtpool " + std::string(to_string(options.command)) +
                              "` takes urn:rtpool:" + std::string(pool::to_string(role)) +
                              " among the certificate's names; this is " + identity.describe());
  }
  if (!pool::fits_both_ends(material.certificate.get()))
    return unfit(options, "its key usage has to allow both serverAuth and clientAuth");
  const bool is_relay = options.command == Command::relay || options.command == Command::serve;
  if (is_relay && !identity.may_be_relay(options.relay.id))
    return unfit(options, "--id " + options.relay.id +
                              " takes urn:rtpool:relay:" + options.relay.id +
                              " or urn:rtpool:relay; this is " + identity.describe());
  if (is_relay) {
    const std::string target = options.relay.advertise.empty() ? options.relay.listen.to_string()
                                                               : options.relay.advertise;
    if (!pool::names_target(material.certificate.get(), target))
      return unfit(options, "controllers connect to " + target +
                                ", which is not among the certificate's names");
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<pool::TlsContext>> open_tls(const Options& options) {
  auto opened = pool::TlsContext::open({.files = options.tls_files, .log = pool_log("tls")});
  if (!opened) return Error(AppErrc::start_failed, "TLS: " + opened.error().detail);
  const auto material = (*opened)->current();
  if (auto ok = check_fitness(options, *material); !ok) return ok.error();
  log(Severity::info, "TLS is in force",
      {{"identity", material->identity.describe()},
       {"expires", pool::format_utc(material->certificate_expiry)}});
  return opened;
}

void TlsRole::write_metrics(MetricPage& page) const {
  const auto state = tls_->state();
  page.gauge("rtpool_tls_certificate_expiry_seconds",
             "When the certificate in force expires, Unix time.",
             static_cast<double>(state.certificate_expiry), {{"certificate", "own"}});
  page.gauge("rtpool_tls_certificate_expiry_seconds", "",
             static_cast<double>(state.authority_expiry), {{"certificate", "authority"}});
  page.counter("rtpool_tls_reloads_total", "Times that the TLS files were read again.",
               static_cast<double>(state.reloads));
  page.counter("rtpool_tls_reload_failures_total",
               "Times that the TLS files were read again and not good.",
               static_cast<double>(state.failures));
  page.counter("rtpool_tls_refused_peers_total",
               "Requests refused for the role that the peer's certificate lacks.",
               static_cast<double>(http_.refused_peers()), {{"service", "http"}});
}

void TlsRole::write_status(nlohmann::json& status) const {
  const auto state = tls_->state();
  status["tls"] = {{"expires", pool::format_utc(state.certificate_expiry)},
                   {"reloads", state.reloads},
                   {"failure", state.last_failure}};
}

}  // namespace rtpool::control
