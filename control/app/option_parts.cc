#include "control/app/option_parts.h"

namespace rtpool::control {

std::string join(const std::vector<std::string>& items) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ",") + item;
  return text;
}

Option duration_option(std::string_view name, std::string_view help, std::string_view example,
                       Duration& value, Duration least, Duration most, bool zero_is_none) {
  return {.name = name,
          .value_name = "TIME",
          .help = help,
          .example = example,
          .set = setter(duration_within(least, most, zero_is_none),
                        [&value](Duration d) { value = d; }),
          .show = [&value] { return format_duration(value); }};
}

Option switch_option(std::string_view name, std::string_view help, bool& value) {
  return {.name = name,
          .value_name = "",
          .help = help,
          .set = setter(parse_bool, [&value](bool b) { value = b; }),
          .show = [&value] { return std::string(value ? "true" : "false"); }};
}

}  // namespace rtpool::control
