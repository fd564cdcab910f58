#include "control/app/http_get.h"

#include <httplib.h>

#include "control/app/errc.h"

namespace rtpool::control {

Result<std::string> http_get(const std::string& where, const std::string& path,
                             std::chrono::milliseconds patience) {
  httplib::Client client("http://" + where);
  client.set_connection_timeout(patience);
  client.set_read_timeout(patience);
  const auto reply = client.Get(path);
  if (!reply)
    return Error(AppErrc::unreachable,
                 "no answer from http://" + where + ": " + httplib::to_string(reply.error()));
  if (reply->status != 200)
    return Error(AppErrc::unreachable, "http://" + where + path + " answers with status " +
                                           std::to_string(reply->status));
  return reply->body;
}

}  // namespace rtpool::control
