#include "relay/media/latch.h"

#include "relay/media/target.h"

namespace rtpool::media {

bool is_private(const IpAddress& address) {
  const auto& o = address.octets;
  if (!address.is_v4()) return (o[0] & 0xfe) == 0xfc;
  return o[0] == 10 || (o[0] == 172 && (o[1] & 0xf0) == 16) || (o[0] == 192 && o[1] == 168) ||
         (o[0] == 100 && (o[1] & 0xc0) == 64);
}

void Latch::configure(const LatchConfig& config, Instant now) {
  // An ICE restart keeps the selected pair until a new one is nominated (RFC 8445, 2.4), whatever
  // the addresses say.
  const bool still_ice = config.ice && config_.ice;
  const bool reopened = configured_ && !still_ice &&
                        (config.epoch != config_.epoch || config.policy != config_.policy ||
                         config.ice != config_.ice);
  config_ = config;
  configured_ = true;
  if (config_.policy == LatchPolicy::signalled && !config_.ice) {
    unlatch();
    return;
  }
  if (!latched_) {
    unlatch();  // takes the new signalled endpoint as target
    return;
  }
  if (reopened) {
    window_end_ = now + config_.learning_window;
    rebindings_ = 0;
    stale_ = !exact(source_);
    last_heard_ = Instant::min();
  }
  // The signalled endpoint may have changed within an epoch too: what was not learned follows it.
  const bool direct = stale_ && !config_.ice && config_.signalled && !nat_suspected();
  target_ = direct ? *config_.signalled : source_;
}

Latch::Gate Latch::check(const RemoteEndpoint& source, Instant now, const IpAddress* companion) {
  if (stale_ && now >= window_end_) [[unlikely]]
    settle();
  if (latched_ && source == source_) [[likely]]
    return Gate::heard;
  if (config_.ice || source.port == 0) return Gate::refused;
  if (config_.policy == LatchPolicy::signalled) return exact(source) ? Gate::heard : Gate::refused;
  if (accepted(source.address, companion)) return Gate::candidate;
  const bool learnable = learns_from_any(now) && media_target_allowed(source, config_.local);
  return learnable ? Gate::candidate : Gate::refused;
}

Latch::Admission Latch::admit(const RemoteEndpoint& source, Instant now, Evidence evidence) {
  const bool window_open = now < window_end_;
  const bool takes_over = !latched_ || stale_ || (window_open && exact(source)) ||
                          (window_open && !firm_ && evidence.media);
  if (takes_over) {
    latch(source, now, evidence.media);
    return Admission::admitted;
  }
  if (!evidence.continues) return Admission::foreign;
  if (!window_open) {
    window_end_ = now + config_.learning_window;
    rebindings_ = 0;
  }
  if (rebindings_ == kMaxRebindings) return Admission::too_often;
  ++rebindings_;
  source_ = target_ = source;
  last_heard_ = now;
  return Admission::admitted;
}

void Latch::nominate(const RemoteEndpoint& source, Instant now) {
  if (latched_ && !stale_ && source == source_) return;
  latch(source, now, true);
}

bool Latch::accepted(const IpAddress& address, const IpAddress* companion) const {
  if (config_.signalled && address == config_.signalled->address) return true;
  if (config_.sip_source && address == *config_.sip_source) return true;
  if (latched_ && !stale_ && address == source_.address) return true;
  return companion != nullptr && address == *companion;
}

bool Latch::exact(const RemoteEndpoint& source) const {
  return config_.signalled && source == *config_.signalled;
}

bool Latch::learns_from_any(Instant now) const {
  if (config_.policy != LatchPolicy::any) return false;
  if (!config_.signalled && !config_.sip_source) return false;
  return !latched_ || (stale_ && now < window_end_);
}

bool Latch::nat_suspected() const {
  return config_.sip_source && config_.signalled &&
         config_.sip_source->family == config_.signalled->address.family &&
         *config_.sip_source != config_.signalled->address;
}

std::optional<RemoteEndpoint> Latch::unlearned_target() const {
  // With ICE nothing is sent to an address that no check has vouched for.
  if (config_.ice || !config_.signalled) return std::nullopt;
  RemoteEndpoint target = *config_.signalled;
  if (config_.policy == LatchPolicy::signalled || !nat_suspected()) return target;
  if (is_private(target.address) && !is_private(*config_.sip_source) &&
      !is_private(config_.advertised)) {
    RemoteEndpoint guess = target;
    guess.address = *config_.sip_source;
    if (media_target_allowed(guess, config_.local)) return guess;
  }
  return target;
}

void Latch::latch(const RemoteEndpoint& source, Instant now, bool firm) {
  source_ = target_ = source;
  latched_ = has_target_ = true;
  stale_ = false;
  firm_ = firm;
  rebindings_ = 0;
  window_end_ = now + config_.learning_window;
  last_heard_ = now;
}

void Latch::unlatch() {
  latched_ = stale_ = firm_ = false;
  const auto target = unlearned_target();
  has_target_ = target.has_value();
  if (target) target_ = *target;
}

// The window that a new epoch opened is over and nothing new was heard in it.
void Latch::settle() {
  // accepted() would take the latched address for granted: ask who vouches for it now.
  const IpAddress& address = source_.address;
  const bool vouched = (config_.signalled && address == config_.signalled->address) ||
                       (config_.sip_source && address == *config_.sip_source);
  const bool recent = last_heard_ >= window_end_ - config_.learning_window / 2;
  if (vouched && recent && !config_.ice) {
    stale_ = false;
    target_ = source_;
    return;
  }
  unlatch();
}

}  // namespace rtpool::media
