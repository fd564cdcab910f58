#include "relay/media/ice_lite.h"

#include <algorithm>

namespace rtpool::media {

IceLite::IceLite(const IceSpec& spec) : spec_(spec), key_(as_bytes(spec.local_pwd)) {}

std::optional<RemoteEndpoint> IceLite::configure(const IceSpec& spec) {
  if (spec == spec_) return std::nullopt;
  const bool restarted = spec.local_ufrag != spec_.local_ufrag || spec.local_pwd != spec_.local_pwd;
  const bool was_known = peer_known();
  spec_ = spec;
  if (restarted) key_ = HmacSha1(as_bytes(spec_.local_pwd));
  if (restarted || was_known) {
    checked_count_ = 0;
    return std::nullopt;
  }
  // The answer came: keep what its author has checked already.
  const auto end = checked_.begin() + checked_count_;
  const auto kept = std::remove_if(checked_.begin(), end, [this](const Checked& c) {
    return std::string_view(c.ufrag.data(), c.ufrag_size) != spec_.remote_ufrag;
  });
  checked_count_ = static_cast<std::size_t>(kept - checked_.begin());
  const Checked* latest = nullptr;
  for (auto it = checked_.begin(); it != kept; ++it) {
    if (it->nominated && (latest == nullptr || it->last_check > latest->last_check)) latest = &*it;
  }
  return latest != nullptr ? std::optional(latest->source) : std::nullopt;
}

// USERNAME of a check to us is "ours:theirs" (RFC 8445, 7.2.2).
bool IceLite::names_us(std::string_view username) const {
  const std::string_view ours = spec_.local_ufrag;
  if (username.size() <= ours.size() || !username.starts_with(ours)) return false;
  if (username[ours.size()] != ':') return false;
  const std::string_view theirs = username.substr(ours.size() + 1);
  if (theirs.size() > kMaxUfragBytes) return false;
  return spec_.remote_ufrag.empty() || theirs == spec_.remote_ufrag;
}

bool IceLite::within_budget(Instant now) {
  if (now - budget_second_ >= std::chrono::seconds(1)) {
    budget_second_ = now;
    checks_ = 0;
  }
  return ++checks_ <= kMaxChecksPerSecond;
}

IceLite::Answer IceLite::answer(const StunView& request, const RemoteEndpoint& source,
                                Instant now) {
  if (request.method() != kStunBinding || request.message_class() != StunClass::request) {
    return {Outcome::unexpected, {}};
  }
  if (!request.has_integrity() || !names_us(request.username()))
    return {Outcome::unauthenticated, {}};
  if (!within_budget(now)) return {Outcome::too_often, {}};
  if (!request.authentic(key_)) return {Outcome::unauthenticated, {}};

  const StunTransactionId id = request.transaction_id();
  if (request.unknown_required() != 0) {
    return {Outcome::answered, write_binding_error(reply_, id, 420, "Unknown Attribute", &key_,
                                                   request.unknown_required())};
  }
  if (request.controlled() && request.controlling()) {
    return {Outcome::answered, write_binding_error(reply_, id, 400, "Bad Request", &key_)};
  }
  // A lite agent is controlled and can't change: whoever says the same must (RFC 8445, 7.3.1.1).
  if (request.controlled()) {
    return {Outcome::answered, write_binding_error(reply_, id, 487, "Role Conflict", &key_)};
  }
  const bool nominated = request.use_candidate();
  remember(source, request.username().substr(spec_.local_ufrag.size() + 1), nominated, now);
  return {nominated && peer_known() ? Outcome::nominated : Outcome::answered,
          write_binding_success(reply_, id, source, key_)};
}

bool IceLite::heard(const RemoteEndpoint& source) const {
  if (!peer_known()) return false;
  const auto end = checked_.begin() + checked_count_;
  return std::any_of(checked_.begin(), end, [&](const Checked& c) { return c.source == source; });
}

void IceLite::remember(const RemoteEndpoint& source, std::string_view ufrag, bool nominated,
                       Instant now) {
  const auto end = checked_.begin() + checked_count_;
  auto slot =
      std::find_if(checked_.begin(), end, [&](const Checked& c) { return c.source == source; });
  if (slot == end) {
    if (checked_count_ < kMaxCheckedSources) {
      ++checked_count_;
    } else {
      slot = std::min_element(checked_.begin(), end, [](const Checked& a, const Checked& b) {
        return a.last_check < b.last_check;
      });
    }
    slot->source = source;
    slot->nominated = false;
  }
  slot->nominated = slot->nominated || nominated;
  slot->last_check = now;
  slot->ufrag_size = static_cast<std::uint16_t>(ufrag.size());
  std::copy(ufrag.begin(), ufrag.end(), slot->ufrag.begin());
}

}  // namespace rtpool::media
