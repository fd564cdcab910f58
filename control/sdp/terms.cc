#include "control/sdp/terms.h"

#include <string_view>
#include <utility>

#include "control/sdp/codecs.h"

namespace rtpool::sdp {
namespace {

bool is_dtls(Protocol protocol) {
  return protocol == Protocol::udp_tls_rtp_savp || protocol == Protocol::udp_tls_rtp_savpf;
}

// Who has keys for a protocol can't be changed here: SRTP is ended by the parties.
Result<bool> check_protocols(const Media& media, Protocol from, Protocol to, std::size_t index) {
  if (media.rejected() || from == to || !is_rtp(from) || !is_rtp(to)) return true;
  const bool sdes = !media.crypto.empty();
  const bool dtls = !media.fingerprint.empty();
  const std::string change = "m= line " + std::to_string(index + 1) + ": " +
                             std::string(to_string(from)) + " to " + std::string(to_string(to));
  if (is_secure(from) != is_secure(to) && !(is_secure(to) && (sdes || dtls))) {
    return Error(Errc::needs_srtp, change);
  }
  if (is_dtls(from) && is_secure(to) && !is_dtls(to) && !sdes)
    return Error(Errc::needs_srtp, change);
  if (!is_dtls(from) && is_dtls(to) && !dtls) return Error(Errc::needs_srtp, change);
  return true;
}

class Negotiation {
 public:
  Negotiation(const Session& session, const Options& options, Party& sender, Party& recipient)
      : session_(session), options_(options), sender_(sender), recipient_(recipient) {}

  Result<Plan> run() {
    const std::size_t count = session_.media().size();
    if (!offer() && !recipient_.media.empty() && recipient_.media.size() != count) {
      return Error(Errc::media_mismatch, std::to_string(count) + " m= lines for " +
                                             std::to_string(recipient_.media.size()));
    }
    if (sender_.media.size() < count) sender_.media.resize(count);
    if (recipient_.media.size() < count) recipient_.media.resize(count);
    Plan plan;
    for (std::size_t i = 0; i < count; ++i) {
      auto done = section(session_.media()[i], sender_.media[i], recipient_.media[i], i);
      if (!done) return done.error();
      plan.media.push_back(*done);
    }
    return plan;
  }

 private:
  [[nodiscard]] bool offer() const { return options_.step == Step::offer; }

  Result<MediaPlan> section(const Media& media, MediaTerms& from, MediaTerms& to,
                            std::size_t index) {
    if (offer() && options_.reset) from.known = to.known = false;
    protocol(media, from, to);
    if (auto checked = check_protocols(media, from.protocol, to.protocol, index); !checked) {
      return checked.error();
    }
    mid(media, from, to, index);
    packet_time(media, from, to);
    codecs(media, from, to);
    from.rejected = to.rejected = media.rejected() || !media.relayed();
    if (!media.rejected()) {
      from.peer_lite = media.ice.lite;
      from.trickle = media.has_ice() && media.ice.trickle;
      from.ice = media.has_ice();
      from.rtcp_mux = media.rtcp_mux;
    }
    from.zero_address = media.zero_address() && !options_.replace_zero_address;
    family(media, from, to);
    const bool require = !media.rejected() && is_rtp(to.protocol) ? mux(from, to) : false;
    ice(from, to);
    from.known = true;
    return MediaPlan{.sender = sockets(media, from, true, require),
                     .recipient = sockets(media, to, false, require)};
  }

  // An offerer's change of protocol resets what the recipient was told; an answerer speaks to the
  // offerer in the protocol of the offer.
  void protocol(const Media& media, MediaTerms& from, MediaTerms& to) const {
    from.type = media.type;
    const bool changed =
        from.protocol != media.protocol || from.protocol_text != media.protocol_text;
    from.protocol = media.protocol;
    from.protocol_text = media.protocol_text;
    from.formats = media.formats_text;
    const bool follow = changed && (offer() || options_.protocol_accept);
    if (follow || to.protocol_text.empty() || to.type != media.type) {
      to.protocol = from.protocol;
      to.protocol_text = from.protocol_text;
    }
    to.type = media.type;
    if (options_.protocol && is_rtp(from.protocol) && to.protocol != *options_.protocol) {
      to.protocol = *options_.protocol;
      to.protocol_text = to_string(*options_.protocol);
    }
  }

  void mid(const Media& media, MediaTerms& from, MediaTerms& to, std::size_t index) const {
    if (!offer()) return;
    if (!media.mid.empty()) from.mid = media.mid;
    if (!to.mid.empty()) return;
    to.mid = from.mid;
    if (to.mid.empty() && options_.generate_mid) to.mid = std::to_string(index + 1);
  }

