#include "control/app/operator/call_parties.h"

#include <algorithm>
#include <chrono>

#include "control/app/errc.h"
#include "control/app/http_get.h"
#include "control/app/roles/role.h"

namespace rtpool::control {
namespace {

using nlohmann::json;

constexpr auto kPatience = std::chrono::seconds(2);

std::string text_in(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Result<json> page_of(const ClientOptions& options, const std::string& path) {
  const auto body = http_get(options.http, path, kPatience, options.tls);
  if (!body) return body.error();
  auto page = json::parse(*body, nullptr, false);
  const bool whole = page.is_object() && page.contains("calls") && page.at("calls").is_array();
  if (!whole) return Error(AppErrc::unreachable, options.http + " is no rtpool");
  if (page.contains("error"))
    return Error(AppErrc::unreachable, options.http + ": " + text_in(page, "error"));
  return page;
}

}  // namespace

std::string percent_encoded(std::string_view text) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
      continue;
    }
    const auto octet = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[octet >> 4];
    out += kDigits[octet & 15];
  }
  return out;
}

Result<json> calls_of(const ClientOptions& options) {
  json all = {{"total", 0}, {"calls", json::array()}};
  std::string after;
  while (all["calls"].size() < options.limit) {
    // With a filter most of a page may be others': pages are whole then.
    const std::size_t left = options.limit - all["calls"].size();
    const std::size_t limit =
        options.relay.empty() ? std::min(left, kMostCallsShown) : kMostCallsShown;
    auto page = page_of(options, "/api/calls?limit=" + std::to_string(limit) +
                                     (after.empty() ? "" : "&after=" + after) +
                                     (options.relay.empty() ? "" : "&relay=" + options.relay));
    if (!page) return page.error();
    all["total"] = page->value("total", json(0));
    for (auto& call : page->at("calls")) {
      if (call.is_object() && all["calls"].size() < options.limit)
        all["calls"].push_back(std::move(call));
    }
    const std::string next = text_in(*page, "next");
    if (next.empty() || next == after) break;
    after = next;
  }
  // A process that lists without an order answers with pages in order, not with calls in order.
  std::sort(all["calls"].begin(), all["calls"].end(), [](const json& a, const json& b) {
    return text_in(a, "call_id") < text_in(b, "call_id");
  });
  return all;
}

KnownCall parties_of(const ClientOptions& options, const std::string& call_id) {
  KnownCall known;
  const auto body =
      http_get(options.http, "/api/call?id=" + percent_encoded(call_id), kPatience, options.tls);
  if (!body) {
    // A process without the call answers with 404, which is no trouble.
    if (body.error().detail.find("status 404") == std::string::npos)
      known.error = body.error().detail;
    return known;
  }
  const auto call = json::parse(*body, nullptr, false);
  if (!call.is_object() || !call.contains("legs") || !call.at("legs").is_array()) {
    known.error = call.is_object() && call.contains("error")
                      ? options.http + ": " + text_in(call, "error")
                      : options.http + " is no rtpool";
    return known;
  }
  known.known = true;
  for (const json& leg : call.at("legs")) {
    if (!leg.is_object()) continue;
    for (const json& media : leg.value("medias", json::array())) {
      if (!media.is_object() || text_in(media, "local").empty()) continue;
      known.parties[text_in(media, "local")] = {text_in(leg, "tag"), text_in(leg, "label"),
                                                text_in(media, "type")};
    }
  }
  return known;
}

}  // namespace rtpool::control
