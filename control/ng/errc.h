// What can be wrong with an NG datagram. The message of a code is the text that the proxies are
// sent as `error-reason`; where a fault needs more words (which key, which limit), they are the
// Error's detail.
#pragma once

#include <string>
#include <type_traits>

#include "relay/base/result.h"

namespace rtpool::ng {

enum class Errc {
  no_cookie = 1,   // nothing before the first space, or no space: no reply is possible
  no_dictionary,   // the cookie stands alone
  invalid_format,  // neither bencode nor JSON by its first byte
  malformed_bencode,
  malformed_json,
  not_a_dictionary,
  limit_exceeded,  // depth, items or length; the detail says which
  missing_command,
  unrecognized_command,
  missing_key,    // the detail is the peers' exact text
  invalid_value,  // the detail names the key
  reply_too_large,
};
ErrorCode make_error_code(Errc errc);

// The text for `error-reason`: the detail where there is one, the code's message otherwise.
std::string error_reason(const Error& error);

}  // namespace rtpool::ng

template <>
struct boost::system::is_error_code_enum<rtpool::ng::Errc> : std::true_type {};
