// Who a peer is by its certificate. A certificate names its holder's roles as URIs in its subject
// alternative name (RFC 5280, 4.2.1.6): `urn:rtpool:ROLE`, any number of them, ROLE one of relay,
// controller, registrar, operator and intercept. `urn:rtpool:relay:NAME` is a relay that may
// register under that name alone; with several, under each of them; `urn:rtpool:relay` under any.
//
// A plain value; it says nothing of whether the certificate was verified, which is TLS's to do.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace rtpool::pool {

enum class PeerRole : std::uint8_t { relay, controller, registrar, operator_, intercept };
inline constexpr std::initializer_list<PeerRole> kPeerRoles{
    PeerRole::relay, PeerRole::controller, PeerRole::registrar, PeerRole::operator_,
    PeerRole::intercept};

// As certificates spell it: "operator".
std::string_view to_string(PeerRole role);
// "relay or controller"
std::string to_string(std::initializer_list<PeerRole> roles);

class PeerIdentity {
 public:
  PeerIdentity() = default;  // nobody: holds nothing
  // `subject` is for messages only. URIs that are not ours are ignored.
  PeerIdentity(std::string subject, const std::vector<std::string>& uris);

  [[nodiscard]] bool holds(PeerRole role) const;
  [[nodiscard]] bool holds_one_of(std::initializer_list<PeerRole> roles) const;
  // Whether it is a relay that may register under this name.
  [[nodiscard]] bool may_be_relay(std::string_view name) const;
  // "certificate 'CN=relay-7' (relay:relay-7, operator)", for messages.
  [[nodiscard]] std::string describe() const;

 private:
  std::string subject_;
  std::uint8_t roles_ = 0;  // bit n: PeerRole n
  bool any_relay_ = false;
  std::vector<std::string> relay_names_;
};

}  // namespace rtpool::pool
