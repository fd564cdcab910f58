// What a process serves over HTTP, whatever roles it has: the dashboard, /metrics, /healthz,
// /readyz and /api.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "control/app/http_server.h"
#include "control/app/roles/role.h"

namespace rtpool::control {

// The roles outlive the server. `command` is shown as what the process is.
void add_routes(HttpServer& server, const std::string& command, const std::vector<Role*>& roles);

}  // namespace rtpool::control
