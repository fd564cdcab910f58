// The relay: an Engine, its gRPC service, and its registration in the pool.
//
// Started and stopped on the main thread. Stopping deregisters first, so that no new call comes,
// then ends the service and the calls. Errors at start name what could not be had.
#pragma once

#include <memory>
#include <string>

#include "control/app/config.h"
#include "control/app/roles/role.h"
#include "control/calls/relay_service.h"
#include "relay/base/result.h"

namespace rtpool::control {

class RelayRole final : public Role {
 public:
  static Result<std::unique_ptr<RelayRole>> start(const RelayOptions& options);
  ~RelayRole() override;

  [[nodiscard]] std::vector<std::string> missing() const override;
  void write_metrics(MetricPage& page) const override;
  void write_status(nlohmann::json& status) const override;
  std::optional<nlohmann::json> calls(const CallQuery& query) override;
  // Deregisters: no new call comes, those in progress go on. Before stop(), where others must stop
  // in between.
  void leave();
  void stop() override;

  // For a controller in this process, until stop(): the service, and its address as the pool is
  // told.
  [[nodiscard]] RelayServer& server();
  [[nodiscard]] const std::string& address() const;

 private:
  RelayRole();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rtpool::control
