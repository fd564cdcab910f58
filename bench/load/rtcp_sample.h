// One RTCP sender report (RFC 3550, 6.4.1, with SDES) from every telephone of the first calls to
// its peer through the relay, and how many did not arrive: proof that ports for RTCP work.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bench/load/telephones.h"

namespace rtpool::bench {

struct RtcpSample {
  std::uint64_t sent = 0, lost = 0;
};

// Sends `packets_per_second` (> 0), then waits for what is missing, `patience_ns` at the most.
RtcpSample sample_rtcp(const Telephones& telephones, std::size_t calls, double packets_per_second,
                       std::int64_t patience_ns);

}  // namespace rtpool::bench
