#include "pool/etcd_store.h"

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "pool/errc.h"
#include "pool/etcd_client.h"
#include "pool/executor.h"

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;

constexpr int kMaxRepairs = 3;  // tokens and leases renewed for one operation
constexpr milliseconds kStatusTimeout{100};
constexpr std::size_t kMaxPassword = 4'096;
constexpr std::string_view kProbeKey = "probe";  // never written
constexpr std::string_view kNoLeader =
    "up, but its cluster has no leader: most of its members must be running";

Result<std::string> read_password(const std::string& path) {
  std::ifstream file(path);
  std::string password(kMaxPassword + 1, '\0');
  file.read(password.data(), static_cast<std::streamsize>(password.size()));
  password.resize(static_cast<std::size_t>(file.gcount()));
  while (!password.empty() && (password.back() == '\n' || password.back() == '\r'))
    password.pop_back();
  if (!password.empty() && password.size() <= kMaxPassword) return password;
  return Error(Errc::bad_argument,
               "password-file=" + path + " can't be read, is empty or has more than 4096 bytes");
}

}  // namespace

// All of it belongs to the executor's tasks, but for trouble_ (under mutex_).
class EtcdStore::Impl {
 public:
  Impl(Options options, const EtcdClient::Credentials& credentials) : options_(std::move(options)) {
    for (const std::string& endpoint : options_.url.endpoints) {
      Server& server = servers_.emplace_back();
      server.endpoint = endpoint;
      server.client = std::make_unique<EtcdClient>(endpoint, credentials);
    }
  }
  ~Impl() { stop(); }

  void start() {
    executor_.post([this] { look_after_trouble(); });
  }

  void get(const std::string& key, GetDone done) {
    auto operation = std::make_shared<Operation>();
    operation->change.key = options_.url.prefix + key;
    operation->get_done = std::move(done);
    begin(std::move(operation));
  }

  void swap(Swap change, SwapDone done) {
    auto operation = std::make_shared<Operation>();
    operation->change = std::move(change);
    operation->change.key.insert(0, options_.url.prefix);
    operation->swap_done = std::move(done);
    begin(std::move(operation));
  }

  std::string trouble() const {
    const std::scoped_lock lock(mutex_);
    return trouble_;
  }

 private:
  struct Server {
    std::string endpoint;
    std::unique_ptr<EtcdClient> client;
    std::string trouble;  // since its last answer; empty: none
    bool probing = false;
  };

  struct Operation {
    Swap change;  // of a get its key
    GetDone get_done;
    SwapDone swap_done;  // this one or the other
    Instant deadline{};
    int attempts = 0;
    int repairs = 0;
    bool outcome_unknown = false;  // of an earlier attempt at the change
    std::string last_failure;
  };
  using Shared = std::shared_ptr<Operation>;

  struct Lease {
    std::int64_t id = 0;
    Instant granted{};
    bool asking = false;
    std::vector<Shared> waiting;
  };

  void begin(Shared operation);
  void attempt(const Shared& operation);
  void send(const Shared& operation, std::int64_t lease, milliseconds timeout);
  void answered(const Shared& operation, std::size_t index, std::int64_t lease,
                const std::string& token, const EtcdAnswer& answer);
  bool repair(const Shared& operation, std::int64_t lease, const std::string& token,
              const EtcdAnswer& answer);
  void done(const Shared& operation, const EtcdAnswer& answer);
  void fail(const Shared& operation, const Error& error);
  void fail_in_time(const Shared& operation);

  [[nodiscard]] milliseconds time_left(const Operation& operation) const;
  [[nodiscard]] bool needs_token() const { return !options_.url.user.empty() && !has_token_; }
  void authenticate(std::size_t index);
  void forget_token(const std::string& token);
  [[nodiscard]] std::int64_t buckets_of(const Operation& operation) const;
  Lease& lease_for(const Operation& operation) { return leases_[buckets_of(operation)]; }
  [[nodiscard]] bool fresh(const Lease& lease) const {
    return lease.id != 0 && Executor::now() - lease.granted < options_.bucket;
  }
  void grant(std::int64_t buckets);
  void forget_lease(std::int64_t id);

