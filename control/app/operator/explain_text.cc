#include "control/app/operator/explain_text.h"

#include <array>
#include <cstdio>

namespace rtpool::control {
namespace {

using media::Drop;
using media::Explanation;
using media::Learned;
using media::Outcome;
using nlohmann::json;

std::string hex(std::uint32_t ssrc) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0x%08x", ssrc);
  return text.data();
}

std::string_view name_of(Learned learned) {
  switch (learned) {
    case Learned::nothing:
      return "nothing";
    case Learned::latched:
      return "latched";
    case Learned::moved:
      return "moved";
  }
  return "nothing";
}

std::string_view name_of(media::LatchPolicy policy) {
  switch (policy) {
    case media::LatchPolicy::learn:
      return "learn";
    case media::LatchPolicy::signalled:
      return "signalled";
    case media::LatchPolicy::any:
      return "any";
  }
  return "learn";
}

std::string taken(const Explanation& told, const Outcome& outcome, const RemoteEndpoint& source) {
  switch (outcome.learned) {
    case Learned::latched:
      return "is accepted and latched";
    case Learned::moved:
      return "is accepted and relatched" +
             (told.remote ? ", from " + told.remote->to_string() : std::string());
    case Learned::nothing:
      return told.latched && told.remote == source ? "is accepted, being the latched source"
                                                   : "is accepted";
  }
  return "is accepted";
}

std::string why_source_refused(const Explanation& told) {
  if (told.ice)
    return "with ICE only sources are heard whose connectivity check was authenticated; it would "
           "pass after one";
  if (!told.signalled && !told.sip_source)
    return "the party has not said yet where it is; it would pass after an offer or answer with "
           "its address";
  if (told.policy == media::LatchPolicy::signalled)
    return "only the signalled endpoint is heard (asymmetric); it would pass from " +
           (told.signalled ? told.signalled->to_string() : std::string("there"));
  std::string from;
  if (told.latched && told.remote) from = told.remote->to_string() + ", which is latched";
  std::string others;
  if (told.signalled) others = told.signalled->address.to_string();
  if (told.sip_source && (!told.signalled || *told.sip_source != told.signalled->address))
    others += (others.empty() ? "" : " or ") + told.sip_source->to_string();
  if (from.empty()) return "that is nobody's address; it would pass from any port of " + others;
  return "that is nobody's address; it would pass from " + from +
         ", or after an offer or answer with this address";
}

std::string why_ssrc_refused(const Explanation& told) {
  std::string text = "the address is the party's, but " +
                     (told.remote ? told.remote->to_string() : std::string("another port")) +
                     " is latched";
  if (!told.continued) return text + "; it would pass after an offer or answer with a new address";
  text += "; it would pass if it carried on SSRC " + hex(told.continued_ssrc.value_or(0)) +
          " (a NAT that moved)";
  if (told.continued->forwarded)
    text += ": relatched, leaving from " + told.continued->from.to_string() + " to " +
            told.continued->to.to_string();
  return text;
}

std::string why(const Explanation& told, Drop reason) {
  switch (reason) {
    case Drop::source_refused:
      return why_source_refused(told);
    case Drop::ssrc_refused:
      return why_ssrc_refused(told);
    case Drop::no_peer:
      return "there is nobody to forward to; it would pass when the other side has answered with "
             "a port for it";
    case Drop::peer_unknown:
      return "the other side's address is not known yet; it would pass when it has signalled or "
             "shown one";
    case Drop::on_hold:
      return "the other side must not be sent media (hold); it would pass after an offer that "
             "ends that";
    case Drop::rate_limited:
      return "the source has changed too often; it would pass when the learning window is over";
    case Drop::unexpected_protocol:
      return "the stream has no use for this kind of packet";
    default:
      return "see docs/operations.md, Drops";
  }
}

json outcome_json(const Outcome& outcome) {
  json object = {{"forwarded", outcome.forwarded},
                 {"reason", outcome.forwarded ? "" : std::string(media::to_string(outcome.reason))},
                 {"learned", std::string(name_of(outcome.learned))}};
  if (!outcome.forwarded) return object;
  object["out_stream"] = outcome.out_stream.value;
  object["out_component"] = std::string(control::name_of(outcome.out_component));
  object["leaves_from"] = outcome.from.to_string();
  object["leaves_to"] = outcome.to.to_string();
  return object;
}

}  // namespace

std::string_view name_of(media::ComponentKind component) {
  return component == media::ComponentKind::rtp ? "RTP" : "RTCP";
}

std::string place_of(const Endpoint& local, const Endpoint& advertised) {
  if (local.port == 0) return "";
  const bool same = advertised.port == 0 || advertised == local;
  return local.to_string() + (same ? "" : " (" + advertised.to_string() + ")");
}

std::string explain_in_words(const Explanation& told, const RemoteEndpoint& source) {
  const Outcome& outcome = told.outcome;
  if (outcome.forwarded)
    return taken(told, outcome, source) + "; leaves from " + outcome.from.to_string() + " to " +
           outcome.to.to_string();
  return (outcome.learned == Learned::nothing ? "is dropped (" : "is latched, but dropped (") +
         std::string(media::to_string(outcome.reason)) + "): " + why(told, outcome.reason);
}

json explanation_json(const Explanation& told, const RemoteEndpoint& source) {
  json object = outcome_json(told.outcome);
  object["text"] = explain_in_words(told, source);
  object["stream"] = told.stream.value;
  object["component"] = std::string(name_of(told.component));
  object["local"] = told.local.to_string();
  object["advertised"] = told.advertised.port == 0 ? "" : told.advertised.to_string();
  object["latched"] = told.latched;
  object["remote"] = told.remote ? told.remote->to_string() : "";
  object["signalled"] = told.signalled ? told.signalled->to_string() : "";
  object["sip_source"] = told.sip_source ? told.sip_source->to_string() : "";
  object["policy"] = std::string(name_of(told.policy));
  object["ice"] = told.ice;
  object["continued"] = nullptr;
  if (told.continued) {
    object["continued"] = outcome_json(*told.continued);
    object["continued"]["ssrc"] = told.continued_ssrc.value_or(0);
  }
  return object;
}

}  // namespace rtpool::control
