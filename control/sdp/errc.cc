#include "control/sdp/errc.h"

#include <string>

namespace rtpool::sdp {
namespace {

class Category final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "sdp"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::malformed:
        return "malformed SDP";
      case Errc::too_large:
        return "SDP over its limits";
      case Errc::unresolved_address:
        return "SDP names a host instead of an address";
      case Errc::media_mismatch:
        return "SDP answer does not fit its offer";
      case Errc::needs_srtp:
        return "SRTP is not ended here";
      case Errc::unsupported:
        return "not supported";
    }
    return "unknown SDP error";
  }
};

}  // namespace

ErrorCode make_error_code(Errc errc) {
  static const Category category;
  return {static_cast<int>(errc), category};
}

}  // namespace rtpool::sdp
