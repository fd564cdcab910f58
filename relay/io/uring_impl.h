// The inside of UringIo, shared by uring_io.cc (the ring) and uring_twins.cc (connected sends).
#pragma once

#include <liburing.h>
#include <netinet/in.h>

#include <array>
#include <atomic>
#include <vector>

#include "relay/io/uring_buffers.h"
#include "relay/io/uring_io.h"
#include "relay/io/uring_tag.h"

namespace rtpool::io {

inline constexpr unsigned kMaxBatch = 512;  // completions handled before the first of them go out

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

struct UringIo::Impl {
  // One cache line: a packet touches those of the socket that it came to and of the one it leaves
  // by.
  struct alignas(64) Slot {
    std::int32_t fd = -1;                    // kept only where the file is not a fixed one
    std::uint32_t file = SocketSlot::kNone;  // its place in the table of fixed files, or none
    std::uint32_t generation = 1;
    std::uint32_t twin_of = SocketSlot::kNone;  // set in a twin's own slot
    std::uint32_t twin = SocketSlot::kNone;     // that sends its packets, see uring_twins.cc
    std::uint32_t barred_until = 0;             // ticks: no twin before
    RemoteEndpoint target;                      // of the last packet sent; a twin's peer
    std::uint16_t run = 0;                      // packets in a row to it, while the shard is busy
    std::uint8_t failures = 0;                  // receptions that ended in an error, in a row
    bool used = false;
    bool armed = false;  // a multishot receive is in the kernel, or on its way there
    bool closing = false;
    bool draining = false;  // a twin takes in what its queue holds, and no more
    bool plain = false;     // a twin whose packets are all its peer's: received without source
    bool direct = false;    // the twin's peer is `target`
    bool asked = false;     // for a descriptor, to open a twin
  };
  static_assert(sizeof(Slot) == 64);
  struct Waiting {
    std::uint32_t slot;
    std::uint32_t generation;
  };

  ~Impl();
  Result<UringFeatures> set_up(const UringOptions& wanted);

  io_uring_sqe* next_sqe();
  void submit();
  void target(io_uring_sqe* sqe, std::uint32_t index) const;
  void arm(std::uint32_t index);
  void arm_wake();
  void arm_waiting(std::vector<Waiting>& list);
  void close_slot(std::uint32_t index);
  void wait(const Wait& wait);
  void collect();
  void on_receive(const io_uring_cqe& cqe, const Tag& tag);
  void on_receive_ended(std::uint32_t index, int result);
  void take_packet(const io_uring_cqe& cqe, const Tag& tag, std::uint16_t buffer);
  bool make_fixed(std::uint32_t index, int descriptor);
  void cancel_receive(std::uint32_t index);
  void set_tos(std::uint32_t index, int level, int name, int value);

  // uring_twins.cc
  bool goes_direct(std::uint32_t index, const RemoteEndpoint& to);
  void ask_for_twins();
  void shed_twins();
  void on_descriptor(int result, const Tag& tag);
  bool open_twin(std::uint32_t index, int descriptor);
  void drop_twin(std::uint32_t index);
  bool on_twin_ended(std::uint32_t index, int result);
  void close_twin(std::uint32_t index);
  [[nodiscard]] bool current(const Tag& tag) const {
    return tag.slot < slots.size() && slots[tag.slot].used &&
           slots[tag.slot].generation == tag.generation;
  }

  io_uring ring{};
  bool ring_open = false;
  UringFeatures features;
  UringBuffers buffers;
  msghdr shape{};  // what every receive asks for: a source address, no control data

  std::vector<Slot> slots;  // capacity of them for the owner, the others for twins
  std::vector<std::uint32_t> free_slots;
  std::vector<std::uint32_t> free_twins;
  std::vector<std::uint32_t> free_files;
  std::size_t files = 0;        // places in the table
  std::uint32_t shed_next = 0;  // where the search for a twin to drop goes on
  std::vector<Waiting> steady;  // whose packets would go cheaper by a twin
  std::uint32_t capacity = 0;
  std::uint32_t ticks = 0;
  bool busy = false;
  std::vector<Waiting> to_arm;           // when buffers are back
  std::vector<Waiting> to_retry;         // at the next tick
  std::vector<SocketAddress> addresses;  // of the sends not yet submitted
  std::size_t addresses_used = 0;

  std::vector<Received> packets;
  std::vector<SendFailure> failures;
  std::vector<SocketSlot> closed, reported;
  std::array<io_uring_cqe*, kMaxBatch> completions{};
  PacketIoCounts counts;

  int wake_fd = -1;
  std::uint64_t wake_value = 0;
  std::atomic<bool> wake_pending{false};
  bool woken = false;
};

}  // namespace rtpool::io
