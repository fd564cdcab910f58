// What an operator asks from a terminal: tables for people, JSON for programs (keys in
// docs/operations.md). They print, and return the exit status:
//   0  done
//   1  nobody answers, or it failed; one line on stderr says what
//   2  a wrong command line (config.h finds most of them)
//   3  what was asked for is not there, or it was done in part only
#pragma once

#include <string>

#include "control/app/config.h"

namespace rtpool::control {

inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;
inline constexpr int kNotFound = 3;
inline constexpr int kPartly = 3;

// `command` is one of is_operator_command().
int run_operator_command(Command command, const ClientOptions& options);

int list_pools(const ClientOptions& options);
int show_pool(const ClientOptions& options);
int watch_pool(const ClientOptions& options);
int list_calls(const ClientOptions& options);
int show_call(const ClientOptions& options);
int explain_call(const ClientOptions& options);
int set_drained(const ClientOptions& options, bool drained);

// "rtpool COMMAND: what" on stderr, printable; returns `status`.
int fail(std::string_view command, const std::string& what, int status = kFailed);
// The same without ending.
void warn(std::string_view command, const std::string& what);

}  // namespace rtpool::control
