#include "bench/load/svg_chart.h"
#include "bench/load/versus_report.h"
#include "bench/text.h"

namespace rtpool::bench {
namespace {

std::string caption_of(const VersusOptions& options, const Machine& machine) {
  return format("%s, %d cores, Linux %s; relay on one core, %d rounds of %g s; dots: rounds",
                machine.processor.c_str(), machine.cores, machine.kernel.c_str(), options.rounds,
                options.seconds);
}

std::string label_of(Contender contender) {
  return contender == Contender::epoll ? "plain epoll" : name_of(contender);
}

std::vector<double> dots(const std::vector<Round>& rounds, Contender contender,
                         double (*value)(const Round&)) {
  std::vector<double> found;
  for (const Round& round : rounds) {
    if (round.contender == contender) found.push_back(value(round));
  }
  return found;
}

void draw_limits(SvgPage& page, const std::vector<ContenderSummary>& summaries,
                 const std::vector<Round>& rounds) {
  BarChart chart{.title = "calls on one core without loss", .format = "%.0f"};
  for (const ContenderSummary& s : summaries) {
    chart.bars.push_back(
        {label_of(s.contender), s.calls.median,
         dots(rounds, s.contender, [](const Round& r) { return static_cast<double>(r.calls); }),
         static_cast<int>(s.contender)});
  }
  page.add(chart);
}

void draw_costs(SvgPage& page, const VersusOptions& options,
                const std::vector<ContenderSummary>& summaries, const std::vector<Round>& rounds) {
  BarChart cpu{.title = "CPU per packet, us", .format = "%.2f"};
  BarChart latency{
      .title = "latency, us (median of rounds)", .logarithmic = true, .format = "%.0f"};
  BarChart rate{.title = "packets/s forwarded", .format = "%.0f"};
  for (const ContenderSummary& s : summaries) {
    const int colour = static_cast<int>(s.contender);
    cpu.bars.push_back({label_of(s.contender), s.cpu.median,
                        dots(rounds, s.contender, [](const Round& r) { return r.cpu_per_packet; }),
                        colour});
    rate.bars.push_back({label_of(s.contender), s.rate.median, {}, colour});
    const std::string name = name_of(s.contender);
    latency.bars.push_back({"p50", s.p50.median, {}, colour});
    latency.bars.push_back({"p99 " + name, s.p99.median, {}, colour});
    latency.bars.push_back({"p99.9", s.p999.median, {}, colour});
  }
  page.add(cpu);
  // In a closed loop packets wait for each other, and their latency says nothing.
  page.add(options.load == LoadKind::paced ? latency : rate);
}

}  // namespace

std::string versus_svg(const VersusOptions& options, const std::vector<Round>& rounds,
                       const Machine& machine) {
  const auto summaries = summarize(options, rounds);
  const bool limit = options.load == LoadKind::find_limit;
  SvgPage page(limit ? "Calls on one core"
               : options.load == LoadKind::saturate
                   ? "A packet's cost at saturation"
                   : format("%zu calls, %zu packets/s", options.calls, options.calls * 100),
               caption_of(options, machine));
  if (limit) {
    draw_limits(page, summaries, rounds);
  } else {
    draw_costs(page, options, summaries, rounds);
  }
  return page.text();
}

}  // namespace rtpool::bench