  void packet_time(const Media& media, MediaTerms& from, MediaTerms& to) const {
    if (media.ptime_ms > 0) {
      if (!to.ptime_fixed) to.ptime_ms = media.ptime_ms;
      if (!from.ptime_fixed) from.ptime_ms = media.ptime_ms;
    }
    if (!offer()) return;
    if (options_.ptime_ms > 0) to.ptime_ms = options_.ptime_ms;
    if (options_.reverse_ptime_ms > 0) from.ptime_ms = options_.reverse_ptime_ms;
    if (options_.ptime_ms > 0 || options_.reverse_ptime_ms > 0) {
      from.ptime_fixed = to.ptime_fixed = true;
    }
  }

  void codecs(const Media& media, MediaTerms& from, MediaTerms& to) const {
    if (!is_rtp(media.protocol)) {
      from.codecs.clear();
      to.codecs.clear();
      return;
    }
    const std::vector<CodecTerms> said = to_terms(media.codecs);
    if (offer()) {
      from.codecs = to.codecs = apply_rules(said, options_.codec);
      to.offered.clear();
      for (const CodecTerms& codec : to.codecs) to.offered.push_back(codec.payload_type);
      return;
    }
    const bool open = media.rejected() || from.offered.empty();
    from.codecs = apply_rules(open ? said : keep_offered(said, from.offered), options_.codec);
    to.codecs = from.codecs;
  }

  void family(const Media& media, MediaTerms& from, MediaTerms& to) const {
    if (media.address && (!from.family || !from.ice)) from.family = media.address->family;
    if (!from.family) from.family = IpFamily::v4;
    if (!to.family) to.family = from.family;
    if (options_.address_family && !to.ice) to.family = options_.address_family;
  }

  // Gives whether rtcp-mux is offered with no port to fall back on.
  bool mux(MediaTerms& from, MediaTerms& to) const {
    if (!offer()) {
      if (!from.mux_decided) to.rtcp_mux = from.rtcp_mux;
      return false;
    }
    // A party that multiplexes already may have no second port open any more.
    const bool in_use = to.rtcp_mux && to.known;
    if (!in_use) to.rtcp_mux = from.rtcp_mux;
    const bool require = options_.mux_require || in_use;
    if (options_.mux_offer || require) {
      to.rtcp_mux = true;
    } else if (options_.mux_demux) {
      to.rtcp_mux = false;
    }
    to.mux_decided = false;
    if (!from.rtcp_mux) {
      to.mux_decided = true;  // not offered to us, so never accepted
    } else if (!to.rtcp_mux) {
      to.mux_decided = true;  // offered to us, not by us: accepted unless told otherwise
      if (options_.mux_reject) from.rtcp_mux = false;
    } else if (options_.mux_accept) {
      to.mux_decided = true;
    } else if (options_.mux_reject) {
      to.mux_decided = true;
      from.rtcp_mux = false;
    }
    return require;
  }

  void ice(MediaTerms& from, MediaTerms& to) const {
    const bool had_agent = to.ice && to.known;
    if (!to.known) to.ice = from.ice;
    switch (options_.ice) {
      case IceMode::as_offered:
        break;
      case IceMode::remove:
        to.ice = false;
        break;
      case IceMode::force:
        to.ice = true;
        break;
      case IceMode::force_relay:
      case IceMode::optional:
        // Only an answerer that does ICE makes it worth doing with an offerer that had not asked.
        to.ice = offer() || from.ice || had_agent;
        break;
    }
    if (options_.reject_ice) from.ice = false;
    if (offer() && options_.trickle_ice) to.trickle = true;
  }

  SocketPlan sockets(const Media& media, const MediaTerms& terms, bool faces_sender,
                     bool require) const {
    SocketPlan plan{.family = terms.family.value_or(IpFamily::v4)};
    plan.open = media.relayed() && !media.rejected();
    if (!plan.open) return plan;
    plan.ice = terms.ice;
    plan.dtls = !media.fingerprint.empty() || media.protocol == Protocol::dtls_sctp;
    if (!is_rtp(terms.protocol)) return plan;
    // Settled by an answer; in an offer only where there is no fallback.
    const bool settled =
        !offer() || (!faces_sender && require) || (faces_sender && media.rtcp_mux_only);
    plan.rtcp_mux = terms.rtcp_mux && settled;
    plan.rtcp = !plan.rtcp_mux;
    return plan;
  }

  const Session& session_;
  const Options& options_;
  Party& sender_;
  Party& recipient_;
};

}  // namespace

Result<Plan> negotiate(const Session& session, const Options& options, Party& sender,
                       Party& recipient) {
  Party next_sender = sender;
  Party next_recipient = recipient;
  auto plan = Negotiation(session, options, next_sender, next_recipient).run();
  if (!plan) return plan;
  sender = std::move(next_sender);
  recipient = std::move(next_recipient);
  return plan;
}

}  // namespace rtpool::sdp
