#include "pool/record_service.h"

#include <mutex>
#include <unordered_set>
#include <utility>

#include "pool/errc.h"
#include "pool/pool_element.h"
#include "pool/records.h"
#include "pool/wire_codec.h"

namespace rtpool::pool {
namespace {

constexpr std::uint64_t kLongestLifetimeMs = 30ULL * 24 * 3'600 * 1'000;

Result<void> check_key(const std::string& pool, const std::string& key) {
  if (auto ok = check_name("the pool's name", pool); !ok) return ok;
  return check_record_key(key);
}

Result<void> check_swap(const v1::SwapRecordRequest& request) {
  if (auto ok = check_key(request.pool(), request.key()); !ok) return ok;
  if (auto ok = check_record_value(request.value()); !ok) return ok;
  if (request.lifetime_ms() > kLongestLifetimeMs) {
    return Error(Errc::bad_argument, "the record's lifetime is " +
                                         std::to_string(request.lifetime_ms()) +
                                         " ms; at most 30 days");
  }
  return {};
}

void encode_entry(const StoreEntry& entry, v1::Record& out) {
  out.set_revision(entry.revision);
  out.set_value(entry.value);
}

}  // namespace

// What is under way. An answer takes its reactor out of the set first: whoever does so finishes it,
// the store or stop(), and only then may the reply be written to.
struct RecordService::State {
  std::mutex mutex;
  bool stopped = false;
  std::unordered_set<grpc::ServerUnaryReactor*> open;

  Result<void> open_call(grpc::ServerUnaryReactor* reactor) {
    const std::scoped_lock lock(mutex);
    if (stopped) return Error(Errc::stopped);
    if (open.size() >= kMaxRecordsInFlight) return Error(Errc::overloaded);
    open.insert(reactor);
    return {};
  }
  // False: refused, and the call is finished.
  bool begin(grpc::ServerUnaryReactor* reactor, const grpc::Status& allowed, Result<void> ok) {
    if (allowed.ok() && ok) ok = open_call(reactor);
    if (allowed.ok() && ok) return true;
    reactor->Finish(allowed.ok() ? to_status(ok.error()) : allowed);
    return false;
  }

  // Under the lock while the reply is filled in, so that stop() can't finish it meanwhile.
  template <class Fill>
  void finish(grpc::ServerUnaryReactor* reactor, const grpc::Status& status, Fill fill) {
    {
      const std::scoped_lock lock(mutex);
      if (open.erase(reactor) == 0) return;
      if (status.ok()) fill();
    }
    reactor->Finish(status);
  }
};

RecordService::RecordService(Store& store) : store_(store), state_(std::make_shared<State>()) {}

RecordService::~RecordService() {
  stop();
}

grpc::ServerUnaryReactor* RecordService::get(grpc::CallbackServerContext& context,
                                             const grpc::Status& allowed,
                                             const v1::GetRecordRequest& request,
                                             v1::Record& reply) {
  grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
  const auto ok = check_key(request.pool(), request.key());
  if (!state_->begin(reactor, allowed, ok)) return reactor;
  store_.get(record_store_key(request.pool(), request.key()),
             [state = state_, reactor, &reply](Result<StoreEntry> entry) {
               state->finish(reactor, entry ? grpc::Status::OK : to_status(entry.error()),
                             [&] { encode_entry(*entry, reply); });
             });
  return reactor;
}

grpc::ServerUnaryReactor* RecordService::swap(grpc::CallbackServerContext& context,
                                              const grpc::Status& allowed,
                                              const v1::SwapRecordRequest& request,
                                              v1::SwapRecordReply& reply) {
  grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
  auto ok = check_swap(request);
  // A registrar that was stopped for a while must not do what its client has given up.
  if (context.IsCancelled()) ok = Error(Errc::stopped, "the client has gone");
  if (!state_->begin(reactor, allowed, ok)) return reactor;
  Swap swap{.key = record_store_key(request.pool(), request.key()),
            .expected = request.expected(),
            .value = std::nullopt,
            .lifetime = std::chrono::milliseconds(request.lifetime_ms())};
  if (request.has_value()) swap.value = request.value();
  store_.compare_and_swap(
      std::move(swap), [state = state_, reactor, &reply](Result<SwapOutcome> outcome) {
        state->finish(reactor, outcome ? grpc::Status::OK : to_status(outcome.error()), [&] {
          reply.set_swapped(outcome->swapped);
          encode_entry(outcome->current, *reply.mutable_current());
        });
      });
  return reactor;
}

void RecordService::stop() {
  std::unordered_set<grpc::ServerUnaryReactor*> open;
  {
    const std::scoped_lock lock(state_->mutex);
    state_->stopped = true;
    open.swap(state_->open);
  }
  for (grpc::ServerUnaryReactor* reactor : open) reactor->Finish(to_status(Errc::stopped));
}

}  // namespace rtpool::pool
