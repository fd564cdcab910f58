// Load on a registrar over gRPC, as many users and elements would make it: what `registrar-bench`
// measures. Every function blocks until it is done; times are of the steady clock, latencies in
// microseconds. Errors are counted, never hidden.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace rtpool::pool {
class TlsContext;
}

namespace rtpool::bench {

struct LoadTarget {
  std::string registrar;                        // HOST:PORT
  unsigned channels = 4;                        // connections
  std::shared_ptr<const pool::TlsContext> tls;  // none: plaintext
};

struct LoadResult {
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  std::string first_error;
  double seconds = 0;
  std::vector<std::uint32_t> latencies_us;  // sorted

  [[nodiscard]] double per_second() const {
    return seconds > 0 ? static_cast<double>(done) / seconds : 0;
  }
  [[nodiscard]] std::uint32_t quantile_us(double share) const;
};

// A pool's name and its elements', as populate() registers them.
std::string pool_name(unsigned pool);

// Elements that stay registered, each on a heartbeat stream of its own, until destroyed.
class Population {
 public:
  struct Options {
    unsigned pools = 1;
    unsigned elements = 100;  // in all pools together
    unsigned streams_per_channel = 500;
    unsigned heartbeat_ms = 1000;
  };
  Population(const LoadTarget& target, const Options& options);
  ~Population();
  Population(const Population&) = delete;
  Population& operator=(const Population&) = delete;

  // Waits until all are registered; false when that takes longer, with how many are.
  bool wait_registered(double seconds, unsigned* registered);

 private:
  struct Impl;
  Impl* impl_;
};

// `in_flight` resolutions at a time for `seconds`; or, with `rate`, started at that pace whatever
// comes back, latencies counted from the time they were due.
LoadResult resolve(const LoadTarget& target, unsigned pools, unsigned in_flight, double rate,
                   double seconds);

// Registrations over `streams` open streams, the next when the last is granted.
LoadResult renew(const LoadTarget& target, unsigned streams, double seconds);
// Each registration on a stream of its own, of an element that is new.
LoadResult register_new(const LoadTarget& target, unsigned in_flight, double seconds);

// From an order to drain (or undrain) an element to the view of each of `subscribers` clients.
LoadResult watch(const LoadTarget& target, unsigned subscribers, unsigned changes);

// How many elements the registrar has in all; negative when it does not answer.
long count_elements(const LoadTarget& target);

}  // namespace rtpool::bench
