// The subcommands of rtpool-bench, each in a file of its own. add_*() declares a subcommand with
// its options; what it gives runs it after parsing and returns the exit status.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "bench/load/contender.h"

namespace rtpool::bench {

constexpr int kProblem = 1, kUsage = 2;

using Command = std::function<int()>;

Command add_versus(CLI::App& app);
Command add_setup(CLI::App& app);
Command add_scale(CLI::App& app);

// Options that every command that starts relays has.
void add_relay_options(CLI::App& command, ContenderOptions& options);

// Lines on stderr that say what is being done: on a terminal one line that is redrawn, elsewhere
// nothing.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  void show(const std::string& what);

 private:
  bool terminal_, shown_ = false;
};

// Writes a file; false with a line on stderr when that fails.
bool write_file(const std::string& path, const std::string& text);

}  // namespace rtpool::bench
