#include "relay/media/stream.h"

namespace rtpool::media {
namespace {

struct ComponentSetup {
  LocalEndpoint local;
  AdvertisedEndpoint advertised;
  std::optional<RemoteEndpoint> signalled;
};

void configure_component(Component& component, const StreamSpec& spec, const ComponentSetup& setup,
                         Duration learning_window, Instant now) {
  component.local = setup.local;
  component.advertised = setup.advertised;
  const bool advertised = !setup.advertised.address.is_unspecified();
  component.latch.configure(
      {.policy = spec.latch,
       .ice = spec.ice.has_value(),
       .signalled = setup.signalled,
       .sip_source = spec.sip_source,
       .local = setup.local.address,
       .advertised = advertised ? setup.advertised.address : setup.local.address,
       .epoch = spec.learn_epoch,
       .learning_window = learning_window},
      now);
  if (!spec.ice || !component.has_socket()) {
    component.ice.reset();
  } else if (!component.ice) {
    component.ice.start(*spec.ice);
  } else if (const auto nominated = component.ice->configure(*spec.ice)) {
    component.latch.nominate(*nominated, now);
  }
}

}  // namespace

std::optional<RemoteEndpoint> signalled_rtcp(const StreamSpec& spec) {
  if (spec.remote_rtcp) return spec.remote_rtcp;
  if (!spec.remote_rtp || spec.remote_rtp->port == 0xffff) return std::nullopt;
  RemoteEndpoint remote = *spec.remote_rtp;
  ++remote.port;
  return remote;
}

ComponentState Component::state(Instant now) const {
  Latch settled = latch;  // as of `now`: a learning window may have run out since the last packet
  const RemoteEndpoint* target = settled.target(now);
  return {.local = local,
          .advertised = advertised,
          .remote = target != nullptr && has_socket() ? std::optional(*target) : std::nullopt,
          .latched = settled.latched(),
          .received = received,
          .sent = sent,
          .dropped = dropped,
          .last_packet = last_packet};
}

void Stream::configure(const StreamSpec& spec, const StreamSockets& sockets,
                       Duration learning_window, Instant now) {
  id = spec.id;
  send = spec.send;
  rtcp_mux = spec.rtcp_mux;
  pass_dtls = spec.pass_dtls;
  opaque = spec.opaque;
  configure_component(rtp, spec, {sockets.rtp, sockets.advertised_rtp, spec.remote_rtp},
                      learning_window, now);
  configure_component(rtcp, spec, {sockets.rtcp, sockets.advertised_rtcp, signalled_rtcp(spec)},
                      learning_window, now);
}

}  // namespace rtpool::media
