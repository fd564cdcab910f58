#include "relay/engine.h"

namespace rtpool {
namespace {

class Category final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "rtpool.engine"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<EngineErrc>(value)) {
      case EngineErrc::unknown_call:
        return "unknown call";
      case EngineErrc::stale_revision:
        return "a newer revision of the call is in force";
      case EngineErrc::invalid_spec:
        return "invalid specification";
      case EngineErrc::unknown_interface:
        return "unknown interface";
      case EngineErrc::out_of_ports:
        return "out of media ports";
      case EngineErrc::too_many_calls:
        return "too many calls";
      case EngineErrc::bind_failed:
        return "cannot bind media address";
      case EngineErrc::io_unavailable:
        return "packet I/O is not available";
      case EngineErrc::shutting_down:
        return "shutting down";
      case EngineErrc::too_many_packets:
        return "too many packets per second";
      case EngineErrc::too_much_bandwidth:
        return "too much bandwidth";
      case EngineErrc::too_busy:
        return "too busy";
    }
    return "unknown error";
  }
};

}  // namespace

ErrorCode make_error_code(EngineErrc errc) {
  static const Category category;
  return {static_cast<int>(errc), category};
}

}  // namespace rtpool
