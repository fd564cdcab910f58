// Answers a repeated request with the reply that its first copy got, so that a proxy's
// retransmission never runs a command twice (WIRE: the identical earlier reply for at least 30 s;
// one in work is waited for).
//
// Sans-IO: time is passed in and never goes back. Used by one thread. An entry is known by its
// cookie *and* the source endpoint: Kamailio makes cookies of its process id and a counter, so two
// proxies in containers do pick equal ones, and neither may see the other's SDP. Both modules
// retransmit from the socket that they asked from.
//
// Bounded in entries and bytes. Over a bound the oldest finished entries go first, even before
// their time; one in work is never dropped, and when there is nothing else the newcomer is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "relay/base/endpoint.h"
#include "relay/base/time.h"

namespace rtpool::ng {

struct CookieCacheOptions {
  Duration retention = std::chrono::seconds(30);  // since the reply was given
  std::size_t max_entries = 200'000;
  std::size_t max_bytes = 128U << 20U;  // cookies and replies with what it takes to keep them
  std::uint32_t max_waiting = 16;       // copies of one request that are answered when it is done
};

class CookieCache {
 public:
  enum class Outcome : std::uint8_t {
    fresh,    // never seen: begin() it, run it, complete() it
    in_work,  // a copy of one that runs: it is answered with it
    reply,    // a copy of one that was answered: send `reply` again
  };
  struct Lookup {
    Outcome outcome;
    std::shared_ptr<const std::string> reply;  // for Outcome::reply
  };

  explicit CookieCache(const CookieCacheOptions& options = {});
  ~CookieCache();
  CookieCache(const CookieCache&) = delete;
  CookieCache& operator=(const CookieCache&) = delete;

  // Whether this is a copy of one that was begun. Keeps nothing of a fresh one, so that garbage
  // can't fill the cache.
  Lookup lookup(Instant now, std::string_view cookie, const Endpoint& source);

  // Starts the work on a fresh one. False when there is no room: everything kept is in work.
  [[nodiscard]] bool begin(Instant now, std::string_view cookie, const Endpoint& source);

  // The reply to one that was begun. Returns how many times to send it: 1 and one for each copy
  // that waited.
  std::uint32_t complete(Instant now, std::string_view cookie, const Endpoint& source,
                         std::shared_ptr<const std::string> reply);

  // Drops what has outlived its retention; begin() and complete() do so too.
  void expire(Instant now);

  [[nodiscard]] std::size_t entries() const;
  [[nodiscard]] std::size_t in_work() const;
  [[nodiscard]] std::size_t bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rtpool::ng
