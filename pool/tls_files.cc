#include "pool/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>

#include "pool/errc.h"

namespace rtpool::pool {
namespace {

constexpr std::size_t kLargestFile = 1024 * 1024;
constexpr std::size_t kMaxCertificates = 1'000;  // of one file

using Certificates = std::vector<std::shared_ptr<X509>>;

Error wrong(const std::string& file, const std::string& what) {
  ERR_clear_error();
  return {Errc::bad_argument, file + ": " + what};
}

Result<std::string> read_pem(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kLargestFile + 1, '\0');
  if (!file || !(file.read(text.data(), static_cast<std::streamsize>(text.size())) || file.eof()))
    return wrong(path, "can't be read: " + std::string(std::strerror(errno != 0 ? errno : EIO)));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kLargestFile) return wrong(path, "is larger than 1 MiB");
  return text;
}

std::shared_ptr<BIO> bio_of(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free_all};
}

// Without it OpenSSL would ask on the terminal.
int no_pass_phrase(char*, int, int, void*) {
  return -1;
}

Result<Certificates> read_certificates(const std::string& path, const std::string& pem) {
  const auto bio = bio_of(pem);
  Certificates found;
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, no_pass_phrase, nullptr)) {
    found.emplace_back(one, X509_free);
    if (found.size() > kMaxCertificates) return wrong(path, "holds more than 1,000 certificates");
  }
  // The end of the text is an error to the library as well; any other is one to us.
  const auto last = ERR_peek_last_error();
  if (last != 0 && ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
    return wrong(path,
                 "certificate " + std::to_string(found.size() + 1) + " is damaged or incomplete");
  if (found.empty()) return wrong(path, "holds no certificate (PEM)");
  ERR_clear_error();
  return found;
}

Result<std::shared_ptr<EVP_PKEY>> read_key(const std::string& path, const std::string& pem) {
  const auto bio = bio_of(pem);
  std::shared_ptr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, nullptr), EVP_PKEY_free);
  if (key) return key;
  const bool encrypted = pem.find("ENCRYPTED") != std::string::npos;
  return wrong(path, encrypted ? "the key has a pass phrase; write it without one"
                               : "holds no whole private key (PEM)");
}

std::int64_t unix_time(const ASN1_TIME* time) {
  std::tm utc{};
  if (ASN1_TIME_to_tm(time, &utc) != 1) return 0;
  return ::timegm(&utc);
}

std::string name_of(const X509_NAME* name) {
  const std::shared_ptr<BIO> out(BIO_new(BIO_s_mem()), BIO_free_all);
  if (X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253) < 0) return "?";
  char* text = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string refusal_text(int reason, X509* certificate, X509* at, const TlsFiles& files) {
  const std::string which = at == nullptr || at == certificate
                                ? "the certificate"
                                : "'" + name_of(X509_get_subject_name(at)) + "', which signed it,";
  if (reason == X509_V_ERR_CERT_HAS_EXPIRED)
    return which + " expired on " + format_utc(unix_time(X509_get0_notAfter(at)));
  if (reason == X509_V_ERR_CERT_NOT_YET_VALID)
    return which + " is not valid before " + format_utc(unix_time(X509_get0_notBefore(at)));
  if (reason == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
      reason == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
      reason == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE ||
      reason == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
      reason == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN || reason == X509_V_ERR_CERT_SIGNATURE_FAILURE)
    return "'" + name_of(X509_get_issuer_name(certificate)) +
           "', which signed the certificate, is not in " + files.authority;
  return X509_verify_cert_error_string(reason);
}

std::shared_ptr<X509_STORE> store_of(const Certificates& authorities) {
  std::shared_ptr<X509_STORE> store(X509_STORE_new(), X509_STORE_free);
  for (const auto& authority : authorities) X509_STORE_add_cert(store.get(), authority.get());
  // As gRPC has it: an intermediate authority may be trusted without the root above it.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
  return store;
}

