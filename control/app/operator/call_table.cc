#include "control/app/operator/call_table.h"

#include <algorithm>
#include <chrono>

#include "control/app/operator/explain_text.h"
#include "control/app/operator/terminal.h"

namespace rtpool::control {
namespace {

using media::CallState;
using media::ComponentKind;
using media::ComponentState;
using media::StreamState;
using nlohmann::json;
using enum Table::Align;

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string packets_of(const json& media, const char* key) {
  return media.contains(key) && media.at(key).is_object() ? text_of(media.at(key), "packets") : "";
}

Cell trouble_cell(const std::string& count, Colour colour) {
  return {count, count.empty() || count == "0" ? Colour::plain : colour};
}

void add_call(Table& table, const json& call) {
  bool first = true;
  for (const auto& leg : call.value("legs", json::array())) {
    if (!leg.is_object()) continue;
    for (const auto& media : leg.value("medias", json::array())) {
      if (!media.is_object()) continue;
      const auto own = [&](const std::string& text) {
        // A space, so that the call's later lines have no dash there.
        return Cell(first ? text : " ");
      };
      table.add({own(text_of(call, "call_id")), own(text_of(call, "relay")),
                 own(text_of(call, "age_seconds") + " s"), text_of(leg, "tag"),
                 text_of(media, "type"), text_of(media, "remote"), text_of(media, "local"),
                 packets_of(media, "received"), trouble_cell(text_of(media, "lost"), Colour::red),
                 packets_of(media, "sent"),
                 trouble_cell(text_of(media, "dropped"), Colour::yellow)});
      first = false;
    }
  }
}

// The party whose port it is; RTCP's is the port above RTP's, or RTP's own.
Party party_of(const KnownCall& known, Endpoint local, ComponentKind component) {
  auto found = known.parties.find(local.to_string());
  if (found == known.parties.end() && component == ComponentKind::rtcp && local.port > 0) {
    --local.port;
    found = known.parties.find(local.to_string());
  }
  return found == known.parties.end() ? Party{} : found->second;
}

std::int64_t ms_between(Instant then, Instant now) {
  if (then == Instant{}) return -1;
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - then).count();
}

std::int64_t lost_of(const StreamState& stream) {
  std::int64_t lost = 0;
  for (const auto& ssrc : stream.ssrcs) lost += std::max<std::int64_t>(0, ssrc.lost);
  return lost;
}

void add_component(Table& table, const CallState& state, const StreamState& stream,
                   ComponentKind kind, const KnownCall& known) {
  const ComponentState& c = kind == ComponentKind::rtp ? stream.rtp : stream.rtcp;
  if (c.local.port == 0) return;
  const Party party = party_of(known, c.local, kind);
  const auto silent = ms_between(c.last_packet, state.observed);
  const bool rtp = kind == ComponentKind::rtp;
  table.add({std::to_string(stream.id.value), party.label.empty() ? party.tag : party.label,
             party.media, std::string(name_of(kind)), c.remote ? c.remote->to_string() : "",
             c.latched ? Cell("yes", Colour::green) : Cell("no", Colour::yellow),
             place_of(c.local, c.advertised), std::to_string(c.received.packets),
             std::to_string(c.sent.packets),
             rtp ? trouble_cell(std::to_string(lost_of(stream)), Colour::red) : Cell(""),
             rtp && !stream.ssrcs.empty() ? std::to_string(stream.ssrcs.back().jitter) : "",
             trouble_cell(std::to_string(c.dropped), Colour::yellow),
             silent < 0 ? "" : rough(std::chrono::milliseconds(silent)) + " ago"});
}

json component_json(const ComponentState& c, Instant now) {
  const auto counts = [](const media::PacketCounts& n) {
    return json{{"packets", n.packets}, {"bytes", n.bytes}};
  };
  const auto ms = ms_between(c.last_packet, now);
  return {{"local", c.local.port == 0 ? "" : c.local.to_string()},
          {"advertised", c.advertised.port == 0 ? "" : c.advertised.to_string()},
          {"remote", c.remote ? c.remote->to_string() : ""},
          {"latched", c.latched},
          {"received", counts(c.received)},
          {"sent", counts(c.sent)},
          {"dropped", c.dropped},
          {"last_packet_ms", ms < 0 ? json(nullptr) : json(ms)}};
}

}  // namespace

