#include "pool/record_client.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <utility>

#include "pool/errc.h"
#include "pool/executor.h"
#include "pool/link_client.h"
#include "pool/wire_codec.h"

namespace rtpool::pool {
namespace {

constexpr Duration kPassOver = std::chrono::seconds(1);
constexpr Duration kRoundPause = std::chrono::milliseconds(20);
constexpr int kMaxRounds = 2;

// What another registrar may answer differently.
bool worth_asking_another(const Error& error) {
  return error.code == make_error_code(Errc::store_failed) ||
         error.code == make_error_code(Errc::stopped) ||
         error.code == make_error_code(Errc::overloaded);
}

StoreEntry decode_entry(const v1::Record& record) {
  return {.value = record.value(), .revision = record.revision()};
}

}  // namespace

// What is not under mutex_ belongs to the executor's tasks, which run on its timers' thread and on
// gRPC's.
class RecordClient::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)) {
    for (const std::string& registrar : options_.registrars) {
      Link& link = links_.emplace_back();
      link.registrar = registrar;
      link.stub = connect_registrar(registrar, options_.tls);
    }
  }
  ~Impl() { stop(); }

  void get(const std::string& key, Duration deadline, Store::GetDone done) {
    auto operation = std::make_shared<Operation>();
    operation->get_done = std::move(done);
    operation->get.set_pool(options_.pool);
    operation->get.set_key(key);
    begin(std::move(operation), check_record_key(key), deadline);
  }

  void swap(const std::string& key, std::uint64_t expected, std::optional<std::string> value,
            Duration deadline, Store::SwapDone done) {
    auto operation = std::make_shared<Operation>();
    operation->swap_done = std::move(done);
    operation->swap.set_pool(options_.pool);
    operation->swap.set_key(key);
    operation->swap.set_expected(expected);
    operation->swap.set_lifetime_ms(static_cast<std::uint64_t>(
        std::chrono::ceil<std::chrono::milliseconds>(options_.lifetime).count()));
    auto ok = check_record_key(key);
    if (ok && value) ok = check_record_value(*value);
    if (value) operation->swap.set_value(std::move(*value));
    begin(std::move(operation), ok, deadline);
  }

  void stop();

 private:
  struct Link {
    std::string registrar;
    std::unique_ptr<v1::Registrar::Stub> stub;
    Instant passed_over_until{};
    std::string trouble;  // why, while it fails
  };

  // One attempt at one registrar; gRPC's callback keeps it.
  struct Attempt {
    std::size_t link = 0;
    Instant began{};
    std::optional<grpc::ClientContext> context{std::in_place};  // as OneShot's
    v1::Record record;
    v1::SwapRecordReply swap_reply;
  };

  struct Operation {
    v1::GetRecordRequest get;
    v1::SwapRecordRequest swap;
    Store::GetDone get_done;
    Store::SwapDone swap_done;  // this one or the other
    Instant deadline{};
    Duration patience{};  // with one registrar, before another is asked as well
    std::vector<bool> asked;
    int rounds = 0;
    int started = 0;
    bool connection_broke = false;                // in this round, and it was good before
    std::set<std::shared_ptr<Attempt>> attempts;  // without an answer
    bool finished = false;
  };
  using Shared = std::shared_ptr<Operation>;

  void begin(Shared operation, Result<void> ok, Duration deadline);
  void ask(const Shared& operation);
  [[nodiscard]] std::optional<std::size_t> choose(const Operation& operation) const;
  void send(const Shared& operation, std::size_t index);
  void answered(const Shared& operation, const std::shared_ptr<Attempt>& attempt,
                const grpc::Status& status);
  void ask_on(const Shared& operation);
  void failed(Link& link, const Error& error);
  void succeeded(const Operation& operation, const Attempt& answer);
  void expired(const Shared& operation);
  void pass_over_silent(const Operation& operation);
  static Result<SwapOutcome> outcome(const Operation& operation, const v1::SwapRecordReply& reply);
  void finish(const Shared& operation, const std::optional<Error>& error, const Attempt* answer);
  [[nodiscard]] Error nobody_answered(const Operation& operation) const;
  void ended(std::size_t& count);
  void log(LogLevel level, const std::string& text) const {
    if (options_.log) options_.log(level, text);
  }

  Options options_;
  std::vector<Link> links_;
  std::size_t preferred_ = 0;    // answered last
  std::set<Shared> operations_;  // without an outcome
  bool stopping_ = false;

  std::mutex mutex_;  // guards what follows
  std::condition_variable idle_;
  bool accepting_ = true;
  std::size_t operations_in_flight_ = 0;
  std::size_t attempts_in_flight_ = 0;

  std::mutex stop_mutex_;
  Executor executor_;  // last: its thread ends before what it uses
};

