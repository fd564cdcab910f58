#include "control/app/roles/role_metrics.h"

#include <array>
#include <string>

#include "control/app/roles/role.h"

namespace rtpool::control {
namespace {

using media::EndReason;

constexpr std::array<Refusal, kRefusals - 1> kLimits{Refusal::calls,     Refusal::sockets,
                                                     Refusal::ports,     Refusal::packets,
                                                     Refusal::bandwidth, Refusal::busy};

constexpr std::array<EndReason, 5> kEndReasons{EndReason::deleted, EndReason::setup_timeout,
                                               EndReason::media_timeout, EndReason::max_duration,
                                               EndReason::shutdown};

double number(std::uint64_t value) {
  return static_cast<double>(value);
}

void add(media::PacketCounts& sum, const media::PacketCounts& part) {
  sum.packets += part.packets;
  sum.bytes += part.bytes;
}

ShardCounts sum_of(const EngineCounts& counts) {
  ShardCounts sum;
  for (const ShardCounts& shard : counts.shards) {
    add(sum.received, shard.received);
    add(sum.sent, shard.sent);
    for (std::size_t i = 0; i < media::kDropReasons; ++i) sum.drops[i] += shard.drops[i];
    sum.calls += shard.calls;
    sum.streams += shard.streams;
  }
  return sum;
}

void write_shard(MetricPage& page, const ShardCounts& shard, std::string_view name) {
  const MetricLabels labels{{"shard", name}};
  page.counter("rtpool_received_packets_total", "Datagrams received on media ports.",
               number(shard.received.packets), labels);
  page.counter("rtpool_received_bytes_total", "UDP payload received on media ports.",
               number(shard.received.bytes), labels);
  page.counter("rtpool_sent_packets_total", "Datagrams forwarded or answered.",
               number(shard.sent.packets), labels);
  page.counter("rtpool_sent_bytes_total", "UDP payload forwarded or answered.",
               number(shard.sent.bytes), labels);
  page.gauge("rtpool_shard_calls", "Calls on the shard.", number(shard.calls), labels);
  page.gauge("rtpool_shard_streams", "Media streams on the shard.", number(shard.streams), labels);
  page.gauge("rtpool_shard_busy", "Share of its core that the shard's thread needs, 0 to 1.",
             shard.load.rates.busy, labels);
  page.gauge("rtpool_shard_packets_per_second", "Datagrams received in a second.",
             shard.load.rates.packets_per_second, labels);
  page.gauge("rtpool_shard_received_bits_per_second", "With headers of IP and UDP.",
             shard.load.rates.bits_received_per_second, labels);
  page.gauge("rtpool_shard_sent_bits_per_second", "With headers of IP and UDP.",
             shard.load.rates.bits_sent_per_second, labels);
  page.gauge("rtpool_shard_talking_calls", "Calls that have had media in the last two seconds.",
             number(shard.load.talking), labels);
  page.counter("rtpool_batches_total", "Wake-ups that found packets.", number(shard.batches),
               labels);
  page.counter("rtpool_receive_rearmed_total", "Receives that ended and were armed again.",
               number(shard.receive_rearmed), labels);
  page.counter("rtpool_buffers_exhausted_total",
               "Receives that found no free buffer; the datagram waited.",
               number(shard.buffers_exhausted), labels);
  page.counter("rtpool_soft_errors_total", "ICMP errors and the like on media sockets.",
               number(shard.soft_errors), labels);
  page.gauge("rtpool_connected_sockets", "Media sockets whose sends go connected now.",
             number(shard.connected), labels);
}

}  // namespace

std::string to_hex(std::string_view octets) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : octets) {
    const auto octet = static_cast<unsigned char>(c);
    text += kDigits[octet >> 4];
    text += kDigits[octet & 15];
  }
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (text.size() % 2 != 0) return std::nullopt;
  std::string octets;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    octets += static_cast<char>(high * 16 + low);
  }
  return octets;
}

