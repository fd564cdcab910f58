#include "relay/io/uring_buffers.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace rtpool::io {
namespace {

// Anonymous memory on page boundaries, as the kernel wants its rings.
void* map_pages(std::size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

UringBuffers::~UringBuffers() {
  if (ring_ != nullptr) munmap(ring_, count_ * sizeof(io_uring_buf));
  if (data_ != nullptr) munmap(data_, data_size_);
}

int UringBuffers::set_up(io_uring& ring, std::uint32_t count, std::uint32_t bytes,
                         std::size_t batch) {
  count_ = std::clamp<std::uint32_t>(std::bit_ceil(std::max(count, 2U)), 2, 32768);
  bytes_ = std::max<std::uint32_t>(bytes, 128);
  data_size_ = std::size_t{count_} * bytes_;
  data_ = map_pages(data_size_);
  ring_ = static_cast<io_uring_buf_ring*>(map_pages(count_ * sizeof(io_uring_buf)));
  if (data_ == nullptr || ring_ == nullptr) return -ENOMEM;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(ring_);
  registration.ring_entries = count_;
  registration.bgid = kGroup;
  if (const int made = io_uring_register_buf_ring(&ring, &registration, 0); made < 0) return made;
  io_uring_buf_ring_init(ring_);
  used_.reserve(std::max<std::size_t>(batch, count_));
  for (std::uint32_t i = 0; i < count_; ++i) take(static_cast<std::uint16_t>(i));
  give_back();
  return 0;
}

void UringBuffers::give_back() {
  if (used_.empty()) return;
  const int mask = io_uring_buf_ring_mask(count_);
  int offset = 0;
  for (const std::uint16_t id : used_) {
    io_uring_buf_ring_add(ring_, at(id), bytes_, id, mask, offset++);
  }
  io_uring_buf_ring_advance(ring_, offset);
  used_.clear();
}

}  // namespace rtpool::io
