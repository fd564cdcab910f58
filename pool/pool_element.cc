#include "pool/pool_element.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "pool/errc.h"

namespace rtpool::pool {
namespace {

constexpr std::array<std::pair<Policy, std::string_view>, 10> kPolicies = {{
    {Policy::round_robin, "round-robin"},
    {Policy::weighted_round_robin, "weighted-round-robin"},
    {Policy::random, "random"},
    {Policy::weighted_random, "weighted-random"},
    {Policy::priority, "priority"},
    {Policy::least_used, "least-used"},
    {Policy::least_used_degradation, "least-used-degradation"},
    {Policy::priority_least_used, "priority-least-used"},
    {Policy::randomized_least_used, "randomized-least-used"},
    {Policy::srv, "srv"},
}};

// Weights are summed over up to 10,000 elements, and priorities compared with loads: both stay
// small.
constexpr std::uint32_t kMaxWeight = 1'000'000;

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_endpoint(std::string_view text) {
  if (text.size() > kMaxEndpointLength) return false;
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.front() == '[' && host.back() == ']' && host.size() > 2;
  const std::string_view inner = bracketed ? host.substr(1, host.size() - 2) : host;
  const auto allowed = [&](char c) {
    return is_alnum(c) || c == '.' || c == '-' || c == '_' || (bracketed && c == ':');
  };
  if (!std::all_of(inner.begin(), inner.end(), allowed)) return false;
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return error == std::errc{} && end == port.data() + port.size() && number > 0;
}

}  // namespace

std::string_view name_of(Policy policy) {
  for (const auto& [value, name] : kPolicies) {
    if (value == policy) return name;
  }
  return "unknown";
}

Result<Policy> policy_of(std::string_view name) {
  for (const auto& [value, spelt] : kPolicies) {
    if (spelt == name) return value;
  }
  return Error(Errc::bad_argument, "there is no policy '" + std::string(name.substr(0, 64)) + "'");
}

PoolElementId element_id(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a, then folded
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  const auto folded = static_cast<std::uint32_t>(hash ^ (hash >> 32));
  return PoolElementId{folded == 0 ? 1 : folded};
}

Result<void> check_name(std::string_view what, std::string_view name) {
  const auto allowed = [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; };
  if (name.empty()) return Error(Errc::bad_name, std::string(what) + " is empty");
  if (name.size() > kMaxNameLength) {
    return Error(Errc::bad_name, std::string(what) + " has more than 64 characters");
  }
  if (!std::all_of(name.begin(), name.end(), allowed)) {
    return Error(Errc::bad_name, std::string(what) + " may have letters, digits, '.', '_' and '-'");
  }
  return {};
}

Result<void> check_endpoint(std::string_view text) {
  if (is_endpoint(text)) return {};
  return Error(Errc::bad_endpoint, "'" + std::string(text.substr(0, 64)) + "'");
}

Result<void> check_registration(const Registration& registration) {
  if (auto ok = check_name("the pool's name", registration.pool); !ok) return ok;
  if (auto ok = check_name("the element's name", registration.name); !ok) return ok;
  if (!registration.zone.empty()) {
    if (auto ok = check_name("the zone", registration.zone); !ok) return ok;
  }
  if (!is_endpoint(registration.endpoint)) {
    return Error(Errc::bad_endpoint, "the element's endpoint must be HOST:PORT");
  }
  if (name_of(registration.policy) == "unknown") {
    return Error(Errc::bad_argument, "the policy is neither one of RFC 5356's nor srv");
  }
  if (registration.values.weight > kMaxWeight) {
    return Error(Errc::bad_argument, "the weight is above 1000000");
  }
  if (registration.incarnation == 0) return Error(Errc::bad_argument, "the incarnation is 0");
  return {};
}

}  // namespace rtpool::pool