void RecordClient::Impl::begin(Shared operation, Result<void> ok, Duration deadline) {
  operation->deadline = Executor::now() + deadline;
  operation->patience = deadline / 3;
  {
    const std::scoped_lock lock(mutex_);
    if (accepting_) {
      if (ok && operations_in_flight_ >= kMaxRecordsInFlight) {
        ok =
            Error(Errc::overloaded, std::to_string(kMaxRecordsInFlight) + " records are under way");
      }
      ++operations_in_flight_;
      // Not by post(), which would run what is queued here, callbacks too: a caller may hold locks.
      executor_.after(Duration::zero(), [this, operation = std::move(operation), ok] {
        operations_.insert(operation);
        if (!ok) return finish(operation, ok.error(), nullptr);
        if (stopping_) return finish(operation, Error(Errc::store_failed, "stopped"), nullptr);
        executor_.after(operation->deadline - Executor::now(), [this, operation] {
          if (!operation->finished) expired(operation);
        });
        ask(operation);
      });
      return;
    }
  }
  const Error error(Errc::store_failed, "stopped");
  if (operation->get_done) return operation->get_done(error);
  operation->swap_done(error);
}

// Asks the best registrar that has not been asked in this round, and looks after it again when it
// has not answered within the patience.
void RecordClient::Impl::ask(const Shared& operation) {
  if (operation->finished) return;
  const auto index = choose(*operation);
  if (!index) return;
  send(operation, *index);
  executor_.after(operation->patience, [this, operation, started = operation->started] {
    if (operation->started == started) ask(operation);
  });
}

// In the order of the ring from the one that answered last; those that failed lately come last.
std::optional<std::size_t> RecordClient::Impl::choose(const Operation& operation) const {
  std::optional<std::size_t> second_best;
  for (std::size_t i = 0; i < links_.size(); ++i) {
    const std::size_t index = (preferred_ + i) % links_.size();
    if (!operation.asked.empty() && operation.asked[index]) continue;
    if (links_[index].passed_over_until <= Executor::now()) return index;
    if (!second_best) second_best = index;
  }
  return second_best;
}

void RecordClient::Impl::send(const Shared& operation, std::size_t index) {
  operation->asked.resize(links_.size());
  operation->asked[index] = true;
  ++operation->started;
  const auto attempt = std::make_shared<Attempt>();
  attempt->link = index;
  attempt->began = Executor::now();
  // A little more than the operation's own, which its timer ends.
  attempt->context->set_deadline(
      std::chrono::system_clock::now() +
      std::chrono::duration_cast<std::chrono::microseconds>(operation->deadline - attempt->began) +
      std::chrono::milliseconds(10));
  operation->attempts.insert(attempt);
  {
    const std::scoped_lock lock(mutex_);
    ++attempts_in_flight_;
  }
  auto done = [this, operation, attempt](const grpc::Status& status) {
    executor_.post([this, operation, attempt, status] { answered(operation, attempt, status); });
  };
  auto* async = links_[index].stub->async();
  if (operation->get_done) {
    async->GetRecord(&*attempt->context, &operation->get, &attempt->record, std::move(done));
  } else {
    async->SwapRecord(&*attempt->context, &operation->swap, &attempt->swap_reply, std::move(done));
  }
}

void RecordClient::Impl::answered(const Shared& operation, const std::shared_ptr<Attempt>& attempt,
                                  const grpc::Status& status) {
  operation->attempts.erase(attempt);
  attempt->context.reset();
  Link& link = links_[attempt->link];
  if (!operation->finished) {
    if (status.ok()) {
      succeeded(*operation, *attempt);
      finish(operation, std::nullopt, attempt.get());
    } else if (const Error error = from_status(status);
               is_refusal(status) && !worth_asking_another(error)) {
      finish(operation, error, nullptr);
    } else {
      if (link.trouble.empty() && !is_refusal(status)) operation->connection_broke = true;
      failed(link, error);
      ask_on(operation);
    }
  }
  ended(attempts_in_flight_);
}

// After a failure: the next registrar at once. When each has failed, one more round after a pause
// where a connection has just broken; whoever failed before, or answers that it can't say, is not
// waited for.
void RecordClient::Impl::ask_on(const Shared& operation) {
  if (choose(*operation)) return ask(operation);
  if (!operation->attempts.empty()) return;
  if (!operation->connection_broke || ++operation->rounds >= kMaxRounds) {
    return finish(operation, nobody_answered(*operation), nullptr);
  }
  operation->connection_broke = false;
  operation->asked.clear();
  executor_.after(kRoundPause, [this, operation] { ask(operation); });
}

