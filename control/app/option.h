// One option of the program: a long flag and a key of the same name in the configuration file. A
// table of these is all that command line, file, `--help` and the start-up print-out know of
// options.
//
// Built over the variables that it sets, which must outlive it; used while starting, by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/app/values.h"
#include "relay/base/result.h"

namespace rtpool::control {

struct Option {
  std::string_view name;  // "media-ports": the flag is --media-ports, the key media-ports
  std::string_view
      value_name;  // "MIN-MAX"; empty for a switch, which takes no value on the command line
  std::string_view help;
  std::string_view example;  // a value worth copying; may be empty
  bool repeatable = false;   // each use adds; a file gives an array
  bool required = false;

  // Takes a value; an error's detail is what is wrong with it, as values.h words it.
  std::function<Result<void>(std::string_view)> set;
  // The value in force as it would be written. Before anything is set this is the default.
  std::function<std::string()> show;
  // Repeatable only: forgets earlier values, because the command line replaces what the file
  // listed.
  std::function<void()> clear = [] {};
};

// Makes Option::set of a parser from values.h and something that stores what it gives.
template <class Parser, class Store>
std::function<Result<void>(std::string_view)> setter(Parser parse, Store store) {
  return [parse, store](std::string_view text) -> Result<void> {
    auto value = parse(text);
    if (!value) return value.error();
    store(std::move(*value));
    return {};
  };
}

// A value given for an option, and where it was given.
struct GivenValue {
  std::string name;
  std::string text;
  std::string where;  // "" for the command line, "FILE:LINE: " for a file
};

// Applies the file's values, then the command line's. The first wrong one ends it; its error's
// detail says which.
Result<void> apply_values(const std::vector<Option>& table,
                          const std::vector<GivenValue>& from_file,
                          const std::vector<GivenValue>& from_flags);

// Reads a configuration file: a flat TOML table of option names. Whether a name is an option is
// checked against the table; `other_names` are options of other commands, which get a clearer error
// than a slip of the pen.
Result<std::vector<GivenValue>> read_config_file(const std::string& path,
                                                 const std::vector<Option>& table,
                                                 std::string_view command,
                                                 const std::vector<std::string_view>& other_names);

// The options' part of `--help`.
std::string describe_options(const std::vector<Option>& table);

}  // namespace rtpool::control