std::string dump(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void write_metrics(MetricPage& page, const EngineCounts& counts, const EngineOptions& options) {
  const ShardCounts sum = sum_of(counts);
  page.gauge("rtpool_relay_calls", "Calls on this relay.", number(sum.calls));
  page.gauge("rtpool_relay_calls_limit", "Calls that this relay takes at most.",
             number(options.max_calls));
  page.counter("rtpool_relay_calls_created_total", "Calls that this relay took.",
               number(counts.calls_created));
  for (const EndReason reason : kEndReasons) {
    page.counter("rtpool_relay_calls_ended_total", "Calls that ended on this relay, by reason.",
                 number(counts.calls_ended[static_cast<std::size_t>(reason)]),
                 {{"reason", media::to_string(reason)}});
  }
  for (const Refusal limit : kLimits) {
    const auto place = static_cast<std::size_t>(limit);
    page.counter("rtpool_relay_calls_refused_total",
                 "New calls refused for want of room, by the limit that was reached.",
                 number(counts.calls_refused[place]), {{"reason", to_string(limit)}});
    page.gauge("rtpool_relay_limit_used",
               "Share of each limit in use, 0 to 1, with what accepted calls are expected to add.",
               counts.headroom.used[place], {{"limit", to_string(limit)}});
  }
  page.gauge("rtpool_relay_load", "What the pool is told: 1 while new calls are refused.",
             counts.headroom.load);
  for (std::size_t i = 0; i < counts.shards.size(); ++i)
    write_shard(page, counts.shards[i], std::to_string(i));
  for (std::size_t i = 1; i < media::kDropReasons; ++i) {  // 0 is "not dropped"
    page.counter("rtpool_dropped_packets_total", "Datagrams dropped, by reason.",
                 number(sum.drops[i]), {{"reason", media::to_string(static_cast<media::Drop>(i))}});
  }
  page.gauge("rtpool_ports", "Media ports by state; total is all of them.",
             number(counts.ports_total), {{"state", "total"}});
  page.gauge("rtpool_ports", "", number(counts.ports_leased), {{"state", "leased"}});
  page.gauge("rtpool_ports", "", number(counts.ports_resting), {{"state", "resting"}});
  page.gauge("rtpool_ports", "", number(counts.ports_prebound), {{"state", "prebound"}});
}

void write_metrics(MetricPage& page, const CallManagerCounts& counts, std::uint32_t max_calls) {
  page.gauge("rtpool_calls", "Calls that this controller knows.", number(counts.calls));
  page.gauge("rtpool_calls_limit", "Calls that this controller takes at most.", number(max_calls));
  page.counter("rtpool_calls_created_total", "Calls set up.", number(counts.created));
  page.counter("rtpool_calls_ended_total", "Calls ended, by the proxy or by a time-out.",
               number(counts.deleted), {{"reason", "deleted"}});
  page.counter("rtpool_calls_ended_total", "", number(counts.timed_out), {{"reason", "timeout"}});
  page.counter("rtpool_relay_failovers_total", "Offers that needed another relay than the first.",
               number(counts.relay_failovers));
  page.counter("rtpool_calls_moved_total", "Calls that a re-INVITE put on another relay.",
               number(counts.moved));
  page.counter("rtpool_calls_adopted_total",
               "Calls of another controller that were gone on with here.", number(counts.adopted));
  page.counter("rtpool_calls_overtaken_total",
               "Changes done again because another controller was first.",
               number(counts.overtaken));
  page.counter("rtpool_call_store_failures_total",
               "Requests that had to do without the store of CallRecords.",
               number(counts.store_failures));
  page.gauge("rtpool_calls_unsaved", "Calls that the store has not got yet.",
             number(counts.unsaved));
  page.counter("rtpool_offers_refused_total", "Offers refused.", number(counts.refused_no_relay),
               {{"reason", "no_relay"}});
  page.counter("rtpool_offers_refused_total", "", number(counts.refused_full),
               {{"reason", "limit"}});
}

void write_metrics(MetricPage& page, const ng::ServerCounts& counts) {
  for (std::size_t i = 0; i < ng::kCommandCount; ++i) {
    const auto command = ng::to_string(static_cast<ng::Command>(i));
    page.counter(
        "rtpool_ng_requests_total", "NG requests by command and result; copies are not counted.",
        number(counts.requests[i] - counts.errors[i]), {{"command", command}, {"result", "ok"}});
    page.counter("rtpool_ng_requests_total", "", number(counts.errors[i]),
                 {{"command", command}, {"result", "error"}});
  }
  page.counter("rtpool_ng_datagrams_total", "Datagrams received for NG.", number(counts.datagrams));
  page.counter("rtpool_ng_duplicates_total", "Copies of requests, answered from the cache.",
               number(counts.duplicates));
  page.counter("rtpool_ng_malformed_total", "Datagrams that were no request, by kind.",
               number(counts.without_cookie), {{"kind", "no_cookie"}});
  page.counter("rtpool_ng_malformed_total", "", number(counts.malformed),
               {{"kind", "no_dictionary"}});
  page.counter("rtpool_ng_refused_total", "Requests refused because too many were in work.",
               number(counts.refused));
  page.counter("rtpool_ng_replies_total", "Replies sent.", number(counts.replies));
  page.counter("rtpool_ng_reply_failures_total", "Replies not sent, by kind.",
               number(counts.reply_too_large), {{"kind", "too_large"}});
  page.counter("rtpool_ng_reply_failures_total", "", number(counts.send_failed),
               {{"kind", "send_failed"}});
  page.gauge("rtpool_ng_requests_in_work", "Requests not answered yet.", number(counts.in_work));
  page.gauge("rtpool_ng_cache_entries", "Replies kept for copies of their requests.",
             number(counts.cache_entries));
  page.gauge("rtpool_ng_cache_bytes", "Their size.", number(counts.cache_bytes));
}

nlohmann::json engine_json(const EngineCounts& counts) {
  const ShardCounts sum = sum_of(counts);
  nlohmann::json drops = nlohmann::json::object();
  for (std::size_t i = 1; i < media::kDropReasons; ++i)
    drops[std::string(media::to_string(static_cast<media::Drop>(i)))] = sum.drops[i];
  nlohmann::json refused = nlohmann::json::object();
  for (const Refusal limit : kLimits) {
    refused[std::string(to_string(limit))] = counts.calls_refused[static_cast<std::size_t>(limit)];
  }
  return {{"shards", counts.shards.size()},
          {"calls", sum.calls},
          {"received", {{"packets", sum.received.packets}, {"bytes", sum.received.bytes}}},
          {"sent", {{"packets", sum.sent.packets}, {"bytes", sum.sent.bytes}}},
          {"drops", drops},
          {"load", counts.headroom.load},
          {"refusing", to_string(counts.headroom.refusal)},
          {"refused", refused},
          {"ports",
           {{"total", counts.ports_total},
            {"leased", counts.ports_leased},
            {"resting", counts.ports_resting}}}};
}

}  // namespace rtpool::control
