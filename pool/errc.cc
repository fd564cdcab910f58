#include "pool/errc.h"

#include <array>
#include <string>
#include <utility>

namespace rtpool::pool {
namespace {

struct Entry {
  Errc errc;
  std::string_view name;
  std::string_view meaning;
};

constexpr std::array kEntries = {
    Entry{Errc::bad_name, "bad_name", "not a valid name"},
    Entry{Errc::bad_endpoint, "bad_endpoint", "not a valid HOST:PORT"},
    Entry{Errc::bad_argument, "bad_argument", "value out of range"},
    Entry{Errc::policy_mismatch, "policy_mismatch", "the pool has another policy"},
    Entry{Errc::stale_epoch, "stale_epoch", "another process has registered under this name since"},
    Entry{Errc::id_taken, "id_taken", "another element of the pool has the same id; rename one"},
    Entry{Errc::unknown_pool, "unknown_pool", "no such pool"},
    Entry{Errc::unknown_element, "unknown_element", "no such element"},
    Entry{Errc::unknown_stream, "unknown_stream", "heartbeat without a registration"},
    Entry{Errc::already_registered, "already_registered", "the stream carries a registration"},
    Entry{Errc::too_many_pools, "too_many_pools", "the registrar's limit of pools is reached"},
    Entry{Errc::too_many_elements, "too_many_elements",
          "the registrar's limit of elements is reached"},
    Entry{Errc::too_many_watchers, "too_many_watchers",
          "the registrar's limit of watchers is reached"},
    Entry{Errc::overloaded, "overloaded", "the registrar is overloaded"},
    Entry{Errc::store_failed, "store_failed", "the store failed"},
    Entry{Errc::store_full, "store_full", "the store holds as many records as it may"},
    Entry{Errc::none_available, "none_available", "the pool has no element that may be used"},
    Entry{Errc::all_full, "all_full", "every element of the pool is at its capacity"},
    Entry{Errc::bind_failed, "bind_failed", "can't listen"},
    Entry{Errc::stopped, "stopped", "stopped"},
    Entry{Errc::forbidden, "forbidden", "the peer's certificate does not allow it"},
};

class Category final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "pool"; }
  [[nodiscard]] std::string message(int value) const override {
    for (const Entry& entry : kEntries) {
      if (static_cast<int>(entry.errc) == value) return std::string(entry.meaning);
    }
    return "unknown error";
  }
};

}  // namespace

boost::system::error_code make_error_code(Errc errc) noexcept {
  static const Category category;
  return {static_cast<int>(errc), category};
}

std::string_view name_of(Errc errc) {
  for (const Entry& entry : kEntries) {
    if (entry.errc == errc) return entry.name;
  }
  return "unknown";
}

std::optional<Errc> errc_of(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.errc;
  }
  return std::nullopt;
}

}  // namespace rtpool::pool
