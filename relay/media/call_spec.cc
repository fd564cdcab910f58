#include "relay/media/call_spec.h"

#include <algorithm>

#include "relay/media/call.h"
#include "relay/media/target.h"

namespace rtpool::media {
namespace {

std::string check_remote(const StreamSpec& stream, const std::optional<RemoteEndpoint>& remote) {
  if (!remote) return {};
  const std::string who =
      "remote endpoint " + remote->to_string() + " of stream " + std::to_string(stream.id.value);
  if (remote->port == 0) return who + " has no port";
  if (remote->address.family != stream.family)
    return who + " is not of the stream's address family";
  if (!media_address_allowed(remote->address)) return who + " can't be sent media";
  return {};
}

std::string check_ice(const StreamSpec& stream) {
  if (!stream.ice) return {};
  const IceSpec& ice = *stream.ice;
  const std::string who = "ICE credentials of stream " + std::to_string(stream.id.value);
  if (ice.local_ufrag.empty() || ice.local_pwd.empty()) return who + " lack a local part";
  for (const std::string* text :
       {&ice.local_ufrag, &ice.local_pwd, &ice.remote_ufrag, &ice.remote_pwd}) {
    if (text->size() > kMaxIceCredentialBytes) return who + " are too long";
  }
  return {};
}

std::string check_stream(const CallSpec& spec, const StreamSpec& stream) {
  const auto has_id = [](StreamId id) { return [id](const StreamSpec& s) { return s.id == id; }; };
  const std::string name = "stream " + std::to_string(stream.id.value);
  if (!stream.id.valid()) return "a stream has no id";
  if (std::count_if(spec.streams.begin(), spec.streams.end(), has_id(stream.id)) > 1) {
    return name + " appears twice";
  }
  if (stream.forward_to == stream.id) return name + " forwards to itself";
  if (stream.forward_to.valid() &&
      std::none_of(spec.streams.begin(), spec.streams.end(), has_id(stream.forward_to))) {
    return name + " forwards to stream " + std::to_string(stream.forward_to.value) +
           ", which the call does not have";
  }
  for (const auto* remote : {&stream.remote_rtp, &stream.remote_rtcp}) {
    if (auto wrong = check_remote(stream, *remote); !wrong.empty()) return wrong;
  }
  return check_ice(stream);
}

}  // namespace

std::string validate(const CallSpec& spec) {
  if (spec.key.empty()) return "the call has no key";
  if (spec.key.size() > kMaxCallKeyBytes) return "the call's key is too long";
  if (spec.streams.size() > kMaxStreamsPerCall) {
    return "the call has more than " + std::to_string(kMaxStreamsPerCall) + " streams";
  }
  for (const Duration timeout : {spec.setup_timeout, spec.media_timeout, spec.max_duration}) {
    if (timeout < Duration::zero()) return "a time-out is negative";
  }
  for (const StreamSpec& stream : spec.streams) {
    if (auto wrong = check_stream(spec, stream); !wrong.empty()) return wrong;
  }
  return {};
}

std::string_view to_string(EndReason reason) {
  switch (reason) {
    case EndReason::deleted:
      return "deleted";
    case EndReason::setup_timeout:
      return "setup_timeout";
    case EndReason::media_timeout:
      return "media_timeout";
    case EndReason::max_duration:
      return "max_duration";
    case EndReason::shutdown:
      return "shutdown";
  }
  return "unknown";
}

}  // namespace rtpool::media
