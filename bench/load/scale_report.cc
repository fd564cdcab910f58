#include <nlohmann/json.hpp>

#include "bench/load/scale_load.h"
#include "bench/load/svg_chart.h"
#include "bench/text.h"

namespace rtpool::bench {
namespace {

LineChart chart_of(const ScaleResult& result, const char* title, const char* pattern,
                   double (*value)(const ScaleStep&), std::size_t from) {
  LineChart chart{.title = title,
                  .x_label = "calls that stand",
                  .lines = {{.label = "rtcp-mux", .points = {}, .colour = 0},
                            {.label = "RTCP on ports of its own", .points = {}, .colour = 2}},
                  .logarithmic_x = true,
                  .format = pattern};
  for (const ScaleStep& step : result.steps) {
    if (step.calls < from) continue;
    chart.lines[step.rtcp_mux ? 0 : 1].points.emplace_back(step.calls, value(step));
  }
  std::erase_if(chart.lines, [](const Line& line) { return line.points.empty(); });
  return chart;
}

}  // namespace

std::string scale_table(const ScaleResult& result) {
  std::string text =
      format("%6s %8s  %9s %12s %9s %9s  %9s %9s %9s %7s  %8s %6s %8s %6s\n", "calls", "rtcp",
             "grow ms", "CPU us/call", "offer p50", "p99 ms", "user KiB", "kernel", "together",
             "files", "RTP", "lost", "RTCP", "lost");
  for (const ScaleStep& s : result.steps) {
    text += format(
        "%6zu %8s  %9.1f %12.0f %9.2f %9.2f  %9.1f %9.1f %9.1f %7zu  %8llu %6llu %8llu %6llu\n",
        s.calls, s.rtcp_mux ? "mux" : "separate", s.grow_ms, s.cpu_us_per_call, s.offer_p50_ms,
        s.offer_p99_ms, s.process_memory, s.kernel_memory, s.process_memory + s.kernel_memory,
        s.descriptors, static_cast<unsigned long long>(s.sent),
        static_cast<unsigned long long>(s.lost), static_cast<unsigned long long>(s.rtcp_sent),
        static_cast<unsigned long long>(s.rtcp_lost));
  }
  text +=
      "grow: until those that the step before lacked stood; CPU: to set one more up and tear it "
      "down;\nmemory: KiB a call, against none\n";
  if (!result.problem.empty()) text += "ended early at " + result.problem + "\n";
  return text;
}

nlohmann::json scale_json(const ScaleOptions& options, const ScaleResult& result,
                          const Machine& machine) {
  nlohmann::json out{
      {"what", "scale"},
      {"machine",
       {{"processor", machine.processor}, {"kernel", machine.kernel}, {"cores", machine.cores}}},
      {"options",
       {{"contender", name_of(options.contender)},
        {"most", options.most},
        {"probe", options.probe},
        {"threads", options.relay.threads},
        {"relay_core", options.relay.core},
        {"rtpool_arguments", options.relay.rtpool_arguments}}},
      {"problem", result.problem},
      {"steps", nlohmann::json::array()}};
  for (const ScaleStep& s : result.steps) {
    out["steps"].push_back({{"calls", s.calls},
                            {"rtcp_mux", s.rtcp_mux},
                            {"grow_ms", s.grow_ms},
                            {"cpu_us_per_call", s.cpu_us_per_call},
                            {"offer_p50_ms", s.offer_p50_ms},
                            {"offer_p99_ms", s.offer_p99_ms},
                            {"process_kib_per_call", s.process_memory},
                            {"kernel_kib_per_call", s.kernel_memory},
                            {"descriptors", s.descriptors},
                            {"rtp_sent", s.sent},
                            {"rtp_lost", s.lost},
                            {"silent_streams", s.silent},
                            {"rtcp_sent", s.rtcp_sent},
                            {"rtcp_lost", s.rtcp_lost}});
  }
  return out;
}

std::string scale_svg(const ScaleResult& result, const Machine& machine) {
  SvgPage page("What a call costs as calls grow in number",
               format("%s, %d cores, Linux %s; one process", machine.processor.c_str(),
                      machine.cores, machine.kernel.c_str()));
  page.add(chart_of(
      result, "CPU to set up and tear down one more call, us", "%.0f",
      [](const ScaleStep& s) { return s.cpu_us_per_call; }, 1));
  // Of a few calls the difference is the machine's own coming and going.
  page.add(chart_of(
      result, "memory of a call, user and kernel, KiB", "%.1f",
      [](const ScaleStep& s) { return s.process_memory + s.kernel_memory; }, 100));
  return page.text();
}

}  // namespace rtpool::bench
