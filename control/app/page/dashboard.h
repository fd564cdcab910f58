// The dashboard: one page without outside resources, kept in the program. It reads /api/status,
// /api/pool and /api/calls once a second.
#pragma once

#include <string_view>

namespace rtpool::control {

std::string_view dashboard_page();

}  // namespace rtpool::control