void RecordClient::Impl::failed(Link& link, const Error& error) {
  if (link.trouble.empty() && !stopping_) {
    log(LogLevel::warning, "no records from registrar " + link.registrar + ": " + error.message());
  }
  link.trouble = error.message();
  link.passed_over_until = Executor::now() + kPassOver;
}

void RecordClient::Impl::succeeded(const Operation& operation, const Attempt& answer) {
  Link& link = links_[answer.link];
  if (!link.trouble.empty()) log(LogLevel::info, "records from " + link.registrar + " again");
  link.trouble.clear();
  link.passed_over_until = {};
  preferred_ = answer.link;
  pass_over_silent(operation);
}

void RecordClient::Impl::expired(const Shared& operation) {
  pass_over_silent(*operation);
  finish(operation, nobody_answered(*operation), nullptr);
}

void RecordClient::Impl::pass_over_silent(const Operation& operation) {
  for (const auto& attempt : operation.attempts) {
    if (Executor::now() - attempt->began < operation.patience) continue;
    failed(links_[attempt->link], Error(Errc::store_failed, "no answer in time"));
  }
}

// Where an earlier attempt may have done it, finding what it would have left means that it has.
Result<SwapOutcome> RecordClient::Impl::outcome(const Operation& operation,
                                                const v1::SwapRecordReply& reply) {
  SwapOutcome outcome{.swapped = reply.swapped(), .current = decode_entry(reply.current())};
  if (operation.started > 1 && !outcome.swapped) {
    const bool exists = outcome.current.revision != 0;
    outcome.swapped = operation.swap.has_value()
                          ? exists && outcome.current.value == operation.swap.value()
                          : !exists;
  }
  return outcome;
}

void RecordClient::Impl::finish(const Shared& operation, const std::optional<Error>& error,
                                const Attempt* answer) {
  operation->finished = true;
  operations_.erase(operation);
  for (const auto& attempt : operation->attempts) attempt->context->TryCancel();
  if (operation->get_done) {
    const auto done = std::exchange(operation->get_done, nullptr);
    error ? done(*error) : done(decode_entry(answer->record));
  } else {
    const auto done = std::exchange(operation->swap_done, nullptr);
    error ? done(*error) : done(outcome(*operation, answer->swap_reply));
  }
  ended(operations_in_flight_);
}

Error RecordClient::Impl::nobody_answered(const Operation& operation) const {
  std::string text;
  for (std::size_t i = 0; i < links_.size(); ++i) {
    const bool waits = std::any_of(operation.attempts.begin(), operation.attempts.end(),
                                   [&](const auto& attempt) { return attempt->link == i; });
    const std::string why = waits ? "no answer in time" : links_[i].trouble;
    if (why.empty()) continue;
    text += (text.empty() ? "" : "; ") + links_[i].registrar + ": " + why.substr(0, 200);
  }
  return {Errc::store_failed, text};
}

void RecordClient::Impl::ended(std::size_t& count) {
  const std::scoped_lock lock(mutex_);
  --count;
  if (operations_in_flight_ + attempts_in_flight_ == 0) idle_.notify_all();
}

void RecordClient::Impl::stop() {
  const std::scoped_lock once(stop_mutex_);
  {
    const std::scoped_lock lock(mutex_);
    accepting_ = false;
  }
  const bool running = executor_.run([this] {
    stopping_ = true;
    while (!operations_.empty()) {
      const Shared operation = *operations_.begin();
      finish(operation, Error(Errc::store_failed, "stopped"), nullptr);
    }
  });
  if (!running) return;
  {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return operations_in_flight_ + attempts_in_flight_ == 0; });
  }
  executor_.stop();
}

RecordClient::RecordClient(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
RecordClient::~RecordClient() {
  stop();
}

Result<std::unique_ptr<RecordClient>> RecordClient::start(Options options) {
  if (auto ok = check_registrars(options.registrars); !ok) return ok.error();
  if (auto ok = check_name("the pool's name", options.pool); !ok) return ok.error();
  if (options.lifetime < Duration::zero() || options.lifetime > std::chrono::hours(30 * 24)) {
    return Error(Errc::bad_argument, "a record's lifetime is 0 (for ever) to 30 days");
  }
  return std::unique_ptr<RecordClient>(
      new RecordClient(std::make_shared<Impl>(std::move(options))));
}

void RecordClient::get(const std::string& key, Duration deadline, Store::GetDone done) {
  impl_->get(key, deadline, std::move(done));
}

void RecordClient::swap(const std::string& key, std::uint64_t expected,
                        std::optional<std::string> value, Duration deadline, Store::SwapDone done) {
  impl_->swap(key, expected, std::move(value), deadline, std::move(done));
}

void RecordClient::stop() {
  impl_->stop();
}

}  // namespace rtpool::pool
