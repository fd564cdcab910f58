#include "control/app/option.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "control/app/errc.h"

namespace rtpool::control {
namespace {

constexpr std::size_t kLargestFile = 1024 * 1024;

Error usage(std::string sentence) {
  return {AppErrc::usage, std::move(sentence)};
}

const Option* find_option(const std::vector<Option>& table, std::string_view name) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Option& o) { return o.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, 80)) out += c >= ' ' && c != 0x7f ? c : '?';
  return out + (text.size() > 80 ? "…\"" : "\"");
}

// As it was given, but for a URL with a password, which would end up in a journal.
std::string shown(std::string_view text) {
  const auto scheme = text.find("://");
  const bool secret =
      text.find('@') != std::string_view::npos || text.find("password=") != std::string_view::npos;
  if (scheme == std::string_view::npos || !secret) return quoted(text);
  return quoted(std::string(text.substr(0, scheme)) + "://...");
}

Result<void> apply_one(const std::vector<Option>& table, const GivenValue& given) {
  const Option* option = find_option(table, given.name);
  if (option == nullptr) return usage(given.where + "unknown option " + given.name);
  if (auto set = option->set(given.text); !set) {
    const std::string flag = given.where.empty() ? "--" : "";
    return usage(given.where + flag + given.name + " " + shown(given.text) + " " +
                 set.error().detail);
  }
  return {};
}

// The value of a scalar TOML node as text that an Option takes; nullopt where none can be.
std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* truth = node.as_boolean()) return truth->get() ? "true" : "false";
  return std::nullopt;
}

std::string where_of(const std::string& path, const toml::source_region& region) {
  return path + ":" + std::to_string(region.begin.line) + ": ";
}

Error unknown_key(const std::string& where, std::string_view key, const std::vector<Option>& table,
                  std::string_view command, const std::vector<std::string_view>& other_names) {
  std::string sentence = where + "unknown key " + quoted(key);
  if (std::find(other_names.begin(), other_names.end(), key) != other_names.end())
    return usage(sentence + ": it is no option of `rtpool " + std::string(command) + "`");
  std::vector<std::string_view> names;
  for (const Option& option : table) names.push_back(option.name);
  const auto near = nearest(key, names);
  sentence += near.empty() ? "; `rtpool " + std::string(command) + " --help` lists them all"
                           : "; did you mean " + std::string(near) + "?";
  return usage(std::move(sentence));
}

Result<void> read_key(const Option& option, const toml::node& node, const std::string& path,
                      std::vector<GivenValue>& values) {
  const std::string name(option.name);
  if (const auto* list = node.as_array()) {
    if (!option.repeatable)
      return usage(where_of(path, node.source()) + name + " takes one value, not an array");
    for (const toml::node& item : *list) {
      auto text = scalar_text(item);
      const auto where = where_of(path, item.source());
      if (!text) return usage(where + name + " takes an array of strings");
      values.push_back({name, std::move(*text), where});
    }
    return {};
  }
  auto text = scalar_text(node);
  const auto where = where_of(path, node.source());
  if (!text) {
    const std::string example(option.example);
    return usage(where + name + " takes a string" +
                 (example.empty() ? "" : ", such as \"" + example + "\""));
  }
  values.push_back({name, std::move(*text), where});
  return {};
}

// Greedy line breaking; words are kept whole.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  std::string out;
  std::size_t column = indent;
  std::istringstream words{std::string(text)};
  std::string word;
  out.append(indent, ' ');
  bool first = true;
  while (words >> word) {
    if (!first && column + 1 + word.size() > width) {
      out += '\n';
      out.append(indent, ' ');
      column = indent;
      first = true;
    }
    if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    first = false;
  }
  return out + "\n";
}

}  // namespace

Result<void> apply_values(const std::vector<Option>& table,
                          const std::vector<GivenValue>& from_file,
                          const std::vector<GivenValue>& from_flags) {
  for (const auto* values : {&from_file, &from_flags}) {
    std::set<std::string_view> seen;
    for (const GivenValue& given : *values) {
      const Option* option = find_option(table, given.name);
      const bool again = !seen.insert(given.name).second;
      if (option != nullptr && again && !option->repeatable)
        return usage(given.where + (given.where.empty() ? "--" : "") + given.name +
                     " is given twice");
      if (option != nullptr && option->repeatable && !again) option->clear();
      if (auto applied = apply_one(table, given); !applied) return applied;
    }
  }
  return {};
}

Result<std::vector<GivenValue>> read_config_file(const std::string& path,
                                                 const std::vector<Option>& table,
                                                 std::string_view command,
                                                 const std::vector<std::string_view>& other_names) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kLargestFile + 1, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad())
    return usage("--config " + quoted(path) +
                 " can't be read: " + (errno != 0 ? std::strerror(errno) : "no file"));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kLargestFile)
    return usage("--config " + quoted(path) + " is larger than 1 MiB");
  toml::table document;
  try {
    document = toml::parse(text, path);
  } catch (const toml::parse_error& wrong) {
    return usage(where_of(path, wrong.source()) + "not TOML: " + std::string(wrong.description()));
  }
  std::vector<GivenValue> values;
  for (const auto& [key, node] : document) {
    const Option* option = find_option(table, key.str());
    if (option == nullptr)
      return unknown_key(where_of(path, key.source()), key.str(), table, command, other_names);
    if (auto read = read_key(*option, node, path, values); !read) return read.error();
  }
  return values;
}

std::string describe_options(const std::vector<Option>& table) {
  std::string out;
  for (const Option& option : table) {
    out += "  --" + std::string(option.name);
    if (!option.value_name.empty()) out += " " + std::string(option.value_name);
    out += '\n';
    std::string text(option.help);
    const std::string value = option.show ? option.show() : "";
    if (option.required) {
      text += " Required.";
    } else if (!value.empty() && !option.value_name.empty()) {
      text += " Default: " + value + ".";
    }
    if (option.repeatable) text += " May be given several times.";
    if (!option.example.empty())
      text += " Example: --" + std::string(option.name) + " " + std::string(option.example);
    out += wrapped(text, 6, 100);
  }
  return out;
}

}  // namespace rtpool::control
