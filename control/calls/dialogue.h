// Offers, answers and branches worked into a CallRecord (RFC 3264; forking: RFC 3261, 13.1): which
// Leg is meant, which streams are needed, where each party is, who hears whom. Pure but for the
// random bytes it is given.
//
// Work on a copy of the record and drop it on error. After take_offer() or take_answer() the
// record's specification goes to a relay; when that has answered, put its streams into `endpoints`
// and let write_description() make the SDP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "control/calls/call_record.h"
#include "control/ng/request.h"
#include "control/sdp/options.h"
#include "control/sdp/session.h"
#include "control/sdp/terms.h"
#include "relay/base/result.h"
#include "relay/base/time.h"

namespace rtpool::control {

// What an offer or answer turned into, kept until the relay has answered.
struct Exchange {
  std::size_t sender = 0, recipient = 0;  // legs: whose SDP it is, who gets it
  sdp::Session session;
  sdp::Options options;
  sdp::Plan plan;
};

enum class DialogueErrc {
  unknown_call = 1,  // an answer to an offer that we never saw
  bad_sdp,           // not parsed
  refused,           // parsed, but what is asked can't be done; the detail says why
  too_many,          // legs, branches or streams over the limit
};
ErrorCode make_error_code(DialogueErrc errc);

using SecretBytes = std::function<void(std::span<std::byte>)>;

struct DialogueDefaults {
  std::uint8_t tos = 0;
  SecretBytes secret_bytes;
};

Result<Exchange> take_offer(CallRecord& record, const ng::Request& request,
                            const DialogueDefaults& defaults, std::int64_t now_s);
Result<Exchange> take_answer(CallRecord& record, const ng::Request& request,
                             const DialogueDefaults& defaults, std::int64_t now_s);

// The SDP for the recipient. `record.endpoints` are the relay's; `record` keeps what was written.
Result<std::string> write_description(CallRecord& record, Exchange& exchange);

enum class Forgotten : std::uint8_t { nothing, branch, call };
// Takes away what a delete names: `nothing` if no Leg matches, `branch` if other branches of the
// call go on without it, `call` if nothing would be left (the record is then untouched).
Forgotten take_delete(CallRecord& record, const ng::Request& request);

}  // namespace rtpool::control

template <>
struct boost::system::is_error_code_enum<rtpool::control::DialogueErrc> : std::true_type {};
