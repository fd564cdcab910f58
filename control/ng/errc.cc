#include "control/ng/errc.h"

namespace rtpool::ng {
namespace {

class Category final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "rtpool.ng"; }

  // These texts go to the proxies as they are; those that rtpengine has too are spelled as it
  // spells them.
  [[nodiscard]] std::string message(int code) const override {
    switch (static_cast<Errc>(code)) {
      case Errc::no_cookie:
        return "Invalid data (no cookie)";
      case Errc::no_dictionary:
        return "Invalid data (no payload)";
      case Errc::invalid_format:
        return "Invalid NG data format";
      case Errc::malformed_bencode:
        return "Could not decode bencode dictionary";
      case Errc::malformed_json:
        return "Failed to parse JSON document";
      case Errc::not_a_dictionary:
        return "Message is not a dictionary";
      case Errc::limit_exceeded:
        return "Message exceeds a limit";
      case Errc::missing_command:
        return "Dictionary contains no key \"command\"";
      case Errc::unrecognized_command:
        return "Unrecognized command";
      case Errc::missing_key:
        return "A required key is missing";
      case Errc::invalid_value:
        return "Invalid value";
      case Errc::reply_too_large:
        return "Reply is too large for a datagram";
    }
    return "unknown NG error";
  }
};

}  // namespace

ErrorCode make_error_code(Errc errc) {
  static const Category category;
  return {static_cast<int>(errc), category};
}

std::string error_reason(const Error& error) {
  return error.detail.empty() ? error.code.message() : error.detail;
}

}  // namespace rtpool::ng
