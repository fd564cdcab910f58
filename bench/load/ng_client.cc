#include "bench/load/ng_client.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <system_error>

#include "bench/net.h"
#include "relay/base/bytes.h"

namespace rtpool::bench {
namespace {

constexpr int kTries = 4;
constexpr std::int64_t kRepeatAfterNs = 1'000'000'000;
constexpr std::int64_t kLookEveryNs = 10'000'000;
constexpr std::size_t kMaxReplyBytes = 65536;

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

std::string NgReply::problem() const {
  if (timed_out) return "no reply";
  if (const auto reason = body.find_text("error-reason")) return *reason;
  return "the reply says '" + body.find_text("result").value_or("nothing") + "'";
}

NgClient::NgClient(const Endpoint& server, ng::Encoding encoding, std::uint64_t seed)
    : server_(server), encoding_(encoding), prefix_(hex(seed) + "_"), buffer_(kMaxReplyBytes) {
  const IpAddress any = server.address.is_v4() ? IpAddress::v4(0, 0, 0, 0)
                                               : IpAddress{.octets = {}, .family = IpFamily::v6};
  socket_ = open_udp_socket(any, 0);
  if (socket_ < 0) {
    throw std::system_error(errno, std::generic_category(), "no UDP socket to be had for NG");
  }
}

NgClient::~NgClient() {
  close(socket_);
}

std::string NgClient::cookie_of(std::uint64_t ticket) const {
  return prefix_ + std::to_string(ticket);
}

std::uint64_t NgClient::send(const ng::Value& request) {
  const std::uint64_t ticket = ++last_ticket_;
  Pending pending{.datagram = cookie_of(ticket) + " " + ng::encode(request, encoding_)};
  pending.first_ns = wall_ns();
  pending.next_ns = pending.first_ns + kRepeatAfterNs;
  pending.tries = 1;
  send_datagram(socket_, as_bytes(pending.datagram), server_);
  pending_.emplace(ticket, std::move(pending));
  return ticket;
}

std::optional<NgReply> NgClient::poll() {
  while (const auto arrival = receive_datagram(socket_, buffer_)) {
    const std::string_view text = as_text(Bytes(buffer_).first(arrival->bytes));
    const auto frame = ng::split_frame(text);
    if (!frame || !frame->cookie.starts_with(prefix_)) continue;
    std::uint64_t ticket = 0;
    const std::string_view number = frame->cookie.substr(prefix_.size());
    std::from_chars(number.data(), number.data() + number.size(), ticket);
    const auto found = pending_.find(ticket);
    if (found == pending_.end()) continue;
    NgReply reply{.ticket = ticket, .took_ns = arrival->at_ns - found->second.first_ns};
    pending_.erase(found);
    if (const auto encoding = ng::detect_encoding(frame->body)) {
      if (auto body = ng::parse(frame->body, *encoding)) reply.body = std::move(*body);
    }
    return reply;
  }
  return expire();
}

std::optional<NgReply> NgClient::expire() {
  const std::int64_t now = wall_ns();
  if (now - looked_ns_ < kLookEveryNs) return std::nullopt;
  looked_ns_ = now;
  for (auto& [ticket, pending] : pending_) {
    if (pending.next_ns > now) continue;
    if (pending.tries == kTries) {
      NgReply reply{.ticket = ticket, .timed_out = true, .took_ns = now - pending.first_ns};
      pending_.erase(ticket);
      return reply;
    }
    ++pending.tries;
    ++repeated_;
    pending.next_ns = now + kRepeatAfterNs;
    send_datagram(socket_, as_bytes(pending.datagram), server_);
  }
  return std::nullopt;
}

NgReply NgClient::ask(const ng::Value& request, std::int64_t patience_ns) {
  const std::uint64_t ticket = send(request);
  const std::int64_t until = wall_ns() + patience_ns;
  while (wall_ns() < until) {
    auto reply = poll();
    if (reply && reply->ticket == ticket) return std::move(*reply);
    if (!reply) usleep(200);
  }
  pending_.erase(ticket);
  return {.ticket = ticket, .timed_out = true, .took_ns = patience_ns};
}

}  // namespace rtpool::bench
