// The buffers that the kernel puts datagrams into: one ring of them, shared by all sockets of a
// shard.
//
// Used by the ring's owner alone. A buffer that a completion names is ours until give_back().
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rtpool::io {

class UringBuffers {
 public:
  static constexpr std::uint16_t kGroup = 0;

  UringBuffers() = default;
  ~UringBuffers();
  UringBuffers(const UringBuffers&) = delete;
  UringBuffers& operator=(const UringBuffers&) = delete;

  // `count` is rounded up to a power of two, at most 32768. 0, or a negative errno.
  int set_up(io_uring& ring, std::uint32_t count, std::uint32_t bytes, std::size_t batch);

  [[nodiscard]] std::byte* at(std::uint16_t id) const {
    return static_cast<std::byte*>(data_) + std::size_t{id} * bytes_;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  void take(std::uint16_t id) { used_.push_back(id); }
  void give_back();  // all that were taken

 private:
  void* data_ = nullptr;
  std::size_t data_size_ = 0;
  io_uring_buf_ring* ring_ = nullptr;
  std::uint32_t count_ = 0;
  std::uint32_t bytes_ = 0;
  std::vector<std::uint16_t> used_;
};

}  // namespace rtpool::io
