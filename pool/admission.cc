#include "pool/admission.h"

#include <utility>

#include "pool/errc.h"

namespace rtpool::pool {
namespace {

// The store said nothing about the claim.
bool store_is_away(const Error& error) {
  return error.code == make_error_code(Errc::store_failed) ||
         error.code == make_error_code(Errc::store_full) ||
         error.code == make_error_code(Errc::overloaded);
}

}  // namespace

void Admission::claim(StreamId stream, EpochClaim wanted) {
  const std::uint64_t number = ++number_;
  const bool holds_epoch = wanted.registration.epoch > 0;
  forget(stream);
  auto abandoned = std::make_shared<std::atomic<bool>>(false);
  wanted.abandoned = abandoned;
  const Claim& claim = claims_
                           .insert_or_assign(stream, Claim{.wanted = std::move(wanted),
                                                           .abandoned = std::move(abandoned),
                                                           .number = number})
                           .first->second;
  ask(stream, claim, false);
  if (!holds_epoch) return;
  executor_.after(options_.patience, [this, stream, number] { take_at_word(stream, number); });
}

void Admission::forget(StreamId stream) {
  const auto it = claims_.find(stream);
  if (it == claims_.end()) return;
  *it->second.abandoned = true;
  claims_.erase(it);
}

void Admission::ask(StreamId stream, const Claim& claim, bool again) {
  claim_epoch(store_, claim.wanted,
              [this, stream, number = claim.number, again](Result<std::uint64_t> epoch) {
                // Perhaps on the store's thread, and after the stream has gone.
                executor_.post([this, stream, number, again, epoch = std::move(epoch)] {
                  if (again) --asking_again_;
                  answered(stream, number, epoch);
                });
              });
}

void Admission::answered(StreamId stream, std::uint64_t number,
                         const Result<std::uint64_t>& epoch) {
  const auto it = claims_.find(stream);
  if (it == claims_.end() || it->second.number != number) return;
  if (!epoch && store_is_away(epoch.error()) && it->second.wanted.registration.epoch > 0) {
    unconfirmed_.emplace_back(stream, number);
    take_at_word(stream, number);
    if (!std::exchange(confirming_, true)) {
      log(LogLevel::warning, "the store fails: relays that hold an epoch are taken at their word");
      executor_.after(options_.confirm_interval, [this] { confirm(); });
    }
    return;
  }
  const Verdict verdict{.registration = std::move(it->second.wanted.registration),
                        .epoch = epoch,
                        .confirms = it->second.on_word};
  claims_.erase(it);
  decided_(stream, verdict);
}

void Admission::take_at_word(StreamId stream, std::uint64_t number) {
  const auto it = claims_.find(stream);
  if (it == claims_.end() || it->second.number != number) return;
  if (std::exchange(it->second.on_word, true)) return;
  it->second.wanted.pool_is_empty = false;  // it is in it
  const Registration registration = it->second.wanted.registration;
  decided_(stream, {.registration = registration, .epoch = registration.epoch});
}

void Admission::confirm() {
  const std::size_t at_once = store_.trouble().empty() ? options_.confirm_at_once : 1;
  while (!unconfirmed_.empty() && asking_again_ < at_once) {
    const auto [stream, number] = unconfirmed_.front();
    unconfirmed_.pop_front();
    const auto it = claims_.find(stream);
    if (it == claims_.end() || it->second.number != number) continue;
    ++asking_again_;
    ask(stream, it->second, true);
  }
  if (unconfirmed_.empty() && asking_again_ == 0) {
    confirming_ = false;
    log(LogLevel::info, "the store has answered for every relay that was taken at its word");
    return;
  }
  executor_.after(options_.confirm_interval, [this] { confirm(); });
}

}  // namespace rtpool::pool
