#include "pool/tls.h"

#include <arpa/inet.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <vector>

namespace rtpool::pool {
namespace {

using grpc::experimental::CertificateVerifier;
using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::TlsCustomVerificationCheckRequest;

std::string text_of(grpc::string_ref ref) {
  return {ref.data(), ref.size()};
}

std::vector<std::string> texts_of(const std::vector<grpc::string_ref>& refs) {
  std::vector<std::string> texts;
  for (const auto& ref : refs) texts.push_back(text_of(ref));
  return texts;
}

std::string join(const std::vector<std::string>& items) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + item;
  return text.empty() ? "nothing" : text;
}

// HOST of HOST:PORT or [HOST]:PORT, in small letters.
std::string host_of(std::string target) {
  if (const auto slash = target.rfind('/'); slash != std::string::npos) target.erase(0, slash + 1);
  if (!target.empty() && target.front() == '[') {
    target = target.substr(1, target.find(']') - 1);
  } else if (std::count(target.begin(), target.end(), ':') == 1) {
    target.erase(target.find(':'));
  }
  std::transform(target.begin(), target.end(), target.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return target;
}

// The bytes of an IPv4 or IPv6 address, however it is written; empty for what is none.
std::string address_bytes(const std::string& text) {
  std::array<char, sizeof(in6_addr)> bytes{};
  if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return {bytes.data(), 4};
  if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return {bytes.data(), 16};
  return {};
}

// RFC 6125, 6.4: "*" stands for the whole leftmost label and nothing else.
bool dns_name_matches(std::string pattern, const std::string& host) {
  pattern = host_of(std::move(pattern));
  if (pattern == host) return true;
  if (pattern.rfind("*.", 0) != 0) return false;
  const auto dot = host.find('.');
  return dot != std::string::npos && dot > 0 && host.substr(dot) == pattern.substr(1) &&
         pattern.find('.', 2) != std::string::npos;
}

bool names_host(const std::vector<std::string>& dns, const std::vector<std::string>& addresses,
                const std::string& host) {
  if (const std::string wanted = address_bytes(host); !wanted.empty()) {
    return std::any_of(addresses.begin(), addresses.end(),
                       [&](const auto& one) { return address_bytes(one) == wanted; });
  }
  return std::any_of(dns.begin(), dns.end(),
                     [&](const auto& one) { return dns_name_matches(one, host); });
}

// After the handshake has verified the chain: that this is the server that was meant, in its role.
class ServerVerifier final : public ExternalCertificateVerifier {
 public:
  explicit ServerVerifier(std::optional<PeerRole> role) : role_(role) {}

  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* outcome) override {
    const std::string host = host_of(text_of(request->target_name()));
    const auto dns = texts_of(request->dns_names());
    const auto addresses = texts_of(request->ip_names());
    if (!names_host(dns, addresses, host)) {
      auto names = dns;
      names.insert(names.end(), addresses.begin(), addresses.end());
      *outcome = {grpc::StatusCode::UNAUTHENTICATED,
                  "TLS: the server's certificate is for " + join(names) + ", not for " + host};
      return true;
    }
    const PeerIdentity identity("CN=" + text_of(request->common_name()),
                                texts_of(request->uri_names()));
    if (role_ && !identity.holds(*role_)) {
      *outcome = {grpc::StatusCode::UNAUTHENTICATED, "TLS: " + host + " is no " +
                                                         std::string(to_string(*role_)) +
                                                         " by its " + identity.describe()};
      return true;
    }
    *outcome = grpc::Status::OK;
    return true;
  }
  void Cancel(TlsCustomVerificationCheckRequest*) override {}

 private:
  std::optional<PeerRole> role_;
};

PeerIdentity identify(const grpc::ServerContextBase& context) {
  const auto auth = context.auth_context();
  if (!auth || !auth->IsPeerAuthenticated()) return {};
  std::vector<std::string> uris;
  for (const auto& uri : auth->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME))
    uris.push_back(text_of(uri));
  std::string subject = "?";
  for (const auto& name : auth->FindPropertyValues(GRPC_X509_CN_PROPERTY_NAME))
    subject = "CN=" + text_of(name);
  return {std::move(subject), uris};
}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> server_credentials(
    const std::shared_ptr<const TlsContext>& tls) {
  if (!tls) return grpc::InsecureServerCredentials();
  grpc::experimental::TlsServerCredentialsOptions options(tls->provider());
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc::experimental::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(
    const std::shared_ptr<const TlsContext>& tls, std::optional<PeerRole> server) {
  if (!tls) return grpc::InsecureChannelCredentials();
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(tls->provider());
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(true);
  options.set_check_call_host(false);  // the verifier does it
  options.set_certificate_verifier(ExternalCertificateVerifier::Create<ServerVerifier>(server));
  return grpc::experimental::TlsCredentials(options);
}

std::string explain_failure(std::string_view text) {
  const auto has = [text](std::string_view part) {
    return text.find(part) != std::string_view::npos;
  };
  if (has("wrong version number") || has("packet length too long")) return "the peer speaks no TLS";
  if (has("certificate verify failed"))
    return "the peer's certificate has expired or is of another authority";
  if (has("failed to connect") && (has("Socket closed") || has("Connection reset by peer")))
    return "the peer hangs up at once, as one does that wants TLS or another certificate";
  return {};
}

grpc::Status PeerGate::authorise(const grpc::ServerContextBase& context, std::string_view operation,
                                 std::initializer_list<PeerRole> allowed) {
  if (!tls_) return grpc::Status::OK;
  const PeerIdentity peer = identify(context);
  if (peer.holds_one_of(allowed)) return grpc::Status::OK;
  return refuse(std::string(operation) + " takes the role " + to_string(allowed) + "; " +
                context.peer() + " has " + peer.describe());
}

grpc::Status PeerGate::authorise_relay(const grpc::ServerContextBase& context,
                                       std::string_view operation, std::string_view name) {
  if (!tls_) return grpc::Status::OK;
  const PeerIdentity peer = identify(context);
  if (peer.may_be_relay(name)) return grpc::Status::OK;
  const std::string shown(name.substr(0, 64));
  return refuse(std::string(operation) + " as '" + shown + "' takes the role relay:" + shown +
                " or relay; " + context.peer() + " has " + peer.describe());
}

grpc::Status PeerGate::refuse(const std::string& why) {
  const std::uint64_t refused = ++refused_;
  const std::int64_t now = std::chrono::duration_cast<std::chrono::seconds>(
                               std::chrono::steady_clock::now().time_since_epoch())
                               .count();
  if (logged_at_s_.exchange(now) != now && log_)
    log_(LogLevel::warning, "forbidden: " + why + " (" + std::to_string(refused) + " so far)");
  return {grpc::StatusCode::PERMISSION_DENIED, "forbidden: " + why};
}

}  // namespace rtpool::pool
