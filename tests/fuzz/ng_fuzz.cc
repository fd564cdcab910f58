// One NG datagram: cut, parsed, read into a request, and what was parsed encoded both ways and
// parsed again. Beyond not crashing: bencode gives back what it was given, and what JSON writes
// JSON reads.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "control/ng/codec.h"
#include "control/ng/request.h"
#include "control/ng/rtpp_flags.h"
#include "relay/base/assert.h"

namespace {

using namespace rtpool::ng;  // NOLINT: the target is about nothing else

// Encoding may grow a message beyond what a datagram brings in.
constexpr ParseLimits kRoundTrip{.max_depth = 16, .max_items = 4096, .max_bytes = 1U << 20U};

void round_trip(const Value& value) {
  const auto bencode = parse_bencode(encode_bencode(value), kRoundTrip);
  RTPOOL_ASSERT(bencode.has_value() && *bencode == value);
  if (!value.is_dictionary()) return;
  const auto json = parse_json(encode_json(value), kRoundTrip);
  RTPOOL_ASSERT(json.has_value());
  // Bytes that are no UTF-8 were replaced the first time; the second time nothing changes.
  const auto again = parse_json(encode_json(*json), kRoundTrip);
  RTPOOL_ASSERT(again.has_value() && *again == *json);
}

void check_request(std::string_view body) {
  const auto request = parse_request(Frame{"fuzz", body});
  if (!request) {
    RTPOOL_ASSERT(!error_reason(request.error()).empty());
    return;
  }
  RTPOOL_ASSERT(request->call_id.size() <= kMaxCallIdBytes && request->sdp.size() <= kMaxSdpBytes);
  RTPOOL_ASSERT(request->from_tag.size() <= kMaxTagBytes && request->to_tag.size() <= kMaxTagBytes);
  RTPOOL_ASSERT(request->flags.words().size() <= kMaxFlags &&
                request->ignored.size() <= kMaxIgnored);
  RTPOOL_ASSERT(request->raw.find("sdp") == nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view datagram(reinterpret_cast<const char*>(data), size);
  const auto frame = split_frame(datagram);
  const std::string_view body = frame ? frame->body : datagram;
  if (const auto value = parse_bencode(body)) round_trip(*value);
  if (const auto value = parse_json(body)) round_trip(*value);
  check_request(body);
  parse_rtpp_flags(body);
  return 0;
}
