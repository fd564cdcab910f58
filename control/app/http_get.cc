#include "control/app/http_get.h"

#include <httplib.h>

#include <algorithm>

#include "control/app/errc.h"
#include "pool/tls_context.h"

namespace rtpool::control {
namespace {

const char* hint(httplib::Error error, bool tls) {
  if (tls && error == httplib::Error::SSLConnection)
    return "; it speaks no TLS, or refuses this certificate";
  if (!tls && error == httplib::Error::Read) return "; it may want TLS (--tls-certificate …)";
  return "";
}

// The server's own words, in one line.
std::string complaint(const std::string& body) {
  constexpr std::string_view kStart = "{\"error\":\"";
  if (body.rfind(kStart, 0) != 0) return {};
  std::string text = ": " + body.substr(kStart.size(), 300);
  text.erase(std::min(text.find('"'), text.size()));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '?');
  return text;
}

}  // namespace

Result<std::string> http_get(const std::string& where, const std::string& path,
                             std::chrono::milliseconds patience,
                             const std::shared_ptr<const pool::TlsContext>& tls) {
  const std::string base = (tls ? "https://" : "http://") + where;
  httplib::Client client = tls ? httplib::Client(base, tls->files().certificate, tls->files().key)
                               : httplib::Client(base);
  if (tls) {
    client.set_ca_cert_path(tls->files().authority.c_str());
    client.enable_server_certificate_verification(true);
  }
  client.set_connection_timeout(patience);
  client.set_read_timeout(patience);
  const auto reply = client.Get(path);
  if (!reply)
    return Error(AppErrc::unreachable, "no answer from " + base + ": " +
                                           httplib::to_string(reply.error()) +
                                           hint(reply.error(), tls != nullptr));
  if (reply->status != 200)
    return Error(AppErrc::unreachable, base + path + " answers with status " +
                                           std::to_string(reply->status) + complaint(reply->body));
  return reply->body;
}

}  // namespace rtpool::control
