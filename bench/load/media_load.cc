#include "bench/load/media_load.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <set>
#include <utility>

#include "bench/net.h"
#include "relay/base/bytes.h"

namespace rtpool::bench {
namespace {

constexpr std::uint32_t kMark = 0x72746c64;  // "rtld"
constexpr std::size_t kHeaderBytes = 12, kStampBytes = 24;
constexpr unsigned kPcma = 8, kSamples = 160;
constexpr std::int64_t kLateNs = 1'000'000;
constexpr std::int64_t kStalledNs = 100'000'000;
constexpr std::size_t kMaxDatagramBytes = 2048;
constexpr std::size_t kLookAhead = 32;
constexpr unsigned kPatience = 2000;
constexpr int kLooksPerClock = 16;

std::int64_t stamp_of(msghdr& message) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec at{};
    std::memcpy(&at, CMSG_DATA(c), sizeof at);
    return at.tv_sec * 1'000'000'000LL + at.tv_nsec;
  }
  return wall_ns();
}

std::size_t streams_of(const Telephones& telephones, const MediaOptions& options) {
  const std::size_t calls = options.active_calls == 0 ? telephones.calls() : options.active_calls;
  return 2 * std::min(calls, telephones.calls());
}

}  // namespace

MediaLoad::MediaLoad(const Telephones& telephones, const MediaOptions& options)
    : telephones_(telephones),
      options_(options),
      random_(options.seed),
      run_(static_cast<std::uint32_t>(random_())),
      streams_(streams_of(telephones, options)),
      schedule_(streams_.size(), options.interval_ns, wall_ns(), random_) {
  std::set<int> known;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    const int socket = telephones.at(i).rtp;
    if (known.insert(socket).second) sockets_.push_back(socket);
  }
  const int stamps = options.in_flight == 0 ? 1 : 0;
  for (const int socket : sockets_) {
    setsockopt(socket, SOL_SOCKET, SO_TIMESTAMPNS, &stamps, sizeof stamps);
  }
  store_u16(packet_, 0, 0x8000 | kPcma);
  store_u32(packet_, kHeaderBytes, kMark);
  store_u32(packet_, kHeaderBytes + 4, run_);
  std::fill(packet_.begin() + kHeaderBytes + kStampBytes, packet_.end(), std::byte{0xd5});
}

void MediaLoad::send(std::uint32_t index, std::int64_t now) {
  Stream& stream = streams_[index];
  const Telephone& from = telephones_.at(index);
  const std::uint32_t number = stream.sent++;
  store_u16(packet_, 2, static_cast<std::uint16_t>(number));
  store_u32(packet_, 4, number * kSamples);
  store_u32(packet_, 8, run_ + index);
  store_u32(packet_, kHeaderBytes + 8, index);
  store_u32(packet_, kHeaderBytes + 12, number);
  store_u32(packet_, kHeaderBytes + 16, static_cast<std::uint32_t>(now >> 32));
  store_u32(packet_, kHeaderBytes + 20, static_cast<std::uint32_t>(now));
  ssize_t sent = 0;
  if (telephones_.own_sockets()) {
    sent = ::send(from.rtp, packet_.data(), packet_.size(), MSG_DONTWAIT);
  } else {
    sockaddr_storage to{};
    const socklen_t length = from.relay_rtp.to_sockaddr(to);
    sent = ::sendto(from.rtp, packet_.data(), packet_.size(), MSG_DONTWAIT,
                    reinterpret_cast<sockaddr*>(&to), length);
  }
  if (sent < 0 && counting_) ++counts_.send_errors;
}

void MediaLoad::send_due(std::int64_t& now) {
  while (schedule_.due_ns() <= now) {
    if (counting_ && now - schedule_.due_ns() > kLateNs) ++counts_.late;
    send(schedule_.stream(), now);
    schedule_.advance();
    now = wall_ns();
  }
}

