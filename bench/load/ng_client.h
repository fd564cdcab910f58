// NG requests over UDP as a SIP proxy's module sends them, many outstanding at a time: each has a
// cookie, is repeated with it when no reply comes, and its reply is timed by the kernel's own
// arrival time. Non-blocking; owned and used by one thread. Replies that nobody waits for (to a
// request repeated before its reply came) are passed over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/ng/codec.h"
#include "control/ng/value.h"
#include "relay/base/endpoint.h"

namespace rtpool::bench {

struct NgReply {
  std::uint64_t ticket = 0;
  bool timed_out = false;    // after all tries; `body` is empty
  std::int64_t took_ns = 0;  // since the request was first sent
  ng::Value body;

  [[nodiscard]] bool ok() const { return !timed_out && body.find_text("result") == "ok"; }
  [[nodiscard]] std::string problem() const;  // the relay's own words, or that there were none
};

class NgClient {
 public:
  // Throws std::system_error when no socket can be had.
  NgClient(const Endpoint& server, ng::Encoding encoding, std::uint64_t seed);
  ~NgClient();
  NgClient(const NgClient&) = delete;
  NgClient& operator=(const NgClient&) = delete;

  // Sends a request, encoded at once; the ticket comes back with its reply.
  std::uint64_t send(const ng::Value& request);
  // A reply that is there, or a request whose tries are used up; nothing otherwise.
  std::optional<NgReply> poll();
  // Sends and waits, for use outside of measurements. `patience_ns` bounds it.
  NgReply ask(const ng::Value& request, std::int64_t patience_ns);

  [[nodiscard]] std::size_t outstanding() const { return pending_.size(); }
  [[nodiscard]] std::uint64_t repeated() const { return repeated_; }

 private:
  struct Pending {
    std::string datagram;
    std::int64_t first_ns = 0, next_ns = 0;
    int tries = 0;
  };
  std::optional<NgReply> expire();
  std::string cookie_of(std::uint64_t ticket) const;

  Endpoint server_;
  ng::Encoding encoding_;
  int socket_;
  std::string prefix_;
  std::uint64_t last_ticket_ = 0, repeated_ = 0;
  std::int64_t looked_ns_ = 0;
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::vector<std::byte> buffer_;
};

}  // namespace rtpool::bench
