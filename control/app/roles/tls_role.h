// The process's TLS as HTTP shows it: when certificates expire, how often they were read again, who
// was refused. No role of its own; it is asked as one.
#pragma once

#include <memory>

#include "control/app/config.h"
#include "control/app/http_server.h"
#include "control/app/roles/role.h"
#include "pool/tls_context.h"

namespace rtpool::control {

class TlsRole final : public Role {
 public:
  // `http` outlives it.
  TlsRole(std::shared_ptr<const pool::TlsContext> tls, const HttpServer& http)
      : tls_(std::move(tls)), http_(http) {}

  [[nodiscard]] std::vector<std::string> missing() const override { return {}; }
  void write_metrics(MetricPage& page) const override;
  void write_status(nlohmann::json& status) const override;
  void stop() override {}

 private:
  std::shared_ptr<const pool::TlsContext> tls_;
  const HttpServer& http_;
};

// Opens the files for what `command` does: the certificate must hold the roles that it takes, and
// for a relay be good for its name and for the address that controllers connect to. Errors:
// AppErrc::start_failed, with the file and what is wrong.
Result<std::shared_ptr<pool::TlsContext>> open_tls(const Options& options);

}  // namespace rtpool::control
