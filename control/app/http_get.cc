#include "control/app/http_get.h"

#include <httplib.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "control/app/errc.h"
#include "pool/tls_context.h"

namespace rtpool::control {
namespace {

const char* hint(httplib::Error error, bool tls) {
  if (error == httplib::Error::SSLServerVerification)
    return "; its certificate has expired, is of another authority or for another host";
  if (tls && error == httplib::Error::SSLConnection)
    return "; it speaks no TLS, or refuses this certificate";
  if (!tls && error == httplib::Error::Read) return "; it may want TLS (--tls-certificate)";
  return "";
}

// The library would make do with the subject's common name, which anybody may write into a request
// for a certificate.
void name_server(SSL_CTX* context, const std::string& host) {
  X509_VERIFY_PARAM* wanted = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_hostflags(
      wanted, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) != 1)
    X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size());
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
    name_server(client.ssl_context(), pool::host_of(where));
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