std::string call_list_text(const json& all, const std::string& relay, bool colours) {
  Table table({{"CALL"},
               {"RELAY"},
               {"AGE", right},
               {"PARTY"},
               {"MEDIA"},
               {"PARTY'S ADDRESS"},
               {"RELAY'S ADDRESS"},
               {"RECEIVED", right},
               {"LOST", right},
               {"SENT", right},
               {"DROPPED", right}});
  for (const auto& call : all.at("calls")) add_call(table, call);
  std::string out = table.text(colours);
  const std::string total = text_of(all, "total");
  const std::size_t shown = all.at("calls").size();
  if (total != std::to_string(shown))
    out += "(" + std::to_string(shown) + " of " + total + " calls" +
           (relay.empty() ? "" : ": those on " + relay) + ")\n";
  return out;
}

std::string call_state_text(const CallState& state, const KnownCall& known,
                            const std::string& relay, bool colours) {
  std::string out = "Call " + painted(printable(state.key), Colour::bold, colours) + " on relay " +
                    printable(relay) + ", for " + rough(state.observed - state.created) + "\n";
  Table table({{"STREAM", right},
               {"PARTY"},
               {"MEDIA"},
               {"PORT"},
               {"PARTY'S ADDRESS"},
               {"LATCHED"},
               {"RELAY'S ADDRESS"},
               {"RECEIVED", right},
               {"SENT", right},
               {"LOST", right},
               {"JITTER", right},
               {"DROPPED", right},
               {"LAST PACKET", right}});
  for (const StreamState& stream : state.streams) {
    add_component(table, state, stream, ComponentKind::rtp, known);
    add_component(table, state, stream, ComponentKind::rtcp, known);
  }
  out += table.text(colours);
  std::string drops;
  for (std::size_t i = 0; i < state.drops.size(); ++i) {
    if (state.drops[i] == 0) continue;
    drops += (drops.empty() ? "" : ", ") + std::to_string(state.drops[i]) + " " +
             std::string(media::to_string(static_cast<media::Drop>(i)));
  }
  return out + "Dropped: " + (drops.empty() ? "nothing" : drops) + "\n";
}

void add_party(json& object, const KnownCall& known, const LocalEndpoint& local,
               ComponentKind component) {
  const Party party = party_of(known, local, component);
  object["tag"] = party.tag;
  object["label"] = party.label;
  object["media"] = party.media;
}

json call_state_json(const CallState& state, const KnownCall& known) {
  json streams = json::array();
  for (const StreamState& stream : state.streams) {
    json ssrcs = json::array();
    for (const auto& ssrc : stream.ssrcs) {
      ssrcs.push_back({{"ssrc", ssrc.ssrc},
                       {"payload_type", ssrc.payload_type},
                       {"packets", ssrc.received.packets},
                       {"bytes", ssrc.received.bytes},
                       {"lost", ssrc.lost},
                       {"jitter", ssrc.jitter},
                       {"last_sequence", ssrc.last_sequence}});
    }
    json one = {{"stream", stream.id.value},
                {"rtp", component_json(stream.rtp, state.observed)},
                {"rtcp", component_json(stream.rtcp, state.observed)},
                {"ssrcs", std::move(ssrcs)}};
    add_party(one, known, stream.rtp.local, ComponentKind::rtp);
    streams.push_back(std::move(one));
  }
  json drops = json::object();
  for (std::size_t i = 1; i < state.drops.size(); ++i)
    drops[std::string(media::to_string(static_cast<media::Drop>(i)))] = state.drops[i];
  return {
      {"age_seconds",
       std::chrono::duration_cast<std::chrono::seconds>(state.observed - state.created).count()},
      {"revision", state.revision},
      {"drops", std::move(drops)},
      {"streams", std::move(streams)}};
}

std::string explain_call_text(const std::vector<media::Explanation>& told, const KnownCall& known,
                              const RemoteEndpoint& source, const std::string& relay,
                              bool colours) {
  std::string out = "On relay " + printable(relay) + ", a packet from " + source.to_string() + "\n";
  for (const auto& one : told) {
    const Party party = party_of(known, one.local, one.component);
    std::string whose = std::string(name_of(one.component)) + " of ";
    if (party.tag.empty()) {
      whose += "stream " + std::to_string(one.stream.value);
    } else {
      whose += (party.media.empty() ? "" : party.media + " of ") +
               (party.label.empty() ? party.tag : party.label);
    }
    out += "  to " + place_of(one.local, one.advertised) + ", " + printable(whose) + ", " +
           painted(explain_in_words(one, source),
                   one.outcome.forwarded ? Colour::green : Colour::yellow, colours) +
           "\n";
  }
  return out;
}

}  // namespace rtpool::control
