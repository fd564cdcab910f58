// The names and units of what the roles count, in one place: they are the operator's interface.
#pragma once

#include <nlohmann/json.hpp>

#include "control/app/metrics.h"
#include "control/calls/call_manager.h"
#include "control/ng/server.h"
#include "relay/engine.h"

namespace rtpool::control {

void write_metrics(MetricPage& page, const EngineCounts& counts, const EngineOptions& options);
void write_metrics(MetricPage& page, const CallManagerCounts& counts, std::uint32_t max_calls);
void write_metrics(MetricPage& page, const ng::ServerCounts& counts);

// The "engine" object of /api/status: sums over the shards.
nlohmann::json engine_json(const EngineCounts& counts);

}  // namespace rtpool::control
