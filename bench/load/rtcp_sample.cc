#include "bench/load/rtcp_sample.h"

#include <array>
#include <cstring>
#include <set>
#include <vector>

#include "bench/net.h"
#include "relay/base/bytes.h"

namespace rtpool::bench {
namespace {

constexpr std::uint8_t kSenderReport = 200, kSourceDescription = 202;
constexpr std::size_t kReportBytes = 28, kDescriptionBytes = 16;
constexpr std::uint32_t kFirstSsrc = 0x5c000000;  // those of telephones follow

std::array<std::byte, kReportBytes + kDescriptionBytes> report_of(std::uint32_t telephone) {
  std::array<std::byte, kReportBytes + kDescriptionBytes> report{};
  store_u16(report, 0, 0x8000 | kSenderReport);
  store_u16(report, 2, kReportBytes / 4 - 1);
  store_u32(report, 4, kFirstSsrc + telephone);
  store_u16(report, kReportBytes, 0x8100 | kSourceDescription);
  store_u16(report, kReportBytes + 2, kDescriptionBytes / 4 - 1);
  store_u32(report, kReportBytes + 4, kFirstSsrc + telephone);
  constexpr std::array<char, 6> kName{1, 4, 'l', 'o', 'a', 'd'};  // CNAME, its length, itself
  std::memcpy(report.data() + kReportBytes + 8, kName.data(), kName.size());
  return report;
}

class Sample {
 public:
  Sample(const Telephones& telephones, std::size_t calls)
      : telephones_(telephones), heard_(2 * calls) {
    for (std::size_t i = 0; i < heard_.size(); ++i) sockets_.insert(socket_of(i));
    next_ = sockets_.begin();
  }

  void send(std::size_t index) {
    const Telephone& from = telephones_.at(index);
    const auto report = report_of(static_cast<std::uint32_t>(index));
    send_datagram(socket_of(index), report, from.relay_rtcp);
  }

  // Takes what waits at the next of the sockets.
  void receive() {
    std::array<std::byte, 2048> buffer;
    const int socket = *next_;
    while (const auto arrival = receive_datagram(socket, buffer)) {
      const Bytes bytes = Bytes(buffer).first(arrival->bytes);
      if (bytes.size() < 8 || load_u8(bytes, 1) != kSenderReport) continue;
      const std::uint32_t index = load_u32(bytes, 4) - kFirstSsrc;
      if (index >= heard_.size() || socket_of(Telephones::peer(index)) != socket) continue;
      if (!heard_[index]) ++heard_count_;
      heard_[index] = true;
    }
    if (++next_ == sockets_.end()) next_ = sockets_.begin();
  }

  [[nodiscard]] std::size_t missing() const { return heard_.size() - heard_count_; }

 private:
  [[nodiscard]] int socket_of(std::size_t index) const {
    const Telephone& telephone = telephones_.at(index);
    return telephones_.options().rtcp_mux ? telephone.rtp : telephone.rtcp;
  }

  const Telephones& telephones_;
  std::vector<bool> heard_;
  std::size_t heard_count_ = 0;
  std::set<int> sockets_;
  std::set<int>::const_iterator next_;
};

}  // namespace

RtcpSample sample_rtcp(const Telephones& telephones, std::size_t calls, double packets_per_second,
                       std::int64_t patience_ns) {
  Sample sample(telephones, calls);
  const std::size_t total = 2 * calls;
  const auto interval = static_cast<std::int64_t>(1e9 / packets_per_second);
  const std::int64_t start = wall_ns();
  for (std::size_t i = 0; i < total; ++i) {
    sample.send(i);
    while (wall_ns() < start + static_cast<std::int64_t>(i) * interval) sample.receive();
  }
  const std::int64_t until = wall_ns() + patience_ns;
  while (sample.missing() > 0 && wall_ns() < until) sample.receive();
  return {.sent = total, .lost = sample.missing()};
}

}  // namespace rtpool::bench