  bool server_answered(std::size_t index, const EtcdAnswer& answer);
  void server_failed(std::size_t index, std::string_view why);
  void open_circuit();
  void close_circuit(std::size_t index);
  void look_after_trouble();
  void probe(std::size_t index);
  void probed(std::size_t index, const EtcdAnswer& answer);
  void set_trouble(const std::string& what);
  [[nodiscard]] std::string explain(const EtcdAnswer& answer) const;

  template <class Handle>
  EtcdClient::Done asked(Handle handle);
  void stop();
  void log(LogLevel level, const std::string& text) const {
    if (options_.log) options_.log(level, text);
  }

  Options options_;
  std::vector<Server> servers_;
  std::size_t preferred_ = 0;
  int failures_ = 0;   // since an answer
  bool open_ = false;  // the circuit: nothing goes through but probes
  std::uint64_t cluster_id_ = 0;
  std::size_t in_flight_ = 0;      // operations
  bool looking_after_ = false;     // a timer for the next probes is set
  std::optional<bool> told_good_;  // the last word in the log
  bool stopping_ = false;

  std::string token_;
  bool has_token_ = false;  // it may be empty, where the cluster asks for none
  bool authenticating_ = false;
  std::vector<Shared> waiting_for_token_;
  std::map<std::int64_t, Lease> leases_;  // by lifetime in buckets

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t questions_ = 0;  // that gRPC has
  std::string trouble_ = "not reached yet";

  Executor executor_;  // last: its thread ends before what it uses
};

// A question's answer as a task.
template <class Handle>
EtcdClient::Done EtcdStore::Impl::asked(Handle handle) {
  {
    const std::scoped_lock lock(mutex_);
    ++questions_;
  }
  return [this, handle = std::move(handle)](EtcdAnswer answer) {
    executor_.post([this, handle, answer = std::move(answer)] {
      handle(answer);
      const std::scoped_lock lock(mutex_);
      if (--questions_ == 0) idle_.notify_all();
    });
  };
}

void EtcdStore::Impl::begin(Shared operation) {
  operation->deadline = Executor::now() + options_.within;
  executor_.post([this, operation = std::move(operation)] {
    if (in_flight_++ >= options_.max_in_flight) {
      return fail(operation, Error(Errc::overloaded, std::to_string(options_.max_in_flight) +
                                                         " operations of the store are under way"));
    }
    attempt(operation);
  });
}

milliseconds EtcdStore::Impl::time_left(const Operation& operation) const {
  const auto left = std::chrono::floor<milliseconds>(operation.deadline - Executor::now());
  return std::min(left, options_.attempt);
}

void EtcdStore::Impl::attempt(const Shared& operation) {
  const milliseconds left = time_left(*operation);
  if (stopping_ || open_ || left < milliseconds(5)) return fail_in_time(operation);
  if (needs_token()) {
    // It waits for an attempt of its own length; the operation must still be in time after it.
    if (left < options_.attempt) return fail_in_time(operation);
    waiting_for_token_.push_back(operation);
    return authenticate(preferred_);
  }
  std::int64_t lease = 0;
  if (operation->swap_done && operation->change.value &&
      operation->change.lifetime > Duration::zero()) {
    Lease& shared = lease_for(*operation);
    if (!fresh(shared)) {
      if (left < options_.attempt) return fail_in_time(operation);
      shared.waiting.push_back(operation);
      return grant(buckets_of(*operation));
    }
    lease = shared.id;
  }
  send(operation, lease, left);
}

