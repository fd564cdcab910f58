#include "control/app/roles/operator_commands.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "control/app/http_get.h"
#include "control/app/roles/pool_json.h"
#include "control/app/roles/role.h"
#include "pool/client.h"

namespace rtpool::control {
namespace {

constexpr auto kPatience = std::chrono::seconds(2);

int fail(const std::string& command, const std::string& what) {
  std::fprintf(stderr, "rtpool %s: %s\n", command.c_str(), what.c_str());
  return 1;
}

using TableRow = std::vector<std::string>;

// Columns as wide as their widest cell; those named in `right` hold numbers.
void print_table(const std::vector<TableRow>& rows, const std::vector<bool>& right) {
  std::vector<std::size_t> widths(right.size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      line += (i == 0 ? "" : "  ") + (right[i] ? space + row[i] : row[i] + space);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    std::printf("%s\n", line.c_str());
  }
}

std::string percent(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f%%", value);
  return text.data();
}

std::string text_of(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return "-";
  const std::string text = found->is_string() ? found->get<std::string>() : found->dump();
  if (text.empty()) return "-";
  // A terminal must not be driven by what a proxy sent as a Call-ID.
  std::string safe = text;
  std::replace_if(
      safe.begin(), safe.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return safe;
}

std::string count_of(const nlohmann::json& media, const char* key) {
  return media.contains(key) ? text_of(media.at(key), "packets") : "-";
}

void add_call(std::vector<TableRow>& rows, const nlohmann::json& call) {
  bool first = true;
  for (const auto& leg : call.value("legs", nlohmann::json::array())) {
    for (const auto& media : leg.value("medias", nlohmann::json::array())) {
      rows.push_back({first ? text_of(call, "call_id") : "", first ? text_of(call, "relay") : "",
                      first ? text_of(call, "age_seconds") + " s" : "", text_of(leg, "tag"),
                      text_of(media, "type"), text_of(media, "remote"), text_of(media, "local"),
                      count_of(media, "received"), text_of(media, "lost"), count_of(media, "sent"),
                      text_of(media, "dropped")});
      first = false;
    }
  }
}

}  // namespace

int list_pool(const ClientOptions& options) {
  std::string problem;
  for (const auto& registrar : options.registrars) {
    auto pools = pool::list_pools(registrar, options.pool, kPatience, options.tls);
    if (!pools) {
      problem = registrar + ": " + pools.error().message();
      continue;
    }
    if (options.json) {
      nlohmann::json all = nlohmann::json::array();
      for (const auto& pool : *pools) all.push_back(pool_json(pool));
      std::printf("%s", dump({{"registrar", registrar}, {"pools", all}}).c_str());
      return 0;
    }
    std::vector<TableRow> rows{
        {"POOL", "RELAY", "STATE", "LOAD", "CALLS", "ADDRESS", "ZONE", "EPOCH"}};
    for (const auto& pool : *pools) {
      for (const auto& [element, heard, reports] : pool.elements) {
        rows.push_back({pool.pool, element.name, std::string(state_of(element)),
                        percent(100.0 * element.load / pool::kFullLoad),
                        std::to_string(element.calls), element.endpoint,
                        element.zone.empty() ? "-" : element.zone, std::to_string(element.epoch)});
      }
    }
    print_table(rows, {false, false, false, true, true, false, false, true});
    return 0;
  }
  return fail("pool list", "no registrar answers: " + problem);
}

int list_calls(const ClientOptions& options) {
  const auto body = http_get(options.http, "/api/calls", kPatience, options.tls);
  if (!body) return fail("call list", body.error().detail);
  const auto answer = nlohmann::json::parse(*body, nullptr, false);
  if (!answer.is_object() || !answer.contains("calls") || !answer.at("calls").is_array())
    return fail("call list", options.http + " is no rtpool");
  if (options.json) {
    std::printf("%s", dump(answer).c_str());
    return 0;
  }
  std::vector<TableRow> rows{{"CALL", "RELAY", "AGE", "PARTY", "MEDIA", "PARTY'S ADDRESS",
                              "RELAY'S ADDRESS", "RECEIVED", "LOST", "SENT", "DROPPED"}};
  for (const auto& call : answer.at("calls")) {
    if (call.is_object()) add_call(rows, call);
  }
  print_table(rows, {false, false, true, false, false, false, false, true, true, true, true});
  const auto total = answer.value("total", std::size_t{0});
  if (total > answer.at("calls").size())
    std::printf("(%zu of %zu calls)\n", answer.at("calls").size(), total);
  return 0;
}

}  // namespace rtpool::control
