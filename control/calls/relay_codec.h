// Between the relay's protobuf messages and the types of relay/: the only place that knows both.
#pragma once

#include "control/proto/relay.pb.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/engine.h"
#include "relay/media/call_spec.h"

namespace rtpool::control {

void encode(const media::CallSpec& spec, relay::v1::CallSpec& out);
// Refuses what no CallSpec can hold (address lengths, ports, enum values, too many streams, long
// strings) with a sentence that names the field. Whether the streams fit together is
// media::validate()'s to say.
Result<media::CallSpec> decode(const relay::v1::CallSpec& in);

void encode(const media::CallState& state, relay::v1::CallState& out);
// Ages become Instants before `now`, the receiver's clock.
Result<media::CallState> decode(const relay::v1::CallState& in, Instant now);

relay::v1::EndReason encode(media::EndReason reason);
media::EndReason decode(relay::v1::EndReason reason);

}  // namespace rtpool::control
