// Between the relay's protobuf messages and the types of relay/: the only place that knows both.
#pragma once

#include <cstdint>
#include <string>

#include "control/proto/relay.pb.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/engine.h"
#include "relay/media/call_spec.h"
#include "relay/media/explain.h"

namespace rtpool::control {

void encode(const media::CallSpec& spec, relay::v1::CallSpec& out);
// Refuses what no CallSpec can hold (address lengths, ports, enum values, too many streams, long
// strings) with a sentence that names the field. Whether the streams fit together is
// media::validate()'s to say.
Result<media::CallSpec> decode(const relay::v1::CallSpec& in);

void encode(const media::CallState& state, relay::v1::CallState& out);
// Ages become Instants before `now`, the receiver's clock.
Result<media::CallState> decode(const relay::v1::CallState& in, Instant now);

struct ExplainQuestion {
  std::string key;
  RemoteEndpoint source;
  std::uint16_t port = 0;
};
void encode(const ExplainQuestion& question, relay::v1::ExplainRequest& out);
Result<ExplainQuestion> decode(const relay::v1::ExplainRequest& in);

void encode(const media::Explanation& explanation, relay::v1::Explanation& out);
Result<media::Explanation> decode(const relay::v1::Explanation& in);

relay::v1::EndReason encode(media::EndReason reason);
media::EndReason decode(relay::v1::EndReason reason);

}  // namespace rtpool::control
