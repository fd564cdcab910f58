#include "pool/etcd_url.h"

#include <algorithm>
#include <utility>

#include "pool/errc.h"
#include "pool/pool_element.h"

namespace rtpool::pool {
namespace {

constexpr std::string_view kScheme = "etcd://";
constexpr std::size_t kMaxEndpoints = 9;
constexpr std::size_t kMaxPrefix = 128;

Error bad(const std::string& what) {
  return {Errc::bad_argument, what};
}

// The text up to `separator`; it and the separator are taken off `rest`.
std::string_view take(std::string_view& rest, char separator) {
  const auto end = rest.find(separator);
  const std::string_view part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return part;
}

std::string quoted(std::string_view text) {
  return "'" + std::string(text.substr(0, 64)) + "'";
}

Result<void> parse_endpoints(std::string_view text, std::vector<std::string>& endpoints) {
  if (text.find('@') != std::string_view::npos) {
    return bad("a password does not belong here; write ?user=NAME&password-file=PATH");
  }
  if (text.find('/') != std::string_view::npos) {
    return bad("a path after the endpoints; keys begin as ?prefix=/PATH/ says");
  }
  if (text.empty() || text.back() == ',') return bad("an endpoint is missing; write HOST:PORT");
  while (!text.empty()) {
    const std::string endpoint(take(text, ','));
    if (!check_endpoint(endpoint)) {
      return bad("endpoint " + quoted(endpoint) + " is not HOST:PORT; etcd's port is usually 2379");
    }
    if (std::find(endpoints.begin(), endpoints.end(), endpoint) != endpoints.end()) {
      return bad("endpoint " + quoted(endpoint) + " is named twice");
    }
    if (endpoints.size() == kMaxEndpoints) return bad("more than 9 endpoints");
    endpoints.push_back(endpoint);
  }
  return {};
}

Result<void> parse_setting(std::string_view setting, EtcdUrl& url) {
  std::string_view value = setting;
  const std::string_view name = take(value, '=');
  if (name == "password") {
    return bad("a password on the command line can be read by others; write password-file=PATH");
  }
  std::string* const target = name == "prefix"          ? &url.prefix
                              : name == "user"          ? &url.user
                              : name == "password-file" ? &url.password_file
                              : name == "ca"            ? &url.authority
                              : name == "cert"          ? &url.certificate
                              : name == "key"           ? &url.key
                                                        : nullptr;
  if (target == nullptr) {
    return bad(quoted(name) + " is unknown; there are prefix, user, password-file, ca, cert, key");
  }
  if (value.empty()) return bad(quoted(name) + " has no value");
  *target = value;
  return {};
}

Result<void> check(EtcdUrl& url) {
  const auto printable = [](char c) { return c > ' ' && c < '\x7f'; };
  if (!std::all_of(url.prefix.begin(), url.prefix.end(), printable) ||
      url.prefix.size() > kMaxPrefix) {
    return bad("a prefix is 1 to 128 printable characters");
  }
  if (url.prefix.back() != '/') url.prefix += '/';
  if (url.user.empty() != url.password_file.empty()) {
    return bad("user and password-file go together");
  }
  if (url.certificate.empty() != url.key.empty()) return bad("cert and key go together");
  if (!url.certificate.empty() && url.authority.empty()) {
    return bad("cert and key need ca, the authority of etcd's own certificates");
  }
  return {};
}

}  // namespace

Result<EtcdUrl> parse_etcd_url(std::string_view text) {
  if (!text.starts_with(kScheme)) return bad("it does not begin with etcd://");
  text.remove_prefix(kScheme.size());
  EtcdUrl url;
  if (auto ok = parse_endpoints(take(text, '?'), url.endpoints); !ok) return ok.error();
  while (!text.empty()) {
    if (auto ok = parse_setting(take(text, '&'), url); !ok) return ok.error();
  }
  if (auto ok = check(url); !ok) return ok.error();
  return url;
}

}  // namespace rtpool::pool
