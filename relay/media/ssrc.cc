#include "relay/media/ssrc.h"

#include <algorithm>
#include <cmath>

namespace rtpool::media {
namespace {

constexpr std::uint32_t kNoBadSequence = 0x10000;
constexpr std::uint32_t kDefaultClockRate = 8000;
constexpr std::array<std::uint32_t, 8> kClockRates{8000,  11025, 16000, 22050,
                                                   32000, 44100, 48000, 90000};

// Ticks of a clock within a span that is cut to ten seconds, so that the product can't overflow.
std::int64_t to_ticks(Duration span, std::uint32_t rate) {
  const std::int64_t ns = std::clamp<std::int64_t>(span.count(), 0, 10'000'000'000);
  return ns * rate / 1'000'000'000;
}

}  // namespace

std::uint32_t static_clock_rate(std::uint8_t payload_type) {
  switch (payload_type) {
    case 0:
    case 3:
    case 4:
    case 5:
    case 7:
    case 8:
    case 9:
    case 12:
    case 13:
    case 15:
    case 18:
      return 8000;
    case 6:
      return 16000;
    case 10:
    case 11:
      return 44100;
    case 16:
      return 11025;
    case 17:
      return 22050;
    case 14:
    case 25:
    case 26:
    case 28:
    case 31:
    case 32:
    case 33:
    case 34:
      return 90000;
    default:
      return 0;
  }
}

void SsrcTrack::start(const RtpView& packet, std::size_t bytes, Instant now) {
  *this = SsrcTrack{};
  ssrc_ = packet.ssrc();
  payload_type_ = packet.payload_type();
  const std::uint32_t rate = static_clock_rate(payload_type_);
  clock_known_ = rate != 0;
  clock_rate_ = clock_known_ ? rate : kDefaultClockRate;
  first_timestamp_ = last_timestamp_ = packet.timestamp();
  first_packet_ = last_packet_ = now;
  resync(packet.sequence());
  received_in_run_ = 1;
  received_ = {.packets = 1, .bytes = bytes};
}

void SsrcTrack::record(const RtpView& packet, std::size_t bytes, Instant now) {
  ++received_.packets;
  received_.bytes += bytes;
  update_sequence(packet.sequence());
  update_jitter(packet, now);
  last_timestamp_ = packet.timestamp();
  last_packet_ = now;
}

void SsrcTrack::resync(std::uint16_t sequence) {
  max_sequence_ = sequence;
  // One cycle up, so that a straggler from before the start is still a positive number.
  base_ = extended_max_ = 0x10000u + sequence;
  bad_sequence_ = kNoBadSequence;
  received_in_run_ = 0;
}

// RFC 3550, A.1 without probation: the source was let in by the gate, not by its numbers.
void SsrcTrack::update_sequence(std::uint16_t sequence) {
  const auto ahead = static_cast<std::uint16_t>(sequence - max_sequence_);
  if (ahead != 0 && ahead < kMaxDropout) {
    extended_max_ += ahead;
    max_sequence_ = sequence;
    bad_sequence_ = kNoBadSequence;
  } else if (ahead != 0 && ahead <= 0x10000 - kMaxMisorder) {
    // A jump: two in a row make it a restart of the sender, one alone is a stray.
    if (sequence == bad_sequence_) {
      lost_before_ += static_cast<std::int64_t>(extended_max_ - base_ + 1 - received_in_run_);
      // The first of the two was counted in neither run.
      resync(static_cast<std::uint16_t>(sequence - 1));
      extended_max_ += 1;
      max_sequence_ = sequence;
      received_in_run_ = 2;
      return;
    }
    bad_sequence_ = static_cast<std::uint16_t>(sequence + 1);
    return;
  }
  ++received_in_run_;
}

void SsrcTrack::update_jitter(const RtpView& packet, Instant now) {
  const std::uint8_t type = packet.payload_type();
  if (type != payload_type_) [[unlikely]] {
    // Telephone events and comfort noise share the stream's clock; only a static type tells a rate
    // of its own.
    const std::uint32_t rate = static_clock_rate(type);
    if (rate != 0 && rate != clock_rate_) {
      clock_rate_ = rate;
      clock_known_ = true;
      jitter_q4_ = 0;
      payload_type_ = type;
      return;
    }
    payload_type_ = type;
  }
  if (!clock_known_) [[unlikely]]
    measure_clock(packet.timestamp(), now);
  const auto sent = static_cast<std::int32_t>(packet.timestamp() - last_timestamp_);
  std::int64_t difference = to_ticks(now - last_packet_, clock_rate_) - sent;
  if (difference < 0) difference = -difference;
  // A pause or a timestamp jump is not jitter: leave differences of more than ten seconds out.
  if (difference > std::int64_t{10} * clock_rate_) return;
  jitter_q4_ += static_cast<std::uint32_t>(difference) - ((jitter_q4_ + 8) >> 4);
}

void SsrcTrack::measure_clock(std::uint32_t timestamp, Instant now) {
  const Duration elapsed = now - first_packet_;
  if (elapsed < std::chrono::seconds(1)) return;
  clock_known_ = true;
  const auto ticks = static_cast<std::int32_t>(timestamp - first_timestamp_);
  if (ticks <= 0 || elapsed > std::chrono::seconds(10)) return;
  const double rate = double(ticks) * 1e9 / double(elapsed.count());
  const auto distance = [rate](std::uint32_t known) {
    return std::abs(rate - double(known)) / known;
  };
  const std::uint32_t nearest = *std::min_element(
      kClockRates.begin(), kClockRates.end(),
      [&](std::uint32_t a, std::uint32_t b) { return distance(a) < distance(b); });
  // A pause in the first second makes the measure worthless: no rate in use is near it.
  if (distance(nearest) > 0.04 || nearest == clock_rate_) return;
  clock_rate_ = nearest;
  jitter_q4_ = 0;
}

SsrcState SsrcTrack::state() const {
  return {.ssrc = ssrc_,
          .received = received_,
          .last_sequence = max_sequence_,
          .last_timestamp = last_timestamp_,
          .payload_type = payload_type_,
          .lost = lost_before_ +
                  static_cast<std::int64_t>(extended_max_ - base_ + 1 - received_in_run_),
          .jitter = jitter_q4_ >> 4,
          .first_packet = first_packet_,
          .last_packet = last_packet_};
}

void SsrcTable::record(const RtpView& packet, std::size_t bytes, Instant now) {
  if (size_ > 0 && tracks_[latest_].ssrc() == packet.ssrc()) [[likely]] {
    tracks_[latest_].record(packet, bytes, now);
    return;
  }
  record_other(packet, bytes, now);
}

void SsrcTable::record_other(const RtpView& packet, std::size_t bytes, Instant now) {
  for (std::uint8_t i = 0; i < size_; ++i) {
    if (tracks_[i].ssrc() != packet.ssrc()) continue;
    tracks_[i].record(packet, bytes, now);
    latest_ = i;
    return;
  }
  if (size_ == kMaxSsrcsPerStream) {
    const auto end = tracks_.begin() + size_;
    const auto oldest = std::min_element(tracks_.begin(), end, [](const auto& a, const auto& b) {
      return a.last_packet() < b.last_packet();
    });
    if (now - oldest->last_packet() < kSsrcIdle) return;
    // Later ones move up: the table stays in order of appearance.
    std::move(oldest + 1, end, oldest);
    --size_;
  }
  latest_ = size_++;
  tracks_[latest_].start(packet, bytes, now);
}

bool SsrcTable::continues(std::uint32_t ssrc, std::uint16_t sequence) const {
  for (std::size_t i = 0; i < size_; ++i) {
    if (tracks_[i].ssrc() == ssrc) return tracks_[i].continues(sequence);
  }
  return false;
}

bool SsrcTable::contains(std::uint32_t ssrc) const {
  for (std::size_t i = 0; i < size_; ++i) {
    if (tracks_[i].ssrc() == ssrc) return true;
  }
  return false;
}

std::vector<SsrcState> SsrcTable::states() const {
  std::vector<SsrcState> states;
  states.reserve(size_);
  for (std::size_t i = 0; i < size_; ++i) states.push_back(tracks_[i].state());
  return states;
}

}  // namespace rtpool::media