void EtcdStore::Impl::send(const Shared& operation, std::int64_t lease, milliseconds timeout) {
  ++operation->attempts;
  const std::size_t index = preferred_;
  EtcdClient& client = *servers_[index].client;
  auto handle = asked([this, operation, index, lease, token = token_](const EtcdAnswer& answer) {
    answered(operation, index, lease, token, answer);
  });
  if (operation->get_done) {
    client.range(operation->change.key, token_, timeout, std::move(handle));
  } else {
    client.swap(operation->change, lease, token_, timeout, std::move(handle));
  }
}

void EtcdStore::Impl::answered(const Shared& operation, std::size_t index, std::int64_t lease,
                               const std::string& token, const EtcdAnswer& answer) {
  if (answer.fault == EtcdFault::no_answer) {
    operation->outcome_unknown = true;
    operation->last_failure = servers_[index].endpoint + ": " + answer.why;
    server_failed(index, answer.why);
    return attempt(operation);
  }
  if (!server_answered(index, answer)) return attempt(operation);
  if (!answer.fault) {
    close_circuit(index);
    set_trouble({});
    return done(operation, answer);
  }
  if (repair(operation, lease, token, answer)) return attempt(operation);
  const std::string why = servers_[index].endpoint + ": " + explain(answer);
  if (*answer.fault == EtcdFault::full) return fail(operation, Error(Errc::store_full, why));
  if (*answer.fault != EtcdFault::refused) set_trouble(why);
  fail(operation, Error(Errc::store_failed, "etcd " + why));
}

// True where the operation may do better with a new token or lease.
bool EtcdStore::Impl::repair(const Shared& operation, std::int64_t lease, const std::string& token,
                             const EtcdAnswer& answer) {
  if (operation->repairs >= kMaxRepairs) return false;
  ++operation->repairs;
  if (*answer.fault == EtcdFault::lease_gone) {
    forget_lease(lease);
    return true;
  }
  if (*answer.fault != EtcdFault::bad_token || options_.url.user.empty()) return false;
  forget_token(token);
  return true;
}

void EtcdStore::Impl::done(const Shared& operation, const EtcdAnswer& answer) {
  --in_flight_;
  if (operation->get_done) return operation->get_done(answer.entry);
  SwapOutcome outcome{.swapped = answer.swapped, .current = answer.entry};
  if (!outcome.swapped && operation->outcome_unknown) {
    const bool exists = outcome.current.revision != 0;
    const auto& value = operation->change.value;
    outcome.swapped = value ? exists && outcome.current.value == *value : !exists;
  }
  operation->swap_done(std::move(outcome));
}

void EtcdStore::Impl::fail(const Shared& operation, const Error& error) {
  --in_flight_;
  operation->get_done ? operation->get_done(error) : operation->swap_done(error);
}

void EtcdStore::Impl::fail_in_time(const Shared& operation) {
  const std::string why = stopping_                         ? "stopped"
                          : open_                           ? trouble()
                          : operation->last_failure.empty() ? "no answer in time"
                                                            : operation->last_failure;
  fail(operation, Error(Errc::store_failed, "etcd " + why));
}

void EtcdStore::Impl::authenticate(std::size_t index) {
  if (std::exchange(authenticating_, true)) return;
  const auto password = read_password(options_.url.password_file);
  EtcdClient::Done handle = asked([this, index](const EtcdAnswer& answer) {
    authenticating_ = false;
    if (answer.fault == EtcdFault::no_answer) {
      server_failed(index, answer.why);
    } else if (server_answered(index, answer) && !answer.fault) {
      token_ = answer.token;
      has_token_ = true;
    } else if (answer.fault) {
      close_circuit(index);
      set_trouble(servers_[index].endpoint + ": " + explain(answer));
    }
    for (const Shared& operation : std::exchange(waiting_for_token_, {})) {
      if (!answer.fault || answer.fault == EtcdFault::no_answer) {
        attempt(operation);
      } else {
        fail(operation, Error(Errc::store_failed, "etcd " + trouble()));
      }
    }
  });
  if (!password) {
    EtcdAnswer answer;
    answer.fault = EtcdFault::denied;
    answer.why = password.error().detail;
    return handle(std::move(answer));
  }
  servers_[index].client->authenticate(options_.url.user, *password, options_.attempt,
                                       std::move(handle));
}

