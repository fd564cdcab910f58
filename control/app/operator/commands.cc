#include "control/app/operator/commands.h"

#include <cstdio>

#include "control/app/operator/terminal.h"
#include "relay/base/assert.h"

namespace rtpool::control {

void warn(std::string_view command, const std::string& what) {
  std::fprintf(stderr, "rtpool %s: %s\n", std::string(command).c_str(), printable(what).c_str());
}

int fail(std::string_view command, const std::string& what, int status) {
  warn(command, what);
  return status;
}

int run_operator_command(Command command, const ClientOptions& options) {
  switch (command) {
    case Command::pool_list:
      return list_pools(options);
    case Command::pool_show:
      return show_pool(options);
    case Command::pool_watch:
      return watch_pool(options);
    case Command::call_list:
      return list_calls(options);
    case Command::call_show:
      return show_call(options);
    case Command::call_explain:
      return explain_call(options);
    case Command::drain:
      return set_drained(options, true);
    case Command::undrain:
      return set_drained(options, false);
    case Command::registrar:
    case Command::relay:
    case Command::controller:
    case Command::serve:
    case Command::version:
    case Command::help:
      break;
  }
  RTPOOL_ASSERT(false);
  return kFailed;
}

}  // namespace rtpool::control
