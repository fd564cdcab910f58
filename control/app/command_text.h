// What each command is called, takes and does, in words: for `--help` and for sentences about
// commands.
#pragma once

#include <span>
#include <string_view>

#include "control/app/config.h"

namespace rtpool::control {

struct CommandText {
  Command command;
  std::string_view words;     // as typed
  std::string_view argument;  // what must follow: "CALL-ID"; empty: only options do
  std::string_view summary;   // a line
  std::string_view teach;     // what to know before using it, and examples
};

// In the order that they are listed in.
std::span<const CommandText> command_texts();
const CommandText& text_of(Command command);

}  // namespace rtpool::control
