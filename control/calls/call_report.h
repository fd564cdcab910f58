// The replies to `query` and `delete`: what is known of a call, as NG dictionaries (WIRE: NG
// control protocol).
#pragma once

#include <cstdint>

#include "control/calls/call_record.h"
#include "control/ng/value.h"
#include "relay/media/call_spec.h"

namespace rtpool::control {

// `state` is the relay's, or nullptr when the relay could not say: then counters are zero.
ng::Value call_report(const CallRecord& record, const media::CallState* state);

}  // namespace rtpool::control
