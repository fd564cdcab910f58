// Media between telephones through a relay, and the account of what arrived: RTP of 172 bytes (160
// of payload) from every telephone of an active call to its peer, one packet each 20 ms at a phase
// of its own, or as fast as the relay forwards (closed loop). One thread that spins and never
// sleeps: packets leave one by one when they are due, and arrivals are timed by the kernel, so that
// the generator's own delays are not taken for the relay's. Each packet carries the time read just
// before its send; a latency is from there to the arrival at the peer, both ways of the loopback
// included. The closed loop leaves out arrival times, which cost the relay as well: its packets
// wait for each other, and their latency would say nothing.
//
// Usage: run() for a warm-up, begin_count(), run(), end_count(), drain(), result().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "bench/load/histogram.h"
#include "bench/load/schedule.h"
#include "bench/load/sequence_check.h"
#include "bench/load/telephones.h"
#include "relay/base/bytes.h"
#include "relay/base/random.h"

namespace rtpool::bench {

struct MediaOptions {
  std::int64_t interval_ns = 20'000'000;
  std::size_t active_calls = 0;  // the first so many talk; 0: all
  unsigned in_flight = 0;        // of each stream, for the closed loop; 0: paced
  std::uint64_t seed = 1;
};

struct MediaResult {
  std::uint64_t sent = 0, received = 0;
  std::uint64_t duplicated = 0, reordered = 0;
  std::uint64_t foreign = 0;      // not of this load, or at the wrong telephone
  std::uint64_t send_errors = 0;  // refused by our own kernel; part of the lost
  std::uint64_t late = 0;         // sent more than 1 ms after they were due: our own fault
  std::uint64_t silent = 0;       // streams of which nothing arrived
  std::uint64_t sent_in_all = 0;  // warm-up included
  std::int64_t window_ns = 0;
  Histogram latency;

  [[nodiscard]] std::uint64_t lost() const { return sent > received ? sent - received : 0; }
};

class MediaLoad {
 public:
  MediaLoad(const Telephones& telephones, const MediaOptions& options);

  // Sends and receives for so long; `idle` is called about once per turn of the sockets, for what
  // else the same thread does, and must be quick.
  void run(std::int64_t ns, const std::function<void()>& idle = {});
  void begin_count();
  void end_count();
  // Receives until nothing is missing, or for so long.
  void drain(std::int64_t ns);
  [[nodiscard]] MediaResult result() const;

 private:
  struct Stream {
    std::uint32_t sent = 0, counted_from = 0, counted_to = 0;
    bool heard = false;  // since the last top_up()
    SequenceCheck check;
  };
  void send(std::uint32_t stream, std::int64_t now);
  void send_due(std::int64_t& now);
  // Takes a packet that waits at a socket, with its time of arrival or without; one at a time, so
  // that sends that are due do not wait. receive_one() says whether there was one.
  void receive_stamped(int descriptor);
  bool receive_one(int descriptor);
  // Accounts for a datagram; `at_ns` 0: it has no time of arrival.
  void take(Bytes bytes, int descriptor, std::int64_t at_ns);
  bool next_turn();
  // The closed loop: looks where the oldest outstanding packets must arrive.
  void look_for_oldest();
  void prime();
  void top_up(std::int64_t now);
  [[nodiscard]] std::uint64_t missing() const;

  const Telephones& telephones_;
  MediaOptions options_;
  Random random_;
  std::uint32_t run_;
  std::vector<Stream> streams_;  // by the sender's index
  Schedule schedule_;
  std::vector<int> sockets_;
  std::array<std::byte, 172> packet_{};
  std::size_t next_socket_ = 0;
  std::deque<std::uint32_t> outstanding_;  // streams, by age of the packet; closed loop only
  std::size_t look_ = 0;
  unsigned vain_looks_ = 0;
  std::int64_t topped_ns_ = 0, counted_since_ns_ = 0;
  bool counting_ = false, sending_ = false;
  MediaResult counts_;
};

}  // namespace rtpool::bench
