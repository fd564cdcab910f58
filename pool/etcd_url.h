// Where an etcd cluster is and how to speak to it, as `--store` says it:
//
//     etcd://HOST:PORT[,HOST:PORT,...][?prefix=/rtpool/][&user=NAME&password-file=PATH]
//         [&ca=PATH[&cert=PATH&key=PATH]]
//
// 1 to 9 endpoints. Values are taken as they are written and hold no '&'. With `ca` the connection
// is TLS; `cert` and `key` are for a cluster that asks clients for a certificate. A password is
// never part of it, so that it may be shown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"

namespace rtpool::pool {

struct EtcdUrl {
  std::vector<std::string> endpoints;
  std::string prefix = "/rtpool/";  // ends with a slash
  std::string user;                 // empty: no authentication
  std::string password_file;
  std::string authority;  // empty: plaintext
  std::string certificate;
  std::string key;
};

inline constexpr std::string_view kEtcdUrlForm =
    "etcd://HOST:PORT[,HOST:PORT,...][?prefix=/rtpool/][&user=NAME&password-file=PATH]"
    "[&ca=PATH[&cert=PATH&key=PATH]]";

// Errors: bad_argument, with what is wrong and, where it helps, what would be right.
Result<EtcdUrl> parse_etcd_url(std::string_view text);

}  // namespace rtpool::pool
