#include "bench/call_table.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "bench/text.h"

namespace rtpool::bench {
namespace {

constexpr std::string_view kBold = "\033[1m", kDim = "\033[2m", kRed = "\033[31m",
                           kGreen = "\033[32m", kPlain = "\033[0m";

std::string paint(std::string_view colour, const std::string& text, TableStyle style) {
  return style.colour ? std::string(colour) + text + std::string(kPlain) : text;
}

const char* phase_name(CallPhase phase) {
  constexpr std::array<const char*, 8> kNames{"waiting",  "calling",    "ringing", "talking",
                                              "draining", "hanging up", "over",    "failed"};
  return kNames[static_cast<std::size_t>(phase)];
}

Flow sum(const RunReport& report, Flow CallReport::*direction) {
  Flow total;
  for (const CallReport& call : report.calls) total += call.*direction;
  return total;
}

std::string audio_word(const Flow& flow) {
  if (flow.received == 0) return "-";
  return flow.altered == 0 && flow.foreign == 0 ? "same" : "ALTERED";
}

std::string flow_row(const std::string& name, const Flow& flow, bool one_call, TableStyle style) {
  const LatencySummary latency = summarize_latency(flow.latencies_us);
  const std::string relay = flow.around > 0                    ? "NONE (direct)"
                            : one_call && flow.relay.port != 0 ? flow.relay.to_string()
                            : flow.relay.port != 0             ? flow.relay.address.to_string()
                                                               : "-";
  const std::string left = format("  %-17.32s %-21s %8llu %9llu ", name.c_str(), relay.c_str(),
                                  static_cast<unsigned long long>(flow.sent),
                                  static_cast<unsigned long long>(flow.received));
  const std::string lost = format("%5llu", static_cast<unsigned long long>(flow.lost));
  const std::string right =
      format(" %4llu %5llu %5.2f  %6.2f %6.2f %6.2f  %-7s %3llu/%llu\n",
             static_cast<unsigned long long>(flow.duplicated),
             static_cast<unsigned long long>(flow.reordered), flow.jitter_ms, latency.p50_ms,
             latency.p99_ms, latency.max_ms, audio_word(flow).c_str(),
             static_cast<unsigned long long>(flow.reports_received),
             static_cast<unsigned long long>(flow.reports_sent));
  return left + paint(flow.lost > 0 ? kRed : kGreen, lost, style) + right;
}

std::string state_words(const RunReport& report) {
  if (report.calls.size() == 1) return phase_name(report.calls[0].phase);
  std::string words;
  for (std::size_t phase = 0; phase < 8; ++phase) {
    const auto count = std::ranges::count_if(report.calls, [phase](const CallReport& call) {
      return call.phase == static_cast<CallPhase>(phase);
    });
    if (count == 0) continue;
    if (!words.empty()) words += ", ";
    words += std::to_string(count) + " " + phase_name(static_cast<CallPhase>(phase));
  }
  return words;
}

std::string flow_problem(const Flow& flow, const std::string& direction) {
  const auto say = [&direction](std::uint64_t count, const char* what) {
    return direction + ": " + std::to_string(count) + " packets " + what;
  };
  if (flow.sent == 0) return direction + ": nothing was sent";
  if (flow.around > 0)
    return say(flow.around, "came straight from the other phone, not from a relay");
  if (flow.elsewhere > 0)
    return say(flow.elsewhere, "came from an address that the SDP did not name");
  if (flow.lost > 0) return say(flow.lost, "were lost");
  if (flow.foreign > 0) return say(flow.foreign, "were not the other phone's");
  if (flow.altered > 0) return say(flow.altered, "carried other audio than was sent");
  if (flow.duplicated > 0) return say(flow.duplicated, "came twice");
  if (flow.reordered > 0) return say(flow.reordered, "came out of order");
  if (flow.reports_received != flow.reports_sent) {
    return say(flow.reports_sent - flow.reports_received, "of RTCP were lost");
  }
  return {};
}

nlohmann::json flow_json(const std::string& from, const std::string& to, const Flow& flow) {
  const LatencySummary latency = summarize_latency(flow.latencies_us);
  return {
      {"from", from},
      {"to", to},
      {"relay", flow.relay.port != 0 ? flow.relay.to_string() : ""},
      {"sent", flow.sent},
      {"received", flow.received},
      {"lost", flow.lost},
      {"duplicated", flow.duplicated},
      {"reordered", flow.reordered},
      {"altered", flow.altered},
      {"foreign", flow.foreign},
      {"around_relay", flow.around},
      {"from_elsewhere", flow.elsewhere},
      {"rtcp_sent", flow.reports_sent},
      {"rtcp_received", flow.reports_received},
      {"jitter_ms", flow.jitter_ms},
      {"latency_ms", {{"p50", latency.p50_ms}, {"p99", latency.p99_ms}, {"max", latency.max_ms}}}};
}

}  // namespace

LatencySummary summarize_latency(std::vector<std::uint32_t> us) {
  if (us.empty()) return {};
  std::ranges::sort(us);
  const auto at = [&us](double part) {
    return us[static_cast<std::size_t>(part * static_cast<double>(us.size() - 1))] / 1e3;
  };
  return {at(0.5), at(0.99), at(1)};
}

std::string call_table(const CallOptions& options, const RunReport& report, TableStyle style) {
  std::string text = paint(kBold,
                           format("%s calls %s through %s", options.from.c_str(),
                                  options.to.c_str(), options.proxy.to_string().c_str()),
                           style);
  text += format("   %s, %.1f s", state_words(report).c_str(), report.seconds);
  const bool one_call = report.calls.size() == 1;
  if (one_call && report.calls[0].setup_ms > 0) {
    text += format(", answered after %.0f ms", report.calls[0].setup_ms);
  }
  text += "\n\n";
  text += paint(kDim,
                "  direction         media comes from          sent  received  lost  dup  late"
                " jitter  latency p50/p99/max ms audio  RTCP\n",
                style);
  text += flow_row(options.from + " -> " + options.to, sum(report, &CallReport::forward), one_call,
                   style);
  text += flow_row(options.to + " -> " + options.from, sum(report, &CallReport::backward), one_call,
                   style);
  return text;
}

std::string verdict(const RunReport& report) {
  if (!report.problem.empty()) return report.problem;
  std::uint64_t packets = 0;
  for (const CallReport& call : report.calls) {
    if (call.phase != CallPhase::over) {
      return call.problem.empty() ? std::string("call ") + phase_name(call.phase) : call.problem;
    }
    for (const auto& [flow, name] : {std::pair(&call.forward, "caller to callee"),
                                     std::pair(&call.backward, "callee to caller")}) {
      if (std::string problem = flow_problem(*flow, name); !problem.empty()) return problem;
      packets += flow->sent;
    }
  }
  return "every one of " + std::to_string(packets) +
         " packets arrived, once, in order, with the audio that was sent, from the relay";
}

nlohmann::json call_json(const CallOptions& options, const RunReport& report) {
  nlohmann::json calls = nlohmann::json::array();
  for (const CallReport& call : report.calls) {
    calls.push_back({{"state", phase_name(call.phase)},
                     {"problem", call.problem},
                     {"setup_ms", call.setup_ms},
                     {"directions",
                      {flow_json(options.from, options.to, call.forward),
                       flow_json(options.to, options.from, call.backward)}}});
  }
  return {{"proxy", options.proxy.to_string()},
          {"seconds", report.seconds},
          {"whole", report.whole()},
          {"verdict", verdict(report)},
          {"totals",
           {flow_json(options.from, options.to, sum(report, &CallReport::forward)),
            flow_json(options.to, options.from, sum(report, &CallReport::backward))}},
          {"calls", calls}};
}

}  // namespace rtpool::bench
