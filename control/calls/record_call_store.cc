#include "control/calls/record_call_store.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "control/calls/call_record_codec.h"
#include "pool/errc.h"

namespace rtpool::control {
namespace {

constexpr Duration kPause = std::chrono::milliseconds(200);

}  // namespace

struct RecordCallStore::Impl : std::enable_shared_from_this<Impl> {
  Impl(boost::asio::io_context& context, pool::Records& records, std::function<Instant()> clock)
      : io(context), client(records), now(std::move(clock)) {}

  // Whether the store may be asked now. After a failure one request in each pause finds out.
  bool admit() {
    if (reached) return true;
    const Instant time = now();
    if (time < closed_until) return false;
    closed_until = time + kPause;
    return true;
  }

  void heard(const Error* error) {
    // A full store answers.
    const bool answered =
        error == nullptr || error->code == make_error_code(pool::Errc::store_full);
    if (!answered) closed_until = now() + kPause;
    if (answered == reached) return;
    reached = answered;
    if (on_reach) on_reach(reached, answered ? std::string() : error->message());
  }

  template <class Done>
  void refuse(const Done& done) {
    boost::asio::post(io, [done] { done(Error(pool::Errc::store_failed, "not asked again yet")); });
  }

  void swap(const std::string& call_id, std::uint64_t expected, std::optional<std::string> value,
            Duration deadline, Saved done);
  static Result<SaveOutcome> outcome_of(const Result<pool::SwapOutcome>& swapped);

  boost::asio::io_context& io;
  pool::Records& client;
  std::function<Instant()> now;
  std::function<void(bool, const std::string&)> on_reach;
  bool reached = true;
  Instant closed_until{};
};

Result<SaveOutcome> RecordCallStore::Impl::outcome_of(const Result<pool::SwapOutcome>& swapped) {
  if (!swapped) return swapped.error();
  SaveOutcome outcome{.saved = swapped->swapped,
                      .current = {.revision = swapped->current.revision, .record = {}}};
  if (swapped->swapped || swapped->current.revision == 0) return outcome;
  auto record = decode_record(swapped->current.value);
  if (!record) return record.error();
  outcome.current.record = std::move(*record);
  return outcome;
}

void RecordCallStore::Impl::swap(const std::string& call_id, std::uint64_t expected,
                                 std::optional<std::string> value, Duration deadline, Saved done) {
  if (!admit()) return refuse(done);
  client.swap(call_id, expected, std::move(value), deadline,
              [self = shared_from_this(),
               done = std::move(done)](const Result<pool::SwapOutcome>& swapped) {
                boost::asio::post(self->io, [self, done, swapped] {
                  const Error error = swapped ? Error() : swapped.error();
                  self->heard(swapped ? nullptr : &error);
                  done(outcome_of(swapped));
                });
              });
}

RecordCallStore::RecordCallStore(boost::asio::io_context& io, pool::Records& client,
                                 std::function<Instant()> now)
    : impl_(std::make_shared<Impl>(io, client, std::move(now))) {}
RecordCallStore::~RecordCallStore() = default;

void RecordCallStore::load(const std::string& call_id, std::uint64_t known_revision,
                           Duration deadline, Loaded done) {
  if (!impl_->admit()) return impl_->refuse(done);
  impl_->client.get(call_id, deadline,
                    [self = impl_, known_revision,
                     done = std::move(done)](const Result<pool::StoreEntry>& entry) {
                      boost::asio::post(self->io, [self, known_revision, done, entry] {
                        const Error error = entry ? Error() : entry.error();
                        self->heard(entry ? nullptr : &error);
                        if (!entry) return done(entry.error());
                        StoredCall stored{.revision = entry->revision, .record = {}};
                        if (entry->revision != 0 && entry->revision != known_revision) {
                          auto record = decode_record(entry->value);
                          if (!record) return done(record.error());
                          stored.record = std::move(*record);
                        }
                        done(std::move(stored));
                      });
                    });
}

void RecordCallStore::save(const CallRecord& record, std::uint64_t expected, Duration deadline,
                           Saved done) {
  impl_->swap(record.call_id, expected, encode_record(record), deadline, std::move(done));
}

void RecordCallStore::remove(const std::string& call_id, std::uint64_t expected, Duration deadline,
                             Saved done) {
  impl_->swap(call_id, expected, std::nullopt, deadline, std::move(done));
}

void RecordCallStore::set_on_reach(std::function<void(bool, const std::string&)> handler) {
  impl_->on_reach = std::move(handler);
}

bool RecordCallStore::reached() const {
  return impl_->reached;
}

}  // namespace rtpool::control
