// What the table of options is put together from.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "control/app/config.h"
#include "control/app/errc.h"
#include "control/app/values.h"

namespace rtpool::control {

struct Row {
  std::vector<Command> commands;
  Option option;
};

inline auto duration_within(Duration least, Duration most, bool zero_is_none) {
  return [=](std::string_view text) -> Result<Duration> {
    auto value = parse_duration(text);
    if (!value || (zero_is_none && value->count() == 0)) return value;
    if (*value < least || *value > most) {
      return Error(AppErrc::usage, "is out of range; write " + format_duration(least) + " to " +
                                       format_duration(most) +
                                       (zero_is_none ? ", or 0 for none" : ""));
    }
    return value;
  };
}

inline auto number_within(std::uint64_t least, std::uint64_t most) {
  return [=](std::string_view text) { return parse_number(text, least, most); };
}

inline auto one_of(std::initializer_list<std::string_view> words) {
  return
      [words = std::vector<std::string_view>(words)](std::string_view text) -> Result<std::string> {
        std::string list;
        for (const auto word : words) {
          if (text == word) return std::string(text);
          list.append(list.empty() ? "" : word == words.back() ? " or " : ", ").append(word);
        }
        return Error(AppErrc::usage, "is unknown; write " + list);
      };
}

std::string join(const std::vector<std::string>& items);

Option duration_option(std::string_view name, std::string_view help, std::string_view example,
                       Duration& value, Duration least, Duration most, bool zero_is_none);
Option switch_option(std::string_view name, std::string_view help, bool& value);

// One for each core that this process may run on.
std::uint32_t default_shards();

// limit_options.cc: beyond what a relay refuses new calls.
void add_limits(Options& o, std::vector<Row>& rows);
// media_options.cc: where a relay receives media, and how it forwards.
void add_media(Options& o, std::vector<Row>& rows);

}  // namespace rtpool::control
