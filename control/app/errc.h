// What can go wrong while the program starts or an operator's command runs. Each Error's detail is
// the one line that people are shown; the code decides the exit status.
#pragma once

#include "relay/base/result.h"

namespace rtpool::control {

enum class AppErrc {
  usage = 1,     // command line or configuration file: exit status 2
  start_failed,  // something could not be had at start (address, ring, limit): exit status 1
  unreachable,   // an operator's command found nobody to ask: exit status 1
};
ErrorCode make_error_code(AppErrc errc);

}  // namespace rtpool::control

template <>
struct boost::system::is_error_code_enum<rtpool::control::AppErrc> : std::true_type {};
