#include "pool/peer_identity.h"

#include <algorithm>

namespace rtpool::pool {
namespace {

constexpr std::string_view kPrefix = "urn:rtpool:";
// Of one certificate; the rest is ignored. It bounds messages, too.
constexpr std::size_t kMaxRelayNames = 64;
constexpr std::size_t kMaxSubject = 200;

std::uint8_t bit(PeerRole role) {
  return static_cast<std::uint8_t>(1U << static_cast<unsigned>(role));
}

}  // namespace

std::string_view to_string(PeerRole role) {
  switch (role) {
    case PeerRole::relay:
      return "relay";
    case PeerRole::controller:
      return "controller";
    case PeerRole::registrar:
      return "registrar";
    case PeerRole::operator_:
      return "operator";
    case PeerRole::intercept:
      return "intercept";
  }
  return "";
}

std::string to_string(std::initializer_list<PeerRole> roles) {
  std::string text;
  for (const PeerRole role : roles) {
    text.append(text.empty() ? "" : " or ").append(to_string(role));
  }
  return text;
}

PeerIdentity::PeerIdentity(std::string subject, const std::vector<std::string>& uris)
    : subject_(std::move(subject)) {
  if (subject_.size() > kMaxSubject) subject_.resize(kMaxSubject);
  // A log line must not be driven by what a certificate says.
  std::replace_if(
      subject_.begin(), subject_.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  for (const std::string& uri : uris) {
    if (uri.rfind(kPrefix, 0) != 0) continue;
    const std::string_view rest = std::string_view(uri).substr(kPrefix.size());
    for (const PeerRole role : kPeerRoles) {
      if (rest != to_string(role)) continue;
      roles_ |= bit(role);
      any_relay_ = any_relay_ || role == PeerRole::relay;
    }
    if (rest.rfind("relay:", 0) == 0 && rest.size() > 6 && relay_names_.size() < kMaxRelayNames) {
      roles_ |= bit(PeerRole::relay);
      relay_names_.emplace_back(rest.substr(6));
    }
  }
}

bool PeerIdentity::holds(PeerRole role) const {
  return (roles_ & bit(role)) != 0;
}

bool PeerIdentity::holds_one_of(std::initializer_list<PeerRole> roles) const {
  return std::any_of(roles.begin(), roles.end(), [this](PeerRole role) { return holds(role); });
}

bool PeerIdentity::may_be_relay(std::string_view name) const {
  return any_relay_ ||
         std::find(relay_names_.begin(), relay_names_.end(), name) != relay_names_.end();
}

std::string PeerIdentity::describe() const {
  std::string roles;
  const auto add = [&roles](const std::string& text) {
    roles += (roles.empty() ? "" : ", ") + text;
  };
  for (const PeerRole role : kPeerRoles) {
    if (role == PeerRole::relay && !any_relay_) continue;
    if (holds(role)) add(std::string(to_string(role)));
  }
  if (!any_relay_) {
    for (const std::string& name : relay_names_) {
      if (roles.size() > kMaxSubject) {
        add("…");
        break;
      }
      add("relay:" + name);
    }
  }
  return "certificate '" + subject_ + "' (" + (roles.empty() ? "no role" : roles) + ")";
}

}  // namespace rtpool::pool
