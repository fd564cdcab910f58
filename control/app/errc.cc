#include "control/app/errc.h"

namespace rtpool::control {
namespace {

class AppCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "rtpool.app"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<AppErrc>(value)) {
      case AppErrc::usage:
        return "wrong command line or configuration";
      case AppErrc::start_failed:
        return "could not start";
      case AppErrc::unreachable:
        return "nobody answered";
    }
    return "unknown";
  }
};

}  // namespace

ErrorCode make_error_code(AppErrc errc) {
  static const AppCategory category;
  return {static_cast<int>(errc), category};
}

}  // namespace rtpool::control