void EtcdStore::Impl::forget_token(const std::string& token) {
  if (token == token_) has_token_ = false;  // else it has been renewed meanwhile
}

std::int64_t EtcdStore::Impl::buckets_of(const Operation& operation) const {
  const auto bucket = std::chrono::duration_cast<Duration>(options_.bucket);
  return (operation.change.lifetime + bucket - Duration(1)) / bucket;
}

// For the records of one bucket of time: the last of them is written when the lease is one bucket
// old.
void EtcdStore::Impl::grant(std::int64_t buckets) {
  if (std::exchange(leases_[buckets].asking, true)) return;
  const std::size_t index = preferred_;
  const Instant now = Executor::now();
  auto handle = [this, index, buckets, now, token = token_](const EtcdAnswer& answer) {
    Lease& lease = leases_[buckets];
    lease.asking = false;
    const auto waiting = std::exchange(lease.waiting, {});
    if (answer.fault == EtcdFault::no_answer) {
      server_failed(index, answer.why);
    } else if (server_answered(index, answer) && !answer.fault) {
      lease.id = answer.lease;
      lease.granted = now;
    }
    for (const Shared& operation : waiting) {
      if (!answer.fault || answer.fault == EtcdFault::no_answer ||
          repair(operation, 0, token, answer)) {
        attempt(operation);
      } else {
        const std::string why = servers_[index].endpoint + ": " + explain(answer);
        if (*answer.fault != EtcdFault::refused) set_trouble(why);
        fail(operation, Error(Errc::store_failed, "etcd " + why));
      }
    }
  };
  servers_[index].client->grant((buckets + 1) * options_.bucket, token_, options_.attempt,
                                asked(std::move(handle)));
}

void EtcdStore::Impl::forget_lease(std::int64_t id) {
  for (auto& [buckets, lease] : leases_) {
    if (lease.id == id) lease.id = 0;
  }
}

// False where the answer is of another cluster than those before: two clusters would fork what must
// not fork.
bool EtcdStore::Impl::server_answered(std::size_t index, const EtcdAnswer& answer) {
  Server& server = servers_[index];
  if (answer.cluster_id != 0 && cluster_id_ == 0) cluster_id_ = answer.cluster_id;
  if (answer.cluster_id != 0 && answer.cluster_id != cluster_id_) {
    server_failed(index,
                  "a member of another cluster than was used before; if that one was made "
                  "anew, restart this registrar");
    return false;
  }
  failures_ = 0;
  if (!server.trouble.empty()) log(LogLevel::info, "etcd " + server.endpoint + " answers again");
  server.trouble.clear();
  return true;
}

void EtcdStore::Impl::server_failed(std::size_t index, std::string_view why) {
  Server& server = servers_[index];
  ++failures_;
  if (server.trouble.empty() && !stopping_)
    log(LogLevel::warning, "etcd " + server.endpoint + " fails: " + std::string(why));
  server.trouble = why;
  if (preferred_ == index) preferred_ = (index + 1) % servers_.size();
  const bool all = std::all_of(servers_.begin(), servers_.end(),
                               [](const Server& one) { return !one.trouble.empty(); });
  if (all && failures_ >= 2) open_circuit();
}

void EtcdStore::Impl::open_circuit() {
  std::string text;
  for (const Server& server : servers_) {
    text += (text.empty() ? "" : "; ") + server.endpoint + ": " + server.trouble;
  }
  open_ = true;
  set_trouble(text);
}

void EtcdStore::Impl::close_circuit(std::size_t index) {
  if (std::exchange(open_, false)) preferred_ = index;
}

