// The registrar: the pool's membership over gRPC. Started and stopped on the main thread.
#pragma once

#include <memory>

#include "control/app/config.h"
#include "control/app/roles/role.h"
#include "pool/registrar_service.h"
#include "relay/base/result.h"

namespace rtpool::control {

class RegistrarRole final : public Role {
 public:
  static Result<std::unique_ptr<RegistrarRole>> start(const RegistrarOptions& options);
  ~RegistrarRole() override;

  [[nodiscard]] std::vector<std::string> missing() const override;
  void write_metrics(MetricPage& page) const override;
  void write_status(nlohmann::json& status) const override;
  std::optional<nlohmann::json> pool() override;
  [[nodiscard]] std::uint16_t port() const;
  // For a controller in this process, until stop().
  [[nodiscard]] pool::RegistrarServer& server();
  void stop() override;

 private:
  RegistrarRole();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rtpool::control
