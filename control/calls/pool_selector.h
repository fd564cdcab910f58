// The pool, as the call manager asks for relays. Local: answers come from the client's cached view.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "control/calls/call_manager.h"
#include "pool/client.h"
#include "pool/errc.h"

namespace rtpool::control {

class PoolSelector final : public RelaySelector {
 public:
  // The client outlives the selector.
  explicit PoolSelector(pool::PoolUserClient& client) : client_(client) {}

  Result<RelayRef> select(std::span<const std::string> exclude) override {
    std::vector<pool::PoolElementId> ids;
    for (const auto& name : exclude) ids.push_back(pool::element_id(name));
    const auto selected = client_.select(ids);
    if (!selected) {
      const bool full = selected.error().code == make_error_code(pool::Errc::all_full);
      return Error(full ? RelayErrc::all_full : RelayErrc::none_left);
    }
    return RelayRef{selected->name, selected->endpoint, selected->epoch};
  }

  void report_unreachable(const RelayRef& relay) override {
    client_.report_unreachable(pool::element_id(relay.id));
  }

  [[nodiscard]] bool alive(const RelayRef& relay) const override {
    const auto found = client_.find(relay.id);
    return found && found->epoch == relay.epoch;
  }

 private:
  pool::PoolUserClient& client_;
};

}  // namespace rtpool::control
