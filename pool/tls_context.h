// A process's own certificate, key and authority in force: read when opened, and read again when
// their files change or when told to. Files that are broken, half-written or do not belong together
// leave what is in force as it is and are a line in the log; connections that stand are not
// touched, new ones use what is in force then (docs/adr/0007).
//
// Thread-safe. One for a process, shared by all of its listeners and channels. It has a thread that
// looks at the files every `poll`; a change counts once the files have been the same for one
// `poll`, because they are rarely replaced all at once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "pool/client.h"
#include "pool/tls_files.h"
#include "relay/base/result.h"

namespace grpc::experimental {
class CertificateProviderInterface;
}

namespace rtpool::pool {

class TlsContext {
 public:
  struct Options {
    TlsFiles files;
    std::chrono::milliseconds poll{1'000};
    Log log;  // called from its thread
  };
  struct State {
    std::int64_t certificate_expiry = 0;  // Unix time, s
    std::int64_t authority_expiry = 0;
    std::uint64_t reloads = 0;
    std::uint64_t failures = 0;  // to read them again
    std::string last_failure;    // empty when the files are what is in force
  };

  // Errors: bad_argument, as load_tls_files() words them.
  static Result<std::shared_ptr<TlsContext>> open(Options options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  [[nodiscard]] std::shared_ptr<const TlsMaterial> current() const;
  [[nodiscard]] State state() const;
  [[nodiscard]] const TlsFiles& files() const { return options_.files; }
  // Reads the files now. An error leaves what is in force.
  Result<void> reload();

  // For gRPC, which takes up changes within a second.
  [[nodiscard]] const std::shared_ptr<grpc::experimental::CertificateProviderInterface>& provider()
      const {
    return provider_;
  }

 private:
  class Published;
  explicit TlsContext(Options options);
  Result<void> publish(std::shared_ptr<const TlsMaterial> material);
  void watch();
  void warn_of(const TlsMaterial& material) const;
  void log(LogLevel level, const std::string& text) const;

  Options options_;
  std::unique_ptr<Published> published_;
  std::shared_ptr<grpc::experimental::CertificateProviderInterface> provider_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable stopping_changed_;
  bool stopping_ = false;
  std::shared_ptr<const TlsMaterial> current_;
  State state_;

  std::mutex reload_mutex_;  // one reading at a time
  std::string read_;         // the files' marks when they were last read, under reload_mutex_
  std::thread thread_;
};

}  // namespace rtpool::pool
