// CallRecords as bytes for the store (control/proto/call_record.proto).
#pragma once

#include <string>
#include <string_view>

#include "control/calls/call_record.h"
#include "relay/base/result.h"

namespace rtpool::control {

std::string encode_record(const CallRecord& record);

// Refuses (RelayErrc::protocol) what is no record, is of a format that this version does not know,
// or names legs and streams that it does not have.
Result<CallRecord> decode_record(std::string_view bytes);

}  // namespace rtpool::control
