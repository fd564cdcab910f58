#include "bench/rtp_phone.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <string>
#include <system_error>

#include "bench/net.h"

namespace rtpool::bench {
namespace {

constexpr std::size_t kHeaderBytes = 12;
constexpr std::uint64_t kNtpEpoch = 2'208'988'800;  // seconds from 1900 to 1970
constexpr std::uint8_t kSenderReport = 200;
constexpr std::uint8_t kReceiverReport = 201;
constexpr std::uint8_t kSourceDescription = 202;

std::uint64_t ntp_time(std::int64_t unix_ns) {
  const auto seconds = static_cast<std::uint64_t>(unix_ns / 1'000'000'000) + kNtpEpoch;
  const auto rest = static_cast<std::uint64_t>(unix_ns % 1'000'000'000);
  return seconds << 32 | (rest << 32) / 1'000'000'000;
}

}  // namespace

bool Flow::whole() const {
  return sent > 0 && reports_sent == reports_received &&
         (lost | duplicated | reordered | altered | foreign | around | elsewhere) == 0;
}

Flow& Flow::operator+=(const Flow& other) {
  sent += other.sent;
  received += other.received;
  lost += other.lost;
  duplicated += other.duplicated;
  reordered += other.reordered;
  altered += other.altered;
  foreign += other.foreign;
  around += other.around;
  elsewhere += other.elsewhere;
  reports_sent += other.reports_sent;
  reports_received += other.reports_received;
  jitter_ms = std::max(jitter_ms, other.jitter_ms);
  latencies_us.insert(latencies_us.end(), other.latencies_us.begin(), other.latencies_us.end());
  relay = other.relay;
  return *this;
}

RtpPhone::RtpPhone(const IpAddress& address, const Chirp& audio, Random& random) : audio_(audio) {
  open_pair(address);
  ssrc_ = static_cast<std::uint32_t>(random());
  first_timestamp_ = static_cast<std::uint32_t>(random());
  first_sequence_ = static_cast<std::uint16_t>(random());
}

RtpPhone::~RtpPhone() {
  close(rtp_);
  close(rtcp_);
}

// RFC 3550, section 11: RTP on an even port, RTCP on the next one.
void RtpPhone::open_pair(const IpAddress& address) {
  constexpr int kTries = 500;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    rtp_ = open_udp_socket(address, 0);
    if (rtp_ < 0) break;
    const std::uint16_t port = bound_port(rtp_);
    if (port % 2 == 0 && (rtcp_ = open_udp_socket(address, port + 1U)) >= 0) {
      local_rtp_ = {address, port};
      local_rtcp_ = {address, static_cast<std::uint16_t>(port + 1)};
      return;
    }
    close(rtp_);
  }
  throw std::system_error(errno, std::generic_category(),
                          "no pair of UDP ports to be had on " + address.to_string());
}

void RtpPhone::set_remote(const Endpoint& rtp, const Endpoint& rtcp) {
  remote_rtp_ = rtp;
  remote_rtcp_ = rtcp;
  heard_.relay = rtp;
}

void RtpPhone::start(Instant now) {
  if (talking_) return;
  talking_ = true;
  next_packet_ = now;
  next_report_ = now + kReportInterval / 2;  // RFC 3550, 6.2: the first after half the interval
}

std::optional<Instant> RtpPhone::tick(Instant now) {
  if (!talking_) return std::nullopt;
  while (next_packet_ <= now) {
    send_packet();
    next_packet_ += kPacketInterval;
  }
  if (next_report_ <= now) {
    send_report();
    next_report_ += kReportInterval;
  }
  return std::min(next_packet_, next_report_);
}

void RtpPhone::send_packet() {
  std::array<std::byte, kHeaderBytes + kFrameSamples> packet;
  const std::size_t index = sent_at_ns_.size();
  const unsigned marker = index == 0 ? 0x8000 : 0;
  store_u16(packet, 0, static_cast<std::uint16_t>(0x8000 | marker >> 8 | kPcma));
  store_u16(packet, 2, static_cast<std::uint16_t>(first_sequence_ + index));
  store_u32(packet, 4, static_cast<std::uint32_t>(first_timestamp_ + index * kFrameSamples));
  store_u32(packet, 8, ssrc_);
  const Bytes frame = audio_.frame(index);
  std::copy(frame.begin(), frame.end(), packet.begin() + kHeaderBytes);
  sent_at_ns_.push_back(wall_ns());
  send_datagram(rtp_, packet, remote_rtp_);
}

// A compound of SR (RR before anything was sent) and SDES with CNAME (RFC 3550, 6.1, 6.4 and 6.5).
void RtpPhone::send_report() {
  std::array<std::byte, 128> out{};
  const bool sender = !sent_at_ns_.empty();
  std::size_t at = 4;
  store_u32(out, at, ssrc_);
  at += 4;
  if (sender) {
    const std::uint64_t ntp = ntp_time(wall_ns());
    store_u32(out, at, static_cast<std::uint32_t>(ntp >> 32));
    store_u32(out, at + 4, static_cast<std::uint32_t>(ntp));
    store_u32(out, at + 8,
              static_cast<std::uint32_t>(first_timestamp_ + sent_at_ns_.size() * kFrameSamples));
    store_u32(out, at + 12, static_cast<std::uint32_t>(sent_at_ns_.size()));
    store_u32(out, at + 16, static_cast<std::uint32_t>(sent_at_ns_.size() * kFrameSamples));
    at += 20;
  }
  const std::size_t block = append_report_block(std::span(out).subspan(at));
  at += block;
  out[0] = static_cast<std::byte>(0x80 | (block > 0 ? 1 : 0));
  out[1] = static_cast<std::byte>(sender ? kSenderReport : kReceiverReport);
  store_u16(out, 2, static_cast<std::uint16_t>(at / 4 - 1));

  const std::string cname = local_rtp_.to_string();
  const std::size_t chunk = (4 + 2 + cname.size() + 4) / 4 * 4;  // ends in one zero octet or more
  out[at] = std::byte{0x81};
  out[at + 1] = std::byte{kSourceDescription};
  store_u16(out, at + 2, static_cast<std::uint16_t>(chunk / 4));
  store_u32(out, at + 4, ssrc_);
  out[at + 8] = std::byte{1};
  out[at + 9] = static_cast<std::byte>(cname.size());
  const Bytes name = as_bytes(cname);
  std::copy(name.begin(), name.end(), out.begin() + static_cast<std::ptrdiff_t>(at + 10));
  at += 4 + chunk;
  send_datagram(rtcp_, Bytes(out).first(at), remote_rtcp_);
  ++heard_.reports_sent;
}

std::size_t RtpPhone::append_report_block(std::span<std::byte> out) const {
  if (peer_ == nullptr || highest_ < 0) return 0;
  const auto expected = static_cast<std::uint64_t>(highest_) + 1;
  const std::uint64_t lost = expected - std::min(expected, received_);
  store_u32(out, 0, peer_->ssrc_);
  store_u32(out, 4, static_cast<std::uint32_t>((lost * 256 / expected) << 24 | lost));
  store_u32(
      out, 8,
      static_cast<std::uint32_t>(peer_->first_sequence_ + static_cast<std::uint64_t>(highest_)));
  store_u32(out, 12, static_cast<std::uint32_t>(jitter_));
  const std::int64_t since = last_report_.at_ns == 0 ? 0 : wall_ns() - last_report_.at_ns;
  store_u32(out, 16, last_report_.ntp_middle);
  store_u32(out, 20, static_cast<std::uint32_t>(since * 65536 / 1'000'000'000));
  return 24;
}

void RtpPhone::receive_rtp() {
  std::array<std::byte, 2048> buffer;
  while (const auto arrival = receive_datagram(rtp_, buffer)) {
    take(*arrival, Bytes(buffer).first(arrival->bytes));
  }
}

void RtpPhone::take(const Arrival& arrival, Bytes packet) {
  if (packet.size() < kHeaderBytes || peer_ == nullptr || load_u32(packet, 8) != peer_->ssrc_) {
    ++heard_.foreign;
    return;
  }
  note_source(arrival.source, remote_rtp_, peer_->local_rtp_);
  // The index nearest to the highest so far whose low 16 bits fit.
  const auto offset = static_cast<std::uint16_t>(load_u16(packet, 2) - peer_->first_sequence_);
  const auto ahead = static_cast<std::int16_t>(offset - static_cast<std::uint16_t>(highest_));
  const std::int64_t index = highest_ + ahead;
  if (index < 0 || static_cast<std::size_t>(index) >= peer_->sent_at_ns_.size()) {
    ++heard_.foreign;  // never sent: somebody guessed the SSRC
    return;
  }
  const auto at = static_cast<std::size_t>(index);
  if (seen_.size() <= at) seen_.resize(at + 1);
  if (seen_[at]) {
    ++heard_.duplicated;
    return;
  }
  seen_[at] = true;
  ++received_;
  if (index < highest_) ++heard_.reordered;
  highest_ = std::max(highest_, index);
  const Bytes expected = peer_->audio_.frame(at), payload = packet.subspan(kHeaderBytes);
  if (load_u8(packet, 1) % 128 != kPcma || !std::ranges::equal(expected, payload)) {
    ++heard_.altered;
  }
  const std::int64_t latency = std::max<std::int64_t>(arrival.at_ns - peer_->sent_at_ns_[at], 0);
  heard_.latencies_us.push_back(static_cast<std::uint32_t>(latency / 1000));
  update_jitter(load_u32(packet, 4), arrival.at_ns);
}

void RtpPhone::note_source(const Endpoint& source, const Endpoint& expected,
                           const Endpoint& peers) {
  if (source == peers) {
    ++heard_.around;
  } else if (source != expected) {
    ++heard_.elsewhere;
  }
}

void RtpPhone::update_jitter(std::uint32_t timestamp, std::int64_t at_ns) {
  const auto since = static_cast<std::int32_t>(timestamp - peer_->first_timestamp_);
  const double arrival = static_cast<double>(at_ns - peer_->sent_at_ns_.front()) * 8000 / 1e9;
  const double transit = arrival - since;
  if (received_ > 1) jitter_ += (std::abs(transit - last_transit_) - jitter_) / 16;
  last_transit_ = transit;
}

void RtpPhone::receive_rtcp() {
  std::array<std::byte, 2048> buffer;
  while (const auto arrival = receive_datagram(rtcp_, buffer)) {
    const Bytes packet = Bytes(buffer).first(arrival->bytes);
    if (packet.size() < 8 || peer_ == nullptr || load_u32(packet, 4) != peer_->ssrc_) {
      ++heard_.foreign;
      continue;
    }
    note_source(arrival->source, remote_rtcp_, peer_->local_rtcp_);
    ++heard_.reports_received;
    if (load_u8(packet, 1) == kSenderReport && packet.size() >= 28) {
      last_report_ = {load_u32(packet, 10), arrival->at_ns};
    }
  }
}

Flow RtpPhone::heard(Duration grace) const {
  Flow flow = heard_;
  flow.reports_sent = peer_->heard_.reports_sent;
  flow.sent = peer_->sent_at_ns_.size();
  flow.received = received_;
  flow.jitter_ms = jitter_ / 8;
  const std::int64_t due = wall_ns() - grace.count();
  for (std::size_t i = 0; i < peer_->sent_at_ns_.size(); ++i) {
    const bool arrived = i < seen_.size() && seen_[i];
    if (!arrived && peer_->sent_at_ns_[i] <= due) ++flow.lost;
  }
  return flow;
}

}  // namespace rtpool::bench
