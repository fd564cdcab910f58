// What an operator asks from a terminal: tables for people, JSON for programs. They return the exit
// status: 0, or 1 with one line on stderr when nobody answers.
#pragma once

#include "control/app/config.h"

namespace rtpool::control {

int list_pool(const ClientOptions& options);
int list_calls(const ClientOptions& options);

}  // namespace rtpool::control
