#include "bench/load/versus_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/text.h"

namespace rtpool::bench {
namespace {

// Below so many calls what the process holds anyway drowns what a call holds.
constexpr double kWeighedCalls = 100;
constexpr double kSaturated = 0.95;  // share of its core that a saturated relay uses

// The two counts of CPU time agree within this share, or threads ended in between.
constexpr double kAgreement = 0.05;

std::vector<double> values_of(const std::vector<Round>& rounds, Contender contender,
                              double Round::*member) {
  std::vector<double> values;
  for (const Round& round : rounds) {
    if (round.contender == contender) values.push_back(round.*member);
  }
  return values;
}

std::vector<double> calls_of(const std::vector<Round>& rounds, Contender contender) {
  std::vector<double> values;
  for (const Round& round : rounds) {
    if (round.contender == contender) values.push_back(static_cast<double>(round.calls));
  }
  return values;
}

bool took_part(const std::vector<Round>& rounds, Contender contender) {
  return std::ranges::any_of(
      rounds, [contender](const Round& round) { return round.contender == contender; });
}

const char* load_name(LoadKind kind) {
  constexpr const char* kNames[] = {"paced", "saturate", "find-limit"};
  return kNames[static_cast<std::size_t>(kind)];
}

nlohmann::json spread_json(const Spread& spread) {
  return {{"median", spread.median}, {"low", spread.low}, {"high", spread.high}};
}

ContenderSummary summarize_one(Contender contender, const std::vector<Round>& rounds) {
  const auto spread = [&](double Round::*member) {
    return spread_of(values_of(rounds, contender, member));
  };
  ContenderSummary summary{.contender = contender,
                           .cpu = spread(&Round::cpu_per_packet),
                           .busy = spread(&Round::busy),
                           .p50 = spread(&Round::p50),
                           .p99 = spread(&Round::p99),
                           .p999 = spread(&Round::p999),
                           .memory = spread(&Round::memory_per_call),
                           .process_memory = spread(&Round::process_memory_per_call),
                           .calls = spread_of(calls_of(rounds, contender))};
  std::vector<double> rates;
  for (const Round& round : rounds) {
    if (round.contender != contender) continue;
    ++summary.rounds;
    summary.sent += round.sent;
    summary.lost += round.lost;
    summary.reordered += round.reordered;
    summary.duplicated += round.duplicated;
    summary.foreign += round.foreign;
    summary.late += round.late;
    summary.max = std::max(summary.max, round.max);
    summary.beyond |= round.beyond;
    if (round.seconds > 0) rates.push_back(static_cast<double>(round.sent) / round.seconds);
  }
  summary.rate = spread_of(rates);
  return summary;
}

// A cell of the table, or a dash of its width where the figure would mean nothing.
std::string cell(bool meant, const char* pattern, double value) {
  std::string text = number_text(pattern, value);
  if (meant) return text;
  const auto last = text.find_last_not_of(" \n");
  text.replace(0, last + 1, std::string(last, ' ') + "-");
  return text;
}

// How many packets our own sending delayed, and what the hypervisor took: a reader must know.
std::string caveats(const VersusOptions& options, const std::vector<Round>& rounds) {
  std::uint64_t late = 0, sent = 0, errors = 0;
  double stolen = 0, others = 0;
  for (const Round& round : rounds) {
    late += round.late;
    sent += round.sent;
    errors += round.send_errors;
    stolen = std::max(stolen, round.stolen);
    others = std::max(others, round.others);
  }
  std::string text;
  if (late > 0) {
    text += format(
        "The generator itself sent %llu of %llu packets (%.4f %%) more than 1 ms late.\n",
        static_cast<unsigned long long>(late), static_cast<unsigned long long>(sent),
        100.0 * static_cast<double>(late) / static_cast<double>(std::max<std::uint64_t>(sent, 1)));
  }
  if (options.load == LoadKind::saturate) {
    for (const ContenderSummary& s : summarize(options, rounds)) {
      if (s.busy.median >= kSaturated) continue;
      text += format("%s used %.0f %% of its core: the generator could not send it more.\n",
                     name_of(s.contender), 100 * s.busy.median);
    }
  }
  if (std::ranges::any_of(rounds, [](const Round& round) { return round.beyond; })) {
    text += "+: the relay's limit was not reached, because the generator's or --most-calls was.\n";
  }
  for (const Round& round : rounds) {
    if (round.counted_by_relay != 0 && std::abs(round.counted_by_relay - 1) > kAgreement) {
      text += format("%s, round %d: the relay itself counted %.1f %% of what was sent.\n",
                     name_of(round.contender), round.round, 100 * round.counted_by_relay);
    }
    const double apart = std::abs(round.cpu_per_packet - round.cpu_per_packet_process);
    if (apart <= kAgreement * round.cpu_per_packet || round.busy * round.seconds < 1) continue;
    text += format("%s, round %d: CPU per packet by threads %.2f, by process %.2f us.\n",
                   name_of(round.contender), round.round, round.cpu_per_packet,
                   round.cpu_per_packet_process);
  }
  if (errors > 0) {
    text += format("This host's kernel refused %llu sends of the telephones.\n",
                   static_cast<unsigned long long>(errors));
  }
  if (stolen > 0.01) {
    text += format("The hypervisor took up to %.1f %% of the processor's time in a round.\n",
                   100 * stolen);
  }
  if (others > 0.03) {
    text +=
        format("Other processes used up to %.1f %% of the processors in a round.\n", 100 * others);
  }
  return text;
}

}  // namespace

std::vector<ContenderSummary> summarize(const VersusOptions& options,
                                        const std::vector<Round>& rounds) {
  std::vector<ContenderSummary> summaries;
  for (const Contender contender : options.contenders) {
    if (took_part(rounds, contender)) summaries.push_back(summarize_one(contender, rounds));
  }
  return summaries;
}

std::vector<Ratio> ratios(const VersusOptions& options, const std::vector<Round>& rounds) {
  std::vector<Ratio> found;
  const bool limit = options.load == LoadKind::find_limit;
  for (const Contender base : {Contender::rtpengine, Contender::epoll, Contender::baseline}) {
    if (!took_part(rounds, base)) continue;
    for (const Contender contender : options.contenders) {
      // The product against each other one; the yardstick against rtpengine for orientation.
      const bool wanted = contender == Contender::rtpool ||
                          (contender == Contender::epoll && base == Contender::rtpengine);
      if (!wanted || contender == base || !took_part(rounds, contender)) continue;
      if (limit) {
        found.push_back({contender, base, "calls without loss",
                         ratio_of(calls_of(rounds, contender), calls_of(rounds, base))});
      } else {
        found.push_back({contender, base, "CPU per packet",
                         ratio_of(values_of(rounds, contender, &Round::cpu_per_packet),
                                  values_of(rounds, base, &Round::cpu_per_packet))});
      }
    }
  }
  return found;
}

std::string versus_table(const VersusOptions& options, const std::vector<Round>& rounds) {
  std::string text = format("%-10s %6s %8s  %-22s %5s  %8s %8s %8s %8s  %6s %5s %5s  %9s\n", "",
                            "calls", "packet/s", "CPU us/packet (spread)", "busy", "p50 us",
                            "p99 us", "p99.9 us", "max us", "lost", "reord", "dupl", "KiB/call");
  const bool timed = options.load != LoadKind::saturate;
  for (const ContenderSummary& s : summarize(options, rounds)) {
    const bool weighed = options.load != LoadKind::find_limit && s.calls.median >= kWeighedCalls;
    text += format("%-10s %6.0f%s%8.0f  ", name_of(s.contender), s.calls.median,
                   s.beyond ? "+" : " ", s.rate.median) +
            format("%-22s",
                   format("%.2f (%.2f to %.2f)", s.cpu.median, s.cpu.low, s.cpu.high).c_str()) +
            format(" %4.0f%%  ", 100 * s.busy.median);
    for (const double us : {s.p50.median, s.p99.median, s.p999.median, s.max}) {
      text += cell(timed, "%8.0f ", us);
    }
    text += format(" %6llu %5llu %5llu  ", static_cast<unsigned long long>(s.lost),
                   static_cast<unsigned long long>(s.reordered),
                   static_cast<unsigned long long>(s.duplicated + s.foreign)) +
            cell(weighed, "%9.1f\n", s.memory.median);
  }
  const auto found = ratios(options, rounds);
  if (!found.empty()) text += "\n";
  for (const Ratio& ratio : found) {
    text += format("%s, %s against %s: %.2fx (%.2f to %.2f over the rounds)\n", ratio.what.c_str(),
                   name_of(ratio.contender), name_of(ratio.base), ratio.spread.median,
                   ratio.spread.low, ratio.spread.high);
  }
  return text + caveats(options, rounds);
}

nlohmann::json versus_json(const VersusOptions& options, const std::vector<Round>& rounds,
                           const Machine& machine) {
  nlohmann::json out{
      {"what", "versus"},
      {"machine",
       {{"processor", machine.processor}, {"kernel", machine.kernel}, {"cores", machine.cores}}},
      {"options",
       {{"load", load_name(options.load)},
        {"calls", options.calls},
        {"seconds", options.seconds},
        {"warm_up", options.warm_up},
        {"rounds", options.rounds},
        {"rtcp_mux", options.rtcp_mux},
        {"in_flight", options.in_flight},
        {"relay_core", options.relay.core},
        {"threads", options.relay.threads},
        {"rtpool_arguments", options.relay.rtpool_arguments},
        {"rtpengine_arguments", options.relay.rtpengine_arguments}}},
      {"rounds", nlohmann::json::array()},
      {"summary", nlohmann::json::array()},
      {"ratios", nlohmann::json::array()}};
  for (const Round& r : rounds) {
    out["rounds"].push_back(
        {{"contender", name_of(r.contender)},
         {"round", r.round},
         {"calls", r.calls},
         {"beyond", r.beyond},
         {"seconds", r.seconds},
         {"sent", r.sent},
         {"received", r.received},
         {"lost", r.lost},
         {"duplicated", r.duplicated},
         {"reordered", r.reordered},
         {"foreign", r.foreign},
         {"counted_by_relay", r.counted_by_relay},
         {"silent_streams", r.silent},
         {"send_errors", r.send_errors},
         {"sent_late", r.late},
         {"cpu_us_per_packet", r.cpu_per_packet},
         {"cpu_us_per_packet_by_stat", r.cpu_per_packet_process},
         {"busy", r.busy},
         {"stolen", r.stolen},
         {"others", r.others},
         {"latency_us", {{"p50", r.p50}, {"p99", r.p99}, {"p99.9", r.p999}, {"max", r.max}}},
         {"memory_kib_per_call", r.memory_per_call},
         {"process_memory_kib_per_call", r.process_memory_per_call},
         {"set_up_ms", r.set_up_ms}});
  }
  for (const ContenderSummary& s : summarize(options, rounds)) {
    out["summary"].push_back({{"contender", name_of(s.contender)},
                              {"rounds", s.rounds},
                              {"cpu_us_per_packet", spread_json(s.cpu)},
                              {"calls", spread_json(s.calls)},
                              {"busy", spread_json(s.busy)},
                              {"p50_us", spread_json(s.p50)},
                              {"p99_us", spread_json(s.p99)},
                              {"p99.9_us", spread_json(s.p999)},
                              {"memory_kib_per_call", spread_json(s.memory)},
                              {"sent", s.sent},
                              {"lost", s.lost}});
  }
  for (const Ratio& ratio : ratios(options, rounds)) {
    out["ratios"].push_back({{"what", ratio.what},
                             {"contender", name_of(ratio.contender)},
                             {"base", name_of(ratio.base)},
                             {"ratio", spread_json(ratio.spread)}});
  }
  return out;
}

}  // namespace rtpool::bench