void MediaLoad::receive_stamped(int descriptor) {
  std::array<std::byte, kMaxDatagramBytes> arrival;
  alignas(cmsghdr) std::array<char, 64> control;
  iovec vector{arrival.data(), arrival.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = recvmsg(descriptor, &message, MSG_DONTWAIT);
  if (got < 0) return;
  take(Bytes(arrival).first(static_cast<std::size_t>(got)), descriptor, stamp_of(message));
}

bool MediaLoad::receive_one(int descriptor) {
  std::array<std::byte, kMaxDatagramBytes> arrival;
  const ssize_t got = recv(descriptor, arrival.data(), arrival.size(), MSG_DONTWAIT);
  if (got < 0) return false;
  take(Bytes(arrival).first(static_cast<std::size_t>(got)), descriptor, 0);
  return true;
}

void MediaLoad::take(Bytes bytes, int descriptor, std::int64_t at_ns) {
  const auto field = [bytes](std::size_t at) { return load_u32(bytes, kHeaderBytes + at); };
  const bool ours = bytes.size() == packet_.size() && field(0) == kMark && field(4) == run_;
  const std::uint32_t index = ours ? field(8) : 0, number = ours ? field(12) : 0;
  if (!ours || index >= streams_.size() || number >= streams_[index].sent ||
      telephones_.at(Telephones::peer(index)).rtp != descriptor) {
    counts_.foreign += counting_;
    return;
  }
  Stream& stream = streams_[index];
  stream.heard = true;
  const Seen seen = stream.check.note(number);
  if (at_ns != 0 && (seen == Seen::first_time || seen == Seen::reordered)) {
    const std::uint64_t sent_ns = std::uint64_t{field(16)} << 32 | field(20);
    counts_.latency.record(at_ns - static_cast<std::int64_t>(sent_ns));
  }
  counts_.reordered += seen == Seen::reordered;
  counts_.duplicated += seen == Seen::duplicate;
  counts_.foreign += seen == Seen::stale;
}

// Whether all sockets have had their turn.
bool MediaLoad::next_turn() {
  if (options_.in_flight == 0) {
    receive_stamped(sockets_[next_socket_]);
  } else {
    receive_one(sockets_[next_socket_]);
  }
  if (++next_socket_ < sockets_.size()) return false;
  next_socket_ = 0;
  return true;
}

// Relays forward about in order, so that looks among the oldest are seldom in vain while anything
// has arrived.
void MediaLoad::look_for_oldest() {
  const std::size_t ahead = std::min(kLookAhead, outstanding_.size());
  if (ahead == 0) return;
  if (look_ >= ahead) look_ = 0;
  const std::uint32_t stream = outstanding_[look_];
  if (receive_one(telephones_.at(Telephones::peer(stream)).rtp)) {
    outstanding_[look_] = outstanding_.front();
    outstanding_.pop_front();
    outstanding_.push_back(stream);
    send(stream, 0);
    vain_looks_ = 0;
    return;
  }
  ++look_;
  if (++vain_looks_ < kPatience) return;
  vain_looks_ = 0;  // what was lost must not hold up the others
  outstanding_.push_back(outstanding_.front());
  outstanding_.pop_front();
}

void MediaLoad::prime() {
  outstanding_.clear();
  for (unsigned i = 0; i < options_.in_flight; ++i) {
    for (std::uint32_t index = 0; index < streams_.size(); ++index) {
      send(index, 0);
      outstanding_.push_back(index);
    }
  }
  sending_ = true;
}

// A lost packet leaves its stream with one less in flight; one that lost all is set going again.
void MediaLoad::top_up(std::int64_t now) {
  if (now - topped_ns_ < kStalledNs) return;
  topped_ns_ = now;
  for (std::uint32_t index = 0; index < streams_.size(); ++index) {
    if (!std::exchange(streams_[index].heard, false)) send(index, 0);
  }
}

void MediaLoad::run(std::int64_t ns, const std::function<void()>& idle) {
  std::int64_t now = wall_ns();
  const std::int64_t end = now + ns;
  const bool paced = options_.in_flight == 0;
  if (paced && !counting_) schedule_.resume(now);
  if (!paced && !sending_) prime();
  sending_ = true;
  while (now < end) {
    if (paced) {
      send_due(now);
      if (next_turn() && idle) idle();
    } else {
      for (int i = 0; i < kLooksPerClock; ++i) look_for_oldest();
      top_up(now);
      if (idle) idle();
    }
    now = wall_ns();
  }
}

void MediaLoad::begin_count() {
  counts_ = {};
  for (Stream& stream : streams_) {
    stream.counted_from = stream.sent;
    stream.check.count_from(stream.sent);
  }
  counting_ = true;
  counted_since_ns_ = wall_ns();
}

void MediaLoad::end_count() {
  counting_ = sending_ = false;
  counts_.window_ns = wall_ns() - counted_since_ns_;
  for (Stream& stream : streams_) stream.counted_to = stream.sent;
}

std::uint64_t MediaLoad::missing() const {
  std::uint64_t missing = 0;
  for (const Stream& stream : streams_) {
    missing += stream.sent - stream.counted_from - stream.check.received();
  }
  return missing;
}

void MediaLoad::drain(std::int64_t ns) {
  const std::int64_t end = wall_ns() + ns;
  while (wall_ns() < end) {
    if (next_turn() && missing() == 0) return;
  }
}

MediaResult MediaLoad::result() const {
  MediaResult result = counts_;
  for (const Stream& stream : streams_) {
    const std::uint64_t sent = stream.counted_to - stream.counted_from;
    result.sent += sent;
    result.sent_in_all += stream.sent;
    result.received += stream.check.received();
    result.silent += sent > 0 && stream.check.received() == 0;
  }
  return result;
}

}  // namespace rtpool::bench
