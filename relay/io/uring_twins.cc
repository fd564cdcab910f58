// Connected sends with a way back.
//
// A send from a connected UDP socket is cheaper by the look-up of the route (0.35 of 2.75 us where
// this was measured), but a connected socket hears its peer alone: a party whose NAT gives it
// another port would fall silent. So a media socket stays unconnected and hears everybody, and a
// stream whose target is steady gets a *twin*: a second socket on the same address and port,
// connected to the target. The kernel gives the peer's packets to the twin and everybody else's to
// the media socket; both are reported as the media socket's. When the target changes, sends go
// unconnected again until it is steady, then another twin takes the place of the first. An ICMP
// error (the peer's port is closed) reaches connected sockets only: the twin is emptied and closed,
// and the stream stays without for a while.
//
// Only in a busy shard, for there alone it pays; only with fixed files, for it costs no descriptor
// there. A descriptor of the file, which connecting needs, is borrowed from the table for a moment
// (IORING_OP_FIXED_FD_INSTALL, Linux 6.8).
#include <unistd.h>

#include <cerrno>

#include "relay/base/assert.h"
#include "relay/io/uring_impl.h"

namespace rtpool::io {
namespace {

constexpr std::uint16_t kSteady = 64;        // packets in a row to one target
constexpr std::size_t kAskedPerBatch = 2;    // each costs about ten packets' time
constexpr std::uint32_t kBarredTicks = 100;  // after an error; a tick is about 100 ms
constexpr std::size_t kFilesKept = 4;        // a quarter of the table is for media sockets alone
constexpr std::size_t kFilesShort = 8;       // an eighth left: twins go
constexpr std::size_t kSearchedPerBatch = 64;
constexpr std::uint8_t kMostDrains = 8;  // of a closing twin that never seems empty
constexpr int kFixedFdInstall = 54;      // IORING_OP_FIXED_FD_INSTALL, unknown to liburing 2.3

}  // namespace

bool UringIo::Impl::goes_direct(std::uint32_t index, const RemoteEndpoint& to) {
  Slot& slot = slots[index];
  if (!(slot.target == to)) {
    slot.target = to;
    slot.run = 0;
    slot.direct = false;
    return false;
  }
  if (slot.direct || !busy || !features.connected_sends) return slot.direct;
  if (ticks < slot.barred_until || slot.run == kSteady) return false;
  if (++slot.run == kSteady) steady.push_back({index, slot.generation});
  return false;
}

void UringIo::Impl::ask_for_twins() {
  for (std::size_t n = 0; n < kAskedPerBatch && !steady.empty(); ++n) {
    const Waiting waiting = steady.back();
    steady.pop_back();
    Slot& slot = slots[waiting.slot];
    if (slot.generation != waiting.generation || slot.closing || slot.asked) continue;
    slot.run = 0;                          // once more a run like that, should it fail
    if (slot.twin != SocketSlot::kNone) {  // for an earlier target
      drop_twin(waiting.slot);
      slot.barred_until = ticks;
      continue;
    }
    const bool room = free_files.size() > files / kFilesKept;
    if (!room || slot.file == SocketSlot::kNone) continue;
    slot.asked = true;
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_rw(kFixedFdInstall, sqe, 0, nullptr, 0, 0);
    target(sqe, waiting.slot);
    sqe->user_data =
        pack({.kind = Kind::descriptor, .generation = slot.generation, .slot = waiting.slot});
  }
}

// Media sockets come first: when the table grows full, twins go.
void UringIo::Impl::shed_twins() {
  if (counts.connected == 0 || free_files.size() > files / kFilesShort) return;
  for (std::size_t n = 0; n < kSearchedPerBatch; ++n) {
    shed_next = (shed_next + 1) % capacity;
    if (slots[shed_next].used && slots[shed_next].twin != SocketSlot::kNone) drop_twin(shed_next);
  }
}

void UringIo::Impl::on_descriptor(int result, const Tag& tag) {
  const UdpSocket borrowed(result);  // closed at the end: the table keeps the socket
  if (!current(tag)) return;
  Slot& slot = slots[tag.slot];
  slot.asked = false;
  if (slot.closing) return;
  slot.direct = borrowed.valid() && open_twin(tag.slot, borrowed.fd());
  if (!slot.direct) slot.barred_until = ticks + kBarredTicks;
}

bool UringIo::Impl::open_twin(std::uint32_t index, int descriptor) {
  if (free_twins.empty() || free_files.empty()) return false;
  const auto socket = UdpSocket::twin(descriptor, slots[index].target);
  if (!socket) return false;
  const std::uint32_t place = free_twins.back();
  if (!make_fixed(place, socket->fd())) return false;
  free_twins.pop_back();
  Slot& twin = slots[place];
  twin.used = true;
  twin.twin_of = index;
  twin.target = slots[index].target;
  twin.draining = true;
  slots[index].twin = place;
  ++counts.connected;
  arm(place);
  return true;
}

// Sends go unconnected from now on. What the twin still holds is taken in before it closes, unless
// the media socket closes as well.
void UringIo::Impl::drop_twin(std::uint32_t index) {
  Slot& slot = slots[index];
  slot.direct = false;
  slot.run = 0;
  slot.barred_until = ticks + kBarredTicks;
  if (slot.twin == SocketSlot::kNone) return;
  Slot& twin = slots[slot.twin];
  if (twin.closing) return;
  twin.closing = true;
  twin.failures = 0;
  if (twin.armed) {
    cancel_receive(slot.twin);
  } else if (slot.closing) {
    close_slot(slot.twin);
  }
}

// What to do when a twin's reception has ended; false: as with any other socket. A twin is drained
// twice. At first by recvmsg, for between its bind and its connect others' packets may have come to
// it; then its peer's alone do. And before it closes, for what its peer has sent meanwhile.
bool UringIo::Impl::on_twin_ended(std::uint32_t index, int result) {
  Slot& twin = slots[index];
  const bool emptied = twin.draining && result == -EAGAIN;
  const bool failed = result < 0 && result != -ENOBUFS && !emptied;
  if (failed && !twin.closing) {
    ++counts.soft_errors;
    drop_twin(twin.twin_of);
  }
  if (twin.closing) {
    if (emptied || slots[twin.twin_of].closing || twin.failures++ > kMostDrains) return false;
    twin.draining = true;
  } else if (emptied) {
    twin.draining = false;
    twin.plain = true;
  } else {
    return false;
  }
  to_arm.push_back({index, twin.generation});
  return true;
}

void UringIo::Impl::close_twin(std::uint32_t index) {
  const int none = -1;
  io_uring_register_files_update(&ring, slots[index].file, &none, 1);
  free_files.push_back(slots[index].file);
  const std::uint32_t owner = slots[index].twin_of;
  slots[index] = Slot{.generation = (slots[index].generation + 1) & kGenerationMask};
  free_twins.push_back(index);
  --counts.connected;
  slots[owner].twin = SocketSlot::kNone;
  if (slots[owner].closing && !slots[owner].armed) close_slot(owner);
}

}  // namespace rtpool::io
