// Per-SSRC reception statistics of one stream (RFC 3550, A.1 sequence, A.3 loss, A.8 jitter), in a
// fixed table.
//
// Used by the shard's thread alone; allocates nothing. When the table is full, a new SSRC takes the
// place of the one that has been silent longest, provided that it has been so for kSsrcIdle;
// otherwise the packet goes unrecorded (it is still forwarded: the table bounds memory, not media).
//
// Jitter is in RTP timestamp units and so needs the clock rate. Static payload types have one (RFC
// 3551, table 4 and 5); for dynamic ones it is measured over the first second against arrival times
// and snapped to the nearest of the rates in use. Until then 8000 Hz is assumed; when the
// measurement differs, jitter starts anew.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "relay/base/time.h"
#include "relay/media/call_spec.h"
#include "relay/media/rtp.h"

namespace rtpool::media {

inline constexpr Duration kSsrcIdle = std::chrono::seconds(5);
// RFC 3550, A.1.
inline constexpr std::uint16_t kMaxDropout = 3000;
inline constexpr std::uint16_t kMaxMisorder = 100;

// Of a static payload type; 0 for dynamic and unassigned ones.
std::uint32_t static_clock_rate(std::uint8_t payload_type);

// One synchronisation source.
class SsrcTrack {
 public:
  void start(const RtpView& packet, std::size_t bytes, Instant now);
  void record(const RtpView& packet, std::size_t bytes, Instant now);

  [[nodiscard]] std::uint32_t ssrc() const { return ssrc_; }
  [[nodiscard]] Instant last_packet() const { return last_packet_; }
  // Whether `sequence` is the next or lies a credible gap ahead.
  [[nodiscard]] bool continues(std::uint16_t sequence) const {
    const auto ahead = static_cast<std::uint16_t>(sequence - max_sequence_);
    return ahead != 0 && ahead < kMaxDropout;
  }
  [[nodiscard]] std::uint32_t clock_rate() const { return clock_rate_; }
  [[nodiscard]] SsrcState state() const;

 private:
  void resync(std::uint16_t sequence);
  void update_sequence(std::uint16_t sequence);
  void update_jitter(const RtpView& packet, Instant now);
  void measure_clock(std::uint32_t timestamp, Instant now);

  std::uint32_t ssrc_ = 0;
  std::uint16_t max_sequence_ = 0;
  std::uint8_t payload_type_ = 0;
  bool clock_known_ = false;
  std::uint32_t bad_sequence_ = 0;  // what would confirm a jump; above 0xffff: nothing would
  std::uint32_t last_timestamp_ = 0;
  std::uint32_t clock_rate_ = 0;
  std::uint32_t jitter_q4_ = 0;     // 16 times the jitter, as A.8 keeps it
  std::uint64_t extended_max_ = 0;  // cycles and highest sequence number
  std::uint64_t base_ = 0;          // extended number that the current run began with
  std::uint64_t received_in_run_ = 0;
  std::int64_t lost_before_ = 0;  // in earlier runs
  PacketCounts received_;
  Instant first_packet_{}, last_packet_{};
  std::uint32_t first_timestamp_ = 0;
};

class SsrcTable {
 public:
  void record(const RtpView& packet, std::size_t bytes, Instant now);

  // Whether the SSRC is known and the sequence number carries on from it: a party whose NAT moved.
  [[nodiscard]] bool continues(std::uint32_t ssrc, std::uint16_t sequence) const;
  [[nodiscard]] bool contains(std::uint32_t ssrc) const;
  [[nodiscard]] std::size_t size() const { return size_; }
  void prefetch() const {
    const auto* const track = reinterpret_cast<const std::byte*>(&tracks_[latest_]);
    for (std::size_t at = 0; at < sizeof(SsrcTrack); at += 64) __builtin_prefetch(track + at, 1);
  }
  [[nodiscard]] std::vector<SsrcState> states() const;

 private:
  void record_other(const RtpView& packet, std::size_t bytes, Instant now);

  std::uint8_t size_ = 0;
  std::uint8_t latest_ = 0;  // most packets carry the SSRC of the one before
  std::array<SsrcTrack, kMaxSsrcsPerStream> tracks_;
};

}  // namespace rtpool::media
