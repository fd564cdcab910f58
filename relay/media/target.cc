#include "relay/media/target.h"

namespace rtpool::media {

bool media_address_allowed(const IpAddress& address) {
  if (address.unmapped() != address) return false;
  if (address.is_v4() && address.octets[0] == 0) return false;  // "this network", RFC 1122
  return !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast() &&
         !address.is_link_local();
}

bool media_target_allowed(const RemoteEndpoint& target, const IpAddress& local) {
  if (target.port == 0 || target.address.family != local.family) return false;
  if (!media_address_allowed(target.address)) return false;
  return !target.address.is_loopback() || local.is_loopback();
}

}  // namespace rtpool::media
