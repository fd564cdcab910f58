#include "relay/io/errc.h"

namespace rtpool::io {
namespace {

class Category final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "rtpool.io"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<IoErrc>(value)) {
      case IoErrc::bind_failed:
        return "cannot bind";
      case IoErrc::address_unavailable:
        return "not an address of this host";
      case IoErrc::out_of_ports:
        return "no free media ports";
      case IoErrc::out_of_descriptors:
        return "too many open files";
      case IoErrc::epoll_unavailable:
        return "epoll is not available";
      case IoErrc::busy_poll_unavailable:
        return "busy polling is not available";
      case IoErrc::core_refused:
        return "cannot be pinned to the core";
      case IoErrc::unavailable:
        return "io_uring is not available";
    }
    return "unknown error";
  }
};

}  // namespace

ErrorCode make_error_code(IoErrc errc) {
  static const Category category;
  return {static_cast<int>(errc), category};
}

}  // namespace rtpool::io
