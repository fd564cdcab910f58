// Runs the roles of a command until a signal ends them.
#pragma once

#include "control/app/config.h"

namespace rtpool::control {

// Starts what `options` ask for, serves until SIGINT or SIGTERM, stops, and returns the exit
// status. What could not be started is one line on stderr and status 1, with everything that had
// been started stopped. SIGHUP reads the log level and the TLS files again; a second SIGINT or
// SIGTERM ends the process at once.
int run_program(Options options);

}  // namespace rtpool::control
