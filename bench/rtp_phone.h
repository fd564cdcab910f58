// The media half of a telephone: one RTP and one RTCP socket, 20 ms packets of PCMA audio, sender
// and receiver reports (RFC 3550, RFC 3551), and an account of every packet. Two phones that know
// each other (`set_peer`) measure a direction exactly, since both ends are in one process: what was
// sent when, what came, when, and from where.
//
// Used by one thread. Sockets are opened by the constructor, which throws std::system_error;
// nothing later throws. Send times are read just before the send; receive times are the kernel's
// own, so that a busy program does not measure itself. It does not play out, conceal losses or
// adapt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "bench/audio.h"
#include "bench/net.h"
#include "relay/base/endpoint.h"
#include "relay/base/random.h"
#include "relay/base/time.h"

namespace rtpool::bench {

inline constexpr Duration kPacketInterval = std::chrono::milliseconds(20);
inline constexpr Duration kReportInterval = std::chrono::seconds(5);
inline constexpr std::uint8_t kPcma = 8;

// What became of one direction's packets.
struct Flow {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;  // different ones
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t reordered = 0;
  std::uint64_t altered = 0;       // other bytes than were sent
  std::uint64_t foreign = 0;       // not the peer's at all
  std::uint64_t around = 0;        // came from the peer itself, past the relay
  std::uint64_t elsewhere = 0;     // came from an endpoint that the SDP did not name
  std::uint64_t reports_sent = 0;  // RTCP
  std::uint64_t reports_received = 0;
  double jitter_ms = 0;  // RFC 3550, A.8
  std::vector<std::uint32_t> latencies_us;
  Endpoint relay;  // what the receiver was told to expect media from

  // Every packet came, once, in order, unaltered and from the relay, and nothing else did.
  [[nodiscard]] bool whole() const;
  // Sums of several calls; latencies are put together, jitter is the greatest.
  Flow& operator+=(const Flow& other);
};

class RtpPhone {
 public:
  RtpPhone(const IpAddress& address, const Chirp& audio, Random& random);
  ~RtpPhone();
  RtpPhone(const RtpPhone&) = delete;
  RtpPhone& operator=(const RtpPhone&) = delete;

  void set_peer(RtpPhone* peer) { peer_ = peer; }
  // Where the SDP says that the media goes to and is to come from.
  void set_remote(const Endpoint& rtp, const Endpoint& rtcp);
  void start(Instant now);
  void stop() { talking_ = false; }
  [[nodiscard]] bool talking() const { return talking_; }

  // Sends what is due; gives the time of the next packet, or nothing when it does not talk.
  std::optional<Instant> tick(Instant now);
  void receive_rtp();
  void receive_rtcp();

  [[nodiscard]] int rtp_descriptor() const { return rtp_; }
  [[nodiscard]] int rtcp_descriptor() const { return rtcp_; }
  [[nodiscard]] const Endpoint& local_rtp() const { return local_rtp_; }
  [[nodiscard]] const Endpoint& local_rtcp() const { return local_rtcp_; }
  // What this phone heard of its peer. A packet sent less than `grace` ago is not yet called lost.
  [[nodiscard]] Flow heard(Duration grace) const;

 private:
  struct SentReport {
    std::uint32_t ntp_middle = 0;
    std::int64_t at_ns = 0;
  };
  void open_pair(const IpAddress& address);
  void send_packet();
  void send_report();
  std::size_t append_report_block(std::span<std::byte> out) const;
  void take(const Arrival& arrival, Bytes packet);
  void note_source(const Endpoint& source, const Endpoint& expected, const Endpoint& peers);
  void update_jitter(std::uint32_t timestamp, std::int64_t at_ns);

  const Chirp& audio_;
  RtpPhone* peer_ = nullptr;
  int rtp_ = -1, rtcp_ = -1;
  Endpoint local_rtp_, local_rtcp_, remote_rtp_, remote_rtcp_;
  bool talking_ = false;
  Instant next_packet_{}, next_report_{};

  std::uint32_t ssrc_ = 0, first_timestamp_ = 0;
  std::uint16_t first_sequence_ = 0;
  std::vector<std::int64_t> sent_at_ns_;  // by index since the first packet

  std::vector<bool> seen_;  // by the peer's index
  std::uint64_t received_ = 0;
  std::int64_t highest_ = -1;  // the peer's index
  double jitter_ = 0;          // RTP timestamp units
  double last_transit_ = 0;
  SentReport last_report_;  // the peer's last SR, as we got it
  Flow heard_;
};

}  // namespace rtpool::bench
