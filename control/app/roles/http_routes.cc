#include "control/app/roles/http_routes.h"

#include "control/app/page/dashboard.h"
#include "control/app/system_time.h"
#include "control/app/values.h"
#include "control/app/version.h"

namespace rtpool::control {
namespace {

using nlohmann::json;

std::vector<std::string> missing_of(const std::vector<Role*>& roles) {
  std::vector<std::string> missing;
  for (const Role* role : roles) {
    for (auto& what : role->missing()) missing.push_back(std::move(what));
  }
  return missing;
}

double seconds_since(Instant start) {
  return std::chrono::duration<double>(monotonic_now() - start).count();
}

HttpReply status_reply(const std::string& command, const std::vector<Role*>& roles, Instant start) {
  const auto missing = missing_of(roles);
  json status = {{"role", command},
                 {"version", kVersion},
                 {"uptime_seconds", seconds_since(start)},
                 {"ready", missing.empty()},
                 {"missing", missing}};
  for (const Role* role : roles) role->write_status(status);
  return {.body = dump(status)};
}

HttpReply metrics_reply(const std::string& command, const std::vector<Role*>& roles,
                        Instant start) {
  MetricPage page;
  page.gauge("rtpool_info", "Always 1; what runs here.", 1,
             {{"role", command}, {"version", kVersion}});
  page.gauge("rtpool_uptime_seconds", "Time since the start.", seconds_since(start));
  page.gauge("rtpool_ready", "1 when /readyz says so.", missing_of(roles).empty() ? 1 : 0);
  for (const Role* role : roles) role->write_metrics(page);
  return {.type = "text/plain; version=0.0.4; charset=utf-8", .body = page.text()};
}

template <class Ask>
HttpReply first_answer(const std::vector<Role*>& roles, const char* what, Ask ask) {
  for (Role* role : roles) {
    if (auto answer = ask(*role)) return {.body = dump(*answer)};
  }
  return {.status = 404, .body = dump({{"error", std::string("this process knows no ") + what}})};
}

HttpReply refused(const std::string& why) {
  return {.status = 400, .body = dump({{"error", why}})};
}

HttpReply calls_reply(const std::vector<Role*>& roles, const HttpServer::Parameters& parameters) {
  CallQuery query;
  for (const auto& [name, value] : parameters) {
    if (name == "limit") {
      const auto limit = parse_number(value, 1, kMostCallsShown);
      if (!limit) return refused("limit \"" + value + "\" " + limit.error().detail);
      query.limit = *limit;
    } else if (name == "after") {
      const auto after = from_hex(value);
      if (!after)
        return refused("after \"" + value + "\" is not what an earlier page gave as next");
      query.after = *after;
    } else if (name == "relay") {
      query.relay = value;
    } else {
      return refused("unknown parameter \"" + name + "\"; there are limit, after and relay");
    }
  }
  return first_answer(roles, "calls", [&](Role& role) { return role.calls(query); });
}

HttpReply call_reply(const std::vector<Role*>& roles, const HttpServer::Parameters& parameters) {
  const auto id = parameters.find("id");
  if (id == parameters.end() || parameters.size() > 1)
    return refused("say which call: /api/call?id=CALL-ID");
  for (Role* role : roles) {
    const auto answer = role->call(id->second);
    if (!answer) continue;
    if (!answer->is_null()) return {.body = dump(*answer)};
    return {.status = 404, .body = dump({{"error", "no such call"}})};
  }
  return {.status = 404, .body = dump({{"error", "this process knows no calls"}})};
}

}  // namespace

void add_routes(HttpServer& server, const std::string& command, const std::vector<Role*>& roles) {
  const Instant start = monotonic_now();
  server.get("/", [] {
    return HttpReply{.type = "text/html; charset=utf-8", .body = std::string(dashboard_page())};
  });
  server.get(
      "/healthz", [] { return HttpReply{.body = "{\"healthy\":true}\n"}; }, HttpAccess::anyone);
  server.get(
      "/readyz",
      [roles] {
        const auto missing = missing_of(roles);
        return HttpReply{.status = missing.empty() ? 200 : 503,
                         .body = dump({{"ready", missing.empty()}, {"missing", missing}})};
      },
      HttpAccess::anyone);
  server.get(
      "/metrics", [=] { return metrics_reply(command, roles, start); },
      HttpAccess::any_certificate);
  server.get("/api/status", [=] { return status_reply(command, roles, start); });
  server.get("/api/calls", [roles](const HttpServer::Parameters& parameters) {
    return calls_reply(roles, parameters);
  });
  server.get("/api/call", [roles](const HttpServer::Parameters& parameters) {
    return call_reply(roles, parameters);
  });
  server.get("/api/pool",
             [=] { return first_answer(roles, "pool", [](Role& role) { return role.pool(); }); });
}

}  // namespace rtpool::control
