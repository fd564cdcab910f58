// PacketIo in memory: the test puts datagrams in and finds what was sent. Holds its user to the
// seam's rules: slots are used only while attached, payloads must live until flush().
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include "relay/base/assert.h"
#include "relay/io/packet_io.h"

namespace rtpool::test {

class FakePacketIo final : public io::PacketIo {
 public:
  struct Sent {
    io::SocketSlot from;
    RemoteEndpoint to;
    std::vector<std::byte> payload;
  };

  explicit FakePacketIo(std::size_t capacity = 64) : slots_(capacity, State::free) {}

  // ---- the test's side
  void arrive(io::SocketSlot at, const RemoteEndpoint& source, Bytes datagram,
              bool truncated = false) {
    arriving_.push_back({at, source, {datagram.begin(), datagram.end()}, truncated});
  }
  // The next send from this slot is refused by the kernel.
  void refuse_next_send(io::SocketSlot from) { refused_.push_back(from); }
  [[nodiscard]] std::vector<Sent> take_sent() { return std::exchange(sent_, {}); }
  [[nodiscard]] std::size_t attached() const {
    return static_cast<std::size_t>(std::count(slots_.begin(), slots_.end(), State::attached));
  }
  // The slot that a local port was attached at.
  [[nodiscard]] io::SocketSlot at_port(std::uint16_t port) const {
    const auto found = ports_.find(port);
    return found == ports_.end() ? io::SocketSlot{} : found->second;
  }
  [[nodiscard]] int tos_of(io::SocketSlot slot) const {
    const auto found = tos_.find(slot.index);
    return found == tos_.end() ? -1 : found->second;
  }
  [[nodiscard]] io::Wait last_wait() const { return last_wait_; }
  io::PacketIoCounts kernel_counts;

  // ---- the worker's side
  [[nodiscard]] std::size_t capacity() const override { return slots_.size(); }
  io::SocketSlot attach(io::UdpSocket socket) override {
    const auto free = std::find(slots_.begin(), slots_.end(), State::free);
    RTPOOL_ASSERT(free != slots_.end());
    *free = State::attached;
    const io::SocketSlot slot{static_cast<std::uint32_t>(free - slots_.begin())};
    ports_[socket.local().port] = slot;
    return slot;
  }
  void detach(io::SocketSlot slot) override {
    RTPOOL_ASSERT(slots_.at(slot.index) == State::attached);
    slots_[slot.index] = State::closing;
    closing_.push_back(slot);
  }
  void set_tos(io::SocketSlot slot, IpFamily, std::uint8_t tos) override {
    RTPOOL_ASSERT(slots_.at(slot.index) == State::attached);
    tos_[slot.index] = tos;
  }
  io::Batch receive(const io::Wait& wait) override {
    last_wait_ = wait;
    flush();
    closed_ = std::exchange(closing_, {});
    for (const io::SocketSlot slot : closed_) slots_[slot.index] = State::free;
    reported_failures_ = std::exchange(failures_, {});
    buffers_ = std::exchange(arriving_, {});
    packets_.clear();
    for (const Arriving& a : buffers_) {
      if (slots_.at(a.at.index) != State::attached) continue;
      packets_.push_back({a.at, a.truncated, a.source, Bytes(a.datagram)});
    }
    return {packets_, reported_failures_, closed_, woken_.exchange(false)};
  }
  void send(io::SocketSlot from, const RemoteEndpoint& to, Bytes payload) override {
    RTPOOL_ASSERT(slots_.at(from.index) == State::attached);
    queued_.push_back({from, to, payload});
  }
  void flush() override {
    for (const Queued& q : queued_) {
      const auto refused = std::find(refused_.begin(), refused_.end(), q.from);
      if (refused != refused_.end()) {
        refused_.erase(refused);
        failures_.push_back({q.from, static_cast<std::uint32_t>(q.payload.size())});
        continue;
      }
      sent_.push_back({q.from, q.to, {q.payload.begin(), q.payload.end()}});
    }
    queued_.clear();
  }
  void tick() override {}
  [[nodiscard]] io::PacketIoCounts counts() const override { return kernel_counts; }
  void wake() override { woken_ = true; }

 private:
  enum class State : std::uint8_t { free, attached, closing };
  struct Arriving {
    io::SocketSlot at;
    RemoteEndpoint source;
    std::vector<std::byte> datagram;
    bool truncated;
  };
  struct Queued {
    io::SocketSlot from;
    RemoteEndpoint to;
    Bytes payload;  // read at flush(): a payload that died before shows under AddressSanitizer
  };

  std::vector<State> slots_;
  std::map<std::uint16_t, io::SocketSlot> ports_;
  std::map<std::uint32_t, int> tos_;
  std::vector<Arriving> arriving_, buffers_;
  std::vector<io::Received> packets_;
  std::vector<Queued> queued_;
  std::vector<Sent> sent_;
  std::vector<io::SocketSlot> refused_, closing_, closed_;
  std::vector<io::SendFailure> failures_, reported_failures_;
  std::atomic<bool> woken_{false};
  io::Wait last_wait_{};
};

}  // namespace rtpool::test
