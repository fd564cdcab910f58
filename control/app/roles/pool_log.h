// The pool's log callback, which knows no logging library, onto this program's log.
#pragma once

#include <string>
#include <string_view>

#include "control/app/log.h"
#include "pool/client.h"

namespace rtpool::control {

// `part` says whose lines they are.
inline pool::Log pool_log(std::string part) {
  return [part = std::move(part)](pool::LogLevel level, std::string_view text) {
    const Severity severity = level == pool::LogLevel::debug     ? Severity::debug
                              : level == pool::LogLevel::info    ? Severity::info
                              : level == pool::LogLevel::warning ? Severity::warning
                                                                 : Severity::error;
    log(severity, text, {{"part", part}});
  };
}

}  // namespace rtpool::control