// While there is trouble: every server is asked while the circuit is open, else the preferred one.
void EtcdStore::Impl::look_after_trouble() {
  looking_after_ = !stopping_ && !trouble().empty();
  if (!looking_after_) return;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (open_ || i == preferred_) probe(i);
  }
  executor_.after(options_.probe_interval, [this] { look_after_trouble(); });
}

// A linearizable read, which takes a quorum; before it an authentication where one is due.
void EtcdStore::Impl::probe(std::size_t index) {
  if (needs_token()) return authenticate(index);
  if (std::exchange(servers_[index].probing, true)) return;
  auto handle = asked([this, index, token = token_](const EtcdAnswer& answer) {
    if (answer.fault == EtcdFault::bad_token) forget_token(token);
    probed(index, answer);
  });
  servers_[index].client->range(options_.url.prefix + std::string(kProbeKey), token_,
                                options_.attempt, std::move(handle));
}

void EtcdStore::Impl::probed(std::size_t index, const EtcdAnswer& answer) {
  Server& server = servers_[index];
  if (answer.fault != EtcdFault::no_answer) {
    server.probing = false;
    if (answer.fault == EtcdFault::bad_token && !options_.url.user.empty()) return;
    if (!server_answered(index, answer)) return;
    close_circuit(index);
    return set_trouble(answer.fault ? server.endpoint + ": " + explain(answer) : "");
  }
  // An answer to this one takes no quorum, and tells a server without one from a server that is
  // gone.
  server.client->status(kStatusTimeout, asked([this, index, answer](const EtcdAnswer& status) {
                          servers_[index].probing = false;
                          const bool alone = !status.fault && !status.has_leader;
                          server_failed(index, alone ? kNoLeader : std::string_view(answer.why));
                        }));
}

// To the log, once when it begins to fail and once when it answers.
void EtcdStore::Impl::set_trouble(const std::string& what) {
  {
    const std::scoped_lock lock(mutex_);
    trouble_ = what;
  }
  if (stopping_) return;
  if (told_good_ != what.empty()) {
    told_good_ = what.empty();
    if (what.empty()) {
      log(LogLevel::info, "the store answers: etcd " + servers_[preferred_].endpoint);
    } else {
      log(LogLevel::error, "the store fails: etcd " + what);
    }
  }
  if (!what.empty() && !std::exchange(looking_after_, true))
    executor_.after(options_.probe_interval, [this] { look_after_trouble(); });
}

// What an operator would have to do about it.
std::string EtcdStore::Impl::explain(const EtcdAnswer& answer) const {
  if (answer.fault == EtcdFault::bad_token && options_.url.user.empty()) {
    return "it asks for a user; add ?user=NAME&password-file=PATH (" + answer.why + ")";
  }
  if (answer.fault == EtcdFault::denied) return "user '" + options_.url.user + "': " + answer.why;
  return answer.why;
}

void EtcdStore::Impl::stop() {
  executor_.run([this] { stopping_ = true; });
  {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return questions_ == 0; });
  }
  executor_.stop();
}

EtcdStore::EtcdStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EtcdStore::~EtcdStore() = default;

Result<std::unique_ptr<EtcdStore>> EtcdStore::open(Options options) {
  const auto credentials = EtcdClient::load(options.url);
  if (!credentials) return credentials.error();
  if (!options.url.user.empty()) {
    if (auto password = read_password(options.url.password_file); !password)
      return password.error();
  }
  auto impl = std::make_unique<Impl>(std::move(options), **credentials);
  impl->start();
  return std::unique_ptr<EtcdStore>(new EtcdStore(std::move(impl)));
}

void EtcdStore::get(const std::string& key, GetDone done) {
  impl_->get(key, std::move(done));
}
void EtcdStore::compare_and_swap(Swap swap, SwapDone done) {
  impl_->swap(std::move(swap), std::move(done));
}
std::string EtcdStore::trouble() const {
  return impl_->trouble();
}

}  // namespace rtpool::pool
