#include "pool/tls_context.h"

#include <fcntl.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "pool/errc.h"

namespace rtpool::pool {
namespace {

constexpr unsigned kProviderRefreshSeconds = 1;  // the least that gRPC takes
constexpr std::int64_t kWarnSeconds = 14 * 24 * 3600;
constexpr auto kWarnEvery = std::chrono::hours(24);

std::int64_t unix_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// What tells one version of the files from another without reading them. A file that is not there
// has a mark as well.
std::string marks_of(const TlsFiles& files) {
  std::string marks;
  for (const auto* path : {&files.certificate, &files.key, &files.authority}) {
    struct stat found {};
    if (::stat(path->c_str(), &found) != 0) found = {};
    for (const auto number :
         {static_cast<std::int64_t>(found.st_dev), static_cast<std::int64_t>(found.st_ino),
          static_cast<std::int64_t>(found.st_size), static_cast<std::int64_t>(found.st_mtim.tv_sec),
          static_cast<std::int64_t>(found.st_mtim.tv_nsec),
          static_cast<std::int64_t>(found.st_ctim.tv_nsec)}) {
      marks += std::to_string(number) + ' ';
    }
  }
  return marks;
}

Error system_error(const std::string& what) {
  return {Errc::bad_argument, what + ": " + std::strerror(errno)};
}

}  // namespace

// gRPC's only provider that can change reads files by itself and takes whatever is there, a broken
// certificate included. So it reads copies in memory, which hold only what was found good. A copy
// is replaced by putting another file under its descriptor, which is atomic. The descriptors stay
// open for good: gRPC goes on reading by their numbers for as long as any of its channels lives,
// which is out of sight, and must not find another file there.
class TlsContext::Published {
 public:
  Result<void> put(const TlsMaterial& material) {
    // The key is in the same file as its certificate, so that both change at once.
    if (auto ok = replace(fds_[0], material.key_pem + "\n" + material.certificate_pem); !ok)
      return ok;
    return replace(fds_[1], material.authority_pem);
  }
  [[nodiscard]] std::string identity_path() const { return path_of(fds_[0]); }
  [[nodiscard]] std::string authority_path() const { return path_of(fds_[1]); }

 private:
  static std::string path_of(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

  static Result<void> replace(int& fd, const std::string& text) {
    const int fresh = ::memfd_create("rtpool-tls", MFD_CLOEXEC);
    if (fresh < 0) return system_error("can't have memory for certificates");
    std::size_t written = 0;
    while (written < text.size()) {
      const auto n = ::write(fresh, text.data() + written, text.size() - written);
      if (n < 0) {
        const Error error = system_error("can't have memory for certificates");
        ::close(fresh);
        return error;
      }
      written += static_cast<std::size_t>(n);
    }
    if (fd < 0) {
      fd = fresh;
      if (::access(path_of(fd).c_str(), R_OK) != 0)
        return system_error(path_of(fd) + ", which TLS needs, can't be read");
      return {};
    }
    const bool replaced = ::dup3(fresh, fd, O_CLOEXEC) >= 0;
    const Error error = replaced ? Error() : system_error("can't replace certificates");
    ::close(fresh);
    if (!replaced) return error;
    return {};
  }

  std::array<int, 2> fds_{-1, -1};
};

Result<std::shared_ptr<TlsContext>> TlsContext::open(Options options) {
  std::shared_ptr<TlsContext> context(new TlsContext(std::move(options)));
  context->read_ = marks_of(context->options_.files);
  auto material = load_tls_files(context->options_.files);
  if (!material) return material.error();
  if (auto ok = context->publish(*material); !ok) return ok.error();
  context->provider_ = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      context->published_->identity_path(), context->published_->identity_path(),
      context->published_->authority_path(), kProviderRefreshSeconds);
  context->warn_of(**material);
  context->thread_ = std::thread([raw = context.get()] { raw->watch(); });
  return context;
}

TlsContext::TlsContext(Options options)
    : options_(std::move(options)), published_(std::make_unique<Published>()) {}

TlsContext::~TlsContext() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  stopping_changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const TlsMaterial> TlsContext::current() const {
  const std::scoped_lock lock(mutex_);
  return current_;
}

TlsContext::State TlsContext::state() const {
  const std::scoped_lock lock(mutex_);
  return state_;
}

Result<void> TlsContext::publish(std::shared_ptr<const TlsMaterial> material) {
  if (auto ok = published_->put(*material); !ok) return ok;
  const std::scoped_lock lock(mutex_);
  state_.certificate_expiry = material->certificate_expiry;
  state_.authority_expiry = material->authority_expiry;
  state_.last_failure.clear();
  current_ = std::move(material);
  return {};
}

Result<void> TlsContext::reload() {
  const std::scoped_lock one_at_a_time(reload_mutex_);
  read_ = marks_of(options_.files);
  auto material = load_tls_files(options_.files);
  const auto before = current();
  Result<void> outcome;
  if (!material) {
    outcome = material.error();
  } else if ((*material)->certificate_pem == before->certificate_pem &&
             (*material)->key_pem == before->key_pem &&
             (*material)->authority_pem == before->authority_pem) {
    const std::scoped_lock lock(mutex_);
    state_.last_failure.clear();
    return {};
  } else {
    outcome = publish(*material);
  }
  if (!outcome) {
    log(LogLevel::error, "TLS: the certificate in force stays, it is valid until " +
                             format_utc(before->certificate_expiry) + ": " +
                             outcome.error().detail);
    const std::scoped_lock lock(mutex_);
    ++state_.failures;
    state_.last_failure = outcome.error().detail;
    return outcome;
  }
  {
    const std::scoped_lock lock(mutex_);
    ++state_.reloads;
  }
  log(LogLevel::info, "TLS: read again, " + (*material)->identity.describe() + " is valid until " +
                          format_utc((*material)->certificate_expiry));
  warn_of(**material);
  return {};
}

void TlsContext::watch() {
  std::string seen = marks_of(options_.files);
  auto warned = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!stopping_changed_.wait_for(lock, options_.poll, [this] { return stopping_; })) {
    lock.unlock();
    std::string now = marks_of(options_.files);
    bool is_new = false;
    {
      const std::scoped_lock one_at_a_time(reload_mutex_);
      is_new = now != read_;
    }
    if (is_new && now == seen) static_cast<void>(reload());
    seen = std::move(now);
    if (std::chrono::steady_clock::now() - warned >= kWarnEvery) {
      warned = std::chrono::steady_clock::now();
      warn_of(*current());
    }
    lock.lock();
  }
}

void TlsContext::warn_of(const TlsMaterial& material) const {
  const auto warn = [this](const std::string& what, std::int64_t expiry) {
    const std::int64_t left = expiry - unix_now();
    if (left > kWarnSeconds) return;
    log(LogLevel::warning,
        "TLS: " + what + (left < 0 ? " has expired on " : " expires on ") + format_utc(expiry));
  };
  struct stat key {};
  if (::stat(options_.files.key.c_str(), &key) == 0 && (key.st_mode & S_IRWXO) != 0)
    log(LogLevel::warning, "TLS: " + options_.files.key + " is open to every account of this host");
  warn("the certificate in " + options_.files.certificate, material.certificate_expiry);
  warn("a certificate in " + options_.files.authority, material.authority_expiry);
}

void TlsContext::log(LogLevel level, const std::string& text) const {
  if (options_.log) options_.log(level, text);
}

}  // namespace rtpool::pool