Result<void> verify(const TlsFiles& files, const TlsMaterial& material) {
  const std::shared_ptr<STACK_OF(X509)> chain(sk_X509_new_null(),
                                              [](STACK_OF(X509) * s) { sk_X509_free(s); });
  for (const auto& one : material.chain) sk_X509_push(chain.get(), one.get());
  const std::shared_ptr<X509_STORE_CTX> context(X509_STORE_CTX_new(), X509_STORE_CTX_free);
  X509* certificate = material.certificate.get();
  if (X509_STORE_CTX_init(context.get(), material.authorities.get(), certificate, chain.get()) != 1)
    return wrong(files.certificate, "can't be verified");
  if (X509_verify_cert(context.get()) == 1) return {};
  return wrong(files.certificate,
               refusal_text(X509_STORE_CTX_get_error(context.get()), certificate,
                            X509_STORE_CTX_get_current_cert(context.get()), files));
}

}  // namespace

std::string format_utc(std::int64_t unix_seconds) {
  const auto time = static_cast<std::time_t>(unix_seconds);
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", &utc);
  return text.data();
}

PeerIdentity identity_of(X509* certificate) {
  if (certificate == nullptr) return {};
  std::vector<std::string> uris;
  const std::shared_ptr<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  const int count = names ? sk_GENERAL_NAME_num(names.get()) : 0;
  for (int i = 0; i < count; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const auto* text = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  return {name_of(X509_get_subject_name(certificate)), uris};
}

bool fits_both_ends(X509* certificate) {
  return X509_check_purpose(certificate, X509_PURPOSE_SSL_CLIENT, 0) == 1 &&
         X509_check_purpose(certificate, X509_PURPOSE_SSL_SERVER, 0) == 1;
}

std::string host_of(const std::string& target) {
  if (!target.empty() && target.front() == '[') return target.substr(1, target.find(']') - 1);
  const auto colon = target.find(':');
  return colon == target.rfind(':') ? target.substr(0, colon) : target;
}

bool names_target(X509* certificate, const std::string& target) {
  const std::string host = host_of(target);
  return X509_check_ip_asc(certificate, host.c_str(), 0) == 1 ||
         X509_check_host(certificate, host.data(), host.size(),
                         X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                         nullptr) == 1;
}

Result<std::shared_ptr<const TlsMaterial>> load_tls_files(const TlsFiles& files) {
  auto material = std::make_shared<TlsMaterial>();
  for (const auto& [path, text] : {std::pair{&files.certificate, &material->certificate_pem},
                                   {&files.key, &material->key_pem},
                                   {&files.authority, &material->authority_pem}}) {
    auto read = read_pem(*path);
    if (!read) return read.error();
    *text = std::move(*read);
  }
  auto certificates = read_certificates(files.certificate, material->certificate_pem);
  if (!certificates) return certificates.error();
  material->certificate = certificates->front();
  material->chain.assign(certificates->begin() + 1, certificates->end());
  auto key = read_key(files.key, material->key_pem);
  if (!key) return key.error();
  material->key = std::move(*key);
  if (X509_check_private_key(material->certificate.get(), material->key.get()) != 1)
    return wrong(files.key, "is not the key of the certificate in " + files.certificate);
  auto authorities = read_certificates(files.authority, material->authority_pem);
  if (!authorities) return authorities.error();
  material->authorities = store_of(*authorities);
  if (auto ok = verify(files, *material); !ok) return ok.error();

  material->identity = identity_of(material->certificate.get());
  material->certificate_expiry = unix_time(X509_get0_notAfter(material->certificate.get()));
  material->authority_expiry = unix_time(X509_get0_notAfter(authorities->front().get()));
  for (const auto& one : *authorities) {
    material->authority_expiry =
        std::min(material->authority_expiry, unix_time(X509_get0_notAfter(one.get())));
  }
  return std::shared_ptr<const TlsMaterial>(std::move(material));
}

Result<void> check_tls_files(const TlsFiles& files) {
  if (auto loaded = load_tls_files(files); !loaded) return loaded.error();
  return {};
}

}  // namespace rtpool::pool
