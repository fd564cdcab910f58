// One shard: the loop that brings packets to its calls and carries their verdicts out.
//
// Owned by the engine; run_once() is called by one thread, the one that owns the PacketIo; post()
// and counts() by any. Per batch: one clock read, then each packet to media::Call::receive() and
// its verdict to PacketIo::send(); commands and expiry between batches, so that a call never
// vanishes under a packet. Nothing is allocated, locked, thrown or logged per packet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "relay/engine.h"
#include "relay/headroom.h"
#include "relay/io/batch_pacer.h"
#include "relay/io/clock.h"
#include "relay/io/packet_io.h"
#include "relay/io/thread_usage.h"
#include "relay/mailbox.h"
#include "relay/shard_messages.h"

namespace rtpool {

class Worker {
 public:
  using EventSink = std::function<void(ShardEvent)>;
  using UsageSource = std::function<io::ThreadUsage()>;

  // How often housekeeping comes round; every call is looked at once in kTicksPerSweep of them.
  static constexpr Duration kTick = std::chrono::milliseconds(100);
  static constexpr std::uint32_t kTicksPerSweep = 10;

  // `usage`: of the thread that calls run_once(); asked once per tick.
  Worker(io::PacketIo& io, const io::Clock& clock, Duration batch_window, EventSink sink,
         UsageSource usage);
  ~Worker();

  // Any thread. After StopShard nothing may follow.
  void post(Command command);
  [[nodiscard]] ShardCounts counts() const;
  [[nodiscard]] ShardLoad load() const;  // as in counts(), for less

  // One batch. False once a StopShard has been carried out and every socket is closed.
  bool run_once();

 private:
  struct StreamSlots {
    io::SocketSlot rtp, rtcp;
  };
  struct ShardCall {
    CallId id;
    std::unique_ptr<media::Call> call;
    std::vector<StreamSlots> streams;  // by the call's stream index
    Instant created{};
    Instant forwarded{};                    // the last packet; zero: none yet
    bool talking = false, settled = false;  // as counted in ShardLoad
  };
  struct Owner {
    ShardCall* call = nullptr;  // null once detached
    std::uint16_t stream = 0;
    media::ComponentKind component = media::ComponentKind::rtp;
    LeaseKey lease;
  };

  void prefetch(std::span<const io::Received> packets) const;
  void handle_packet(const io::Received& packet, Instant now);
  void forward(const io::Received& packet, ShardCall& call, const media::Verdict& verdict);
  void reply(const io::Received& packet, const media::Verdict& verdict);
  void handle_failures(std::span<const io::SendFailure> failures);
  void handle_closed(std::span<const io::SocketSlot> closed);

  void run_changes(Instant now);
  void run_other_commands(Instant now);
  void run(std::monostate, Instant now);
  void run(CreateCall& command, Instant now);
  void run(UpdateCall& command, Instant now);
  void run(QueryCall& command, Instant now);
  void run(CopyCall& command, Instant now);
  void run(RemoveCall& command, Instant now);
  void run(StopShard& command, Instant now);

  void attach(ShardCall& call, std::vector<Handover>& sockets);
  void detach(ShardCall& call, std::uint16_t stream, media::ComponentKind component);
  void detach_all(ShardCall& call);
  void erase(std::size_t place);
  void tick(Instant now);
  void sweep(Instant now);
  static void make_room(std::vector<CallId>& list, std::size_t calls);
  void look_at(ShardCall& call, Instant now, bool heard);
  void measure(Instant now);
  void publish();

  io::PacketIo& io_;
  const io::Clock& clock_;
  EventSink sink_;
  UsageSource usage_;
  io::BatchPacer pacer_;
  Mailbox<Command> mailbox_;
  std::vector<Command> commands_;

  std::vector<std::unique_ptr<ShardCall>>
      calls_;  // dense: the last one takes a removed one's place
  std::unordered_map<CallId, std::size_t> places_;
  std::vector<Owner> owners_;       // by socket slot
  std::vector<std::byte> replies_;  // payloads that wait for flush()
  std::size_t replies_used_ = 0;
  std::size_t open_sockets_ = 0;

  Instant now_{};
  Instant next_tick_{};
  std::size_t swept_ = 0;  // how far this sweep has come
  bool stopping_ = false;
  Instant stop_deadline_{};

  ShardCounts live_;
  ShardMeter meter_;
  // Calls that had their first packet since the last tick, and those that had it before that: what
  // they add is in the measured load by then. Room for them is made when a call is created.
  std::vector<CallId> heard_, settling_;
  mutable std::mutex published_mutex_;
  ShardCounts published_;
};

}  // namespace rtpool
