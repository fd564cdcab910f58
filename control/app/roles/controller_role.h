// The controller: the NG server, the call manager and its ways to the pool and to relays.
//
// All of it runs on one control thread of its own; the HTTP side asks that thread and waits at most
// a second for the answer. Started and stopped on the main thread. Stopping ends the NG server
// first; calls stay on their relays, which go on forwarding.
#pragma once

#include <memory>

#include "control/app/config.h"
#include "control/app/roles/registrar_role.h"
#include "control/app/roles/relay_role.h"
#include "control/app/roles/role.h"
#include "relay/base/result.h"

namespace rtpool::control {

// Roles in the same process, which the controller asks by function calls instead of gRPC. They
// outlive it.
struct Neighbours {
  RegistrarRole* registrar = nullptr;
  RelayRole* relay = nullptr;
};

class ControllerRole final : public Role {
 public:
  static Result<std::unique_ptr<ControllerRole>> start(const ControllerOptions& options,
                                                       const Neighbours& neighbours = {});
  ~ControllerRole() override;

  [[nodiscard]] std::vector<std::string> missing() const override;
  void write_metrics(MetricPage& page) const override;
  void write_status(nlohmann::json& status) const override;
  std::optional<nlohmann::json> calls(const CallQuery& query) override;
  std::optional<nlohmann::json> call(const std::string& call_id) override;
  std::optional<nlohmann::json> pool() override;
  void stop() override;

 private:
  ControllerRole();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rtpool::control
