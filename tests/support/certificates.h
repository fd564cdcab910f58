// An authority and certificates of every kind for tests, as PEM files in a folder of their own that
// goes with the test.
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "pool/tls_files.h"

namespace rtpool::test {

struct CertificateOptions {
  std::string name = "test";
  // As openssl.cnf writes a subjectAltName; empty for none.
  std::string names = "IP:127.0.0.1,IP:::1,DNS:localhost";
  std::string usage = "serverAuth,clientAuth";
  std::chrono::seconds begins = -std::chrono::hours(1);  // from now
  std::chrono::seconds ends = std::chrono::hours(24 * 60);
};

class Authority {
 public:
  explicit Authority(const std::string& name = "authority") {
    std::string folder = std::filesystem::temp_directory_path() / "rtpool-tls-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) std::abort();
    folder_ = folder;
    key_ = new_key();
    certificate_ = sign({.name = name, .names = ""}, key_.get(), true);
    write(folder_ / "authority.pem", pem_of(certificate_.get()));
  }
  ~Authority() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  [[nodiscard]] std::filesystem::path folder() const { return folder_; }

  // Writes FILE.pem and FILE.key; over those that are there.
  pool::TlsFiles issue(const std::string& file, const CertificateOptions& options) {
    const auto key = new_key();
    const auto certificate = sign(options, key.get(), false);
    const pool::TlsFiles files{folder_ / (file + ".pem"), folder_ / (file + ".key"),
                               folder_ / "authority.pem"};
    write(files.key, pem_of(key.get()));
    write(files.certificate, pem_of(certificate.get()));
    return files;
  }
  // Of this host, with roles as in "relay,controller".
  pool::TlsFiles issue(const std::string& roles) {
    CertificateOptions options{.name = roles};
    std::string role;
    for (const char c : roles + ",") {
      if (c != ',') {
        role += c;
      } else {
        options.names += ",URI:urn:rtpool:" + role;
        role.clear();
      }
    }
    return issue(roles, options);
  }

  static void write(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    std::filesystem::permissions(path, std::filesystem::perms(0600));
  }
  static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  using Key = std::shared_ptr<EVP_PKEY>;
  using Certificate = std::shared_ptr<X509>;

  static Key new_key() { return {EVP_EC_gen("P-256"), EVP_PKEY_free}; }

  static std::string take(const std::shared_ptr<BIO>& bio) {
    char* text = nullptr;
    const auto size = BIO_get_mem_data(bio.get(), &text);
    return {text, static_cast<std::size_t>(size)};
  }
  static std::string pem_of(X509* certificate) {
    const std::shared_ptr<BIO> bio(BIO_new(BIO_s_mem()), BIO_free_all);
    PEM_write_bio_X509(bio.get(), certificate);
    return take(bio);
  }
  static std::string pem_of(EVP_PKEY* key) {
    const std::shared_ptr<BIO> bio(BIO_new(BIO_s_mem()), BIO_free_all);
    PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    return take(bio);
  }

  static void add(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    if (extension == nullptr) std::abort();
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  Certificate sign(const CertificateOptions& options, EVP_PKEY* key, bool is_authority) {
    Certificate certificate(X509_new(), X509_free);
    X509* c = certificate.get();
    X509* issuer = is_authority ? c : certificate_.get();
    X509_set_version(c, X509_VERSION_3);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(c), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(c), static_cast<long>(options.begins.count()));
    X509_gmtime_adj(X509_getm_notAfter(c), static_cast<long>(options.ends.count()));
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(options.name.c_str()), -1, -1,
                               0);
    X509_set_issuer_name(c, X509_get_subject_name(issuer));
    X509_set_pubkey(c, key);
    add(c, issuer, NID_basic_constraints, is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (is_authority) add(c, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    if (!is_authority) add(c, issuer, NID_ext_key_usage, options.usage);
    if (!options.names.empty()) add(c, issuer, NID_subject_alt_name, options.names);
    X509_sign(c, key_.get(), EVP_sha256());
    return certificate;
  }

  std::filesystem::path folder_;
  Key key_;
  Certificate certificate_;
  std::uint64_t serial_ = 0;
};

}  // namespace rtpool::test
