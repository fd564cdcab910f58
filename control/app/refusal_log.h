// What the log says of a relay that refuses new calls: a line when it begins and a line when it is
// over, at most one every five seconds, however often that changes in between.
//
// Sans-IO, not synchronised; asked often, whether or not anything changed.
#pragma once

#include <cstdint>
#include <optional>

#include "relay/base/time.h"
#include "relay/headroom.h"

namespace rtpool::control {

class RefusalLog {
 public:
  static constexpr Duration kInterval = std::chrono::seconds(5);

  struct Line {
    Refusal refusal = Refusal::none;  // none: new calls are taken again
    std::uint64_t refused = 0;        // calls, since the last line
  };
  // `refused`: calls refused since the start. A line, when one is due.
  std::optional<Line> look(Instant now, Refusal refusal, std::uint64_t refused);

 private:
  bool told_ = false;  // that calls are refused
  std::optional<Instant> last_line_;
  std::uint64_t refused_then_ = 0;
};

}  // namespace rtpool::control
