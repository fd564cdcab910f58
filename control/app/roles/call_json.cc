#include "control/app/roles/call_json.h"

#include <algorithm>
#include <chrono>

namespace rtpool::control {
namespace {

using nlohmann::json;

json counts(std::uint64_t packets, std::uint64_t bytes) {
  return {{"packets", packets}, {"bytes", bytes}};
}

json counts(const ng::Value* stats) {
  if (stats == nullptr) return counts(0, 0);
  return {{"packets", stats->find_integer("packets").value_or(0)},
          {"bytes", stats->find_integer("bytes").value_or(0)}};
}

// "address:port", empty where there is none yet.
std::string place(const ng::Value* at, std::string_view address_key, std::string_view port_key) {
  if (at == nullptr) return "";
  const std::string address = at->find_text(address_key).value_or("");
  const std::string port = at->find_text(port_key).value_or("0");
  if (address.empty() || port == "0") return "";
  return (address.find(':') == std::string::npos ? address : "[" + address + "]") + ":" + port;
}

bool has_word(const ng::Value* list, std::string_view word) {
  if (list == nullptr) return false;
  const auto items = list->items();
  return std::any_of(items.begin(), items.end(),
                     [&](const ng::Value& item) { return item.string() == word; });
}

json media_json(const ng::Value& line, const ng::Value* ssrcs) {
  json media = {{"type", line.find_text("type").value_or("")},
                {"protocol", line.find_text("protocol").value_or("")},
                {"local", ""},
                {"remote", ""},
                {"latched", false},
                {"received", counts(0, 0)},
                {"sent", counts(0, 0)},
                {"lost", 0},
                {"jitter", 0},
                {"dropped", 0}};
  const ng::Value* streams = line.find("streams");
  if (streams == nullptr || streams->items().empty()) return media;
  const ng::Value& rtp = streams->items().front();
  media["local"] = place(&rtp, "local address", "local port");
  media["remote"] = place(rtp.find("endpoint"), "address", "port");
  media["latched"] = has_word(rtp.find("flags"), "confirmed");
  media["received"] = counts(rtp.find("stats"));
  media["sent"] = counts(rtp.find("stats_out"));
  if (const auto* stats = rtp.find("stats"))
    media["dropped"] = stats->find_integer("errors").value_or(0);
  const auto ssrc = rtp.find_text("SSRC");
  const ng::Value* state = ssrc && ssrcs != nullptr ? ssrcs->find(*ssrc) : nullptr;
  if (state != nullptr) {
    media["lost"] = state->find_integer("lost").value_or(0);
    media["jitter"] = state->find_integer("jitter").value_or(0);
  }
  return media;
}

std::string text_of(const Endpoint& endpoint) {
  return endpoint.port == 0 ? "" : endpoint.to_string();
}

}  // namespace

json call_json(const std::string& call_id, const ng::Value& report, std::int64_t now_seconds) {
  json legs = json::array();
  if (const ng::Value* tags = report.find("tags")) {
    for (const ng::Member& member : tags->members()) {
      json leg = {{"tag", member.key},
                  {"label", member.value.find_text("label").value_or("")},
                  {"medias", json::array()}};
      if (const ng::Value* medias = member.value.find("medias")) {
        for (const ng::Value& line : medias->items())
          leg["medias"].push_back(media_json(line, report.find("SSRC")));
      }
      legs.push_back(std::move(leg));
    }
  }
  const auto created = report.find_integer("created").value_or(now_seconds);
  return {{"call_id", call_id},
          {"relay", report.find_text("relay").value_or("")},
          {"age_seconds", std::max<std::int64_t>(0, now_seconds - created)},
          {"legs", std::move(legs)}};
}

json call_json(const media::CallState& state) {
  json legs = json::array();
  for (const media::StreamState& stream : state.streams) {
    std::int64_t lost = 0;
    for (const auto& ssrc : stream.ssrcs) lost += std::max<std::int64_t>(0, ssrc.lost);
    const auto& rtp = stream.rtp;
    json media = {{"type", "stream " + std::to_string(stream.id.value)},
                  {"protocol", ""},
                  {"local", text_of(rtp.local)},
                  {"remote", rtp.remote ? text_of(*rtp.remote) : ""},
                  {"latched", rtp.latched},
                  {"received", counts(rtp.received.packets, rtp.received.bytes)},
                  {"sent", counts(rtp.sent.packets, rtp.sent.bytes)},
                  {"lost", lost},
                  {"jitter", stream.ssrcs.empty() ? 0 : stream.ssrcs.back().jitter},
                  {"dropped", rtp.dropped}};
    legs.push_back({{"tag", ""}, {"label", ""}, {"medias", json::array({std::move(media)})}});
  }
  const auto age =
      std::chrono::duration_cast<std::chrono::seconds>(state.observed - state.created).count();
  return {{"call_id", state.key}, {"relay", ""}, {"age_seconds", age}, {"legs", std::move(legs)}};
}

}  // namespace rtpool::control
