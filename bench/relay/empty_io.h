// PacketIo without a kernel, for benchmarks of what stands above it: brings the same batch of
// packets again and again, and counts what goes out. Allocates nothing per packet, unlike the
// tests' fake, whose checks would be measured instead.
#pragma once

#include <cstdint>
#include <vector>

#include "relay/base/assert.h"
#include "relay/io/packet_io.h"

namespace rtpool::bench {

class EmptyIo final : public io::PacketIo {
 public:
  explicit EmptyIo(std::size_t capacity) {
    for (std::size_t i = capacity; i > 0; --i) {
      free_.push_back(static_cast<std::uint32_t>(i - 1));
    }
    capacity_ = capacity;
  }

  // ---- the benchmark's side
  std::vector<io::Received> arriving;  // in every batch from now on
  [[nodiscard]] const std::vector<io::SocketSlot>& attached() const { return attached_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }

  // ---- the worker's side
  [[nodiscard]] std::size_t capacity() const override { return capacity_; }
  io::SocketSlot attach(io::UdpSocket) override {
    RTPOOL_ASSERT(!free_.empty());
    attached_.push_back({free_.back()});
    free_.pop_back();
    return attached_.back();
  }
  void detach(io::SocketSlot slot) override { closing_.push_back(slot); }
  void set_tos(io::SocketSlot, IpFamily, std::uint8_t) override {}
  io::Batch receive(const io::Wait&) override {
    closed_.swap(closing_);
    closing_.clear();
    for (const io::SocketSlot slot : closed_) free_.push_back(slot.index);
    return {arriving, {}, closed_, false};
  }
  void send(io::SocketSlot, const RemoteEndpoint&, Bytes payload) override {
    sent_ += payload.empty() ? 0 : 1;
  }
  void flush() override {}
  void tick() override {}
  [[nodiscard]] io::PacketIoCounts counts() const override { return {}; }
  void wake() override {}

 private:
  std::size_t capacity_ = 0;
  std::vector<std::uint32_t> free_;
  std::vector<io::SocketSlot> attached_, closing_, closed_;
  std::uint64_t sent_ = 0;
};

}  // namespace rtpool::bench
