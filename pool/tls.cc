#include "pool/tls.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

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

// After the handshake has verified the chain: that this is the server that was meant, in its role.
class ServerVerifier final : public ExternalCertificateVerifier {
 public:
  explicit ServerVerifier(std::optional<PeerRole> role) : role_(role) {}

  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* outcome) override {
    const std::string target = text_of(request->target_name());
    const std::string pem = text_of(request->peer_cert());
    const std::shared_ptr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                   BIO_free_all);
    const std::shared_ptr<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr),
                                            X509_free);
    const auto refuse = [outcome](const std::string& why) {
      *outcome = {grpc::StatusCode::UNAUTHENTICATED, "TLS: " + why};
      return true;
    };
    if (!certificate) return refuse("the server's certificate can't be read");
    if (!names_target(certificate.get(), target)) {
      auto names = texts_of(request->dns_names());
      for (auto& address : texts_of(request->ip_names())) names.push_back(std::move(address));
      return refuse("the server's certificate is for " + join(names) + ", not for " +
                    host_of(target));
    }
    const PeerIdentity identity = identity_of(certificate.get());
    if (role_ && !identity.holds(*role_)) {
      return refuse(host_of(target) + " is no " + std::string(to_string(*role_)) + " by its " +
                    identity.describe());
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
  refusals_.add(why);
  return {grpc::StatusCode::PERMISSION_DENIED, "forbidden: " + why};
}

}  // namespace rtpool::pool
