#include "relay/io/uring_io.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "relay/base/assert.h"
#include "relay/io/busy_poll.h"
#include "relay/io/uring_impl.h"

namespace rtpool::io {
namespace {

constexpr unsigned kSubmissions = 1024;
constexpr unsigned kCompletions = 16384;
constexpr unsigned kGatherTarget =
    256;  // completions that end a gathering wait early; see DEFER_TASKRUN below
// More streams than a core can forward at once. Each costs memory.
constexpr std::uint32_t kMaxTwins = 4096;
constexpr std::uint8_t kMaxFailuresInARow = 8;  // then the next attempt waits for tick()

// Names that liburing 2.3 does not know yet (include/uapi/linux/io_uring.h).
constexpr unsigned kFeatMinTimeout = 1U << 15;  // 6.12
constexpr unsigned kFeatRwAttr = 1U << 16;  // 6.14, the first bit after 6.13's fixed-file change
constexpr std::uint32_t kSocketSetsockopt = 3;  // SOCKET_URING_OP_SETSOCKOPT, 6.7

std::uint16_t store_address(SocketAddress& out, const Endpoint& endpoint) {
  if (endpoint.address.is_v4()) {
    out.v4 = {};
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(endpoint.port);
    std::memcpy(&out.v4.sin_addr, endpoint.address.octets.data(), 4);
    return sizeof out.v4;
  }
  out.v6 = {};
  out.v6.sin6_family = AF_INET6;
  out.v6.sin6_port = htons(endpoint.port);
  std::memcpy(&out.v6.sin6_addr, endpoint.address.octets.data(), 16);
  return sizeof out.v6;
}

// The table of fixed files is held to the limit of descriptors, though it needs none.
std::size_t files_allowed(std::size_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  return std::min<std::size_t>(wanted, limit.rlim_cur);
}

Error setup_error(int error) {
  switch (error) {
    case ENOSYS:
      return {IoErrc::unavailable, "this kernel has none; Linux 6.1 or later is needed"};
    case EPERM:
    case EACCES:
      return {IoErrc::unavailable,
              "forbidden here, by the sysctl kernel.io_uring_disabled or by the container's "
              "seccomp profile"};
    case EINVAL:
      return {IoErrc::unavailable, "this kernel's is too old; Linux 6.1 or later is needed"};
    case ENOMEM: {
      rlimit limit{};
      getrlimit(RLIMIT_MEMLOCK, &limit);
      return {IoErrc::unavailable, "no memory for its rings; RLIMIT_MEMLOCK is " +
                                       std::to_string(limit.rlim_cur / 1024) + " KiB"};
    }
    case EMFILE:
    case ENFILE:
      return {IoErrc::out_of_descriptors, "while setting up io_uring"};
    default:
      return {IoErrc::unavailable, std::strerror(error)};
  }
}

}  // namespace

UringIo::Impl::~Impl() {
  if (ring_open) io_uring_queue_exit(&ring);
  for (const Slot& slot : slots) {
    if (slot.used && slot.fd >= 0) ::close(slot.fd);
  }
  if (wake_fd >= 0) ::close(wake_fd);
}

Result<UringFeatures> UringIo::Impl::set_up(const UringOptions& wanted) {
  RTPOOL_ASSERT(wanted.sockets > 0 && wanted.sockets <= kMaxSlots);
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE;
  params.cq_entries = kCompletions;
  if (const int made = io_uring_queue_init_params(kSubmissions, &ring, &params); made < 0) {
    return setup_error(-made);
  }
  ring_open = true;
  if ((params.features & IORING_FEAT_EXT_ARG) == 0 ||
      (params.features & IORING_FEAT_CQE_SKIP) == 0) {
    return setup_error(EINVAL);
  }
  if (wanted.busy_poll > Duration{}) {
    if (Error error = busy_poll_ring(ring.ring_fd, wanted.busy_poll); error.code) return error;
  }
  // A registered ring descriptor spares a look-up per call; going without is no loss of function.
  io_uring_register_ring_fd(&ring);
  features.min_wait = wanted.allow_min_wait && (params.features & kFeatMinTimeout) != 0;

  // Before 6.13 a file leaves the fixed table only when every older request of the ring has ended,
  // and ours never end: sockets would keep their ports. There each keeps its descriptor instead.
  features.fixed_files = wanted.allow_fixed_files && (params.features & kFeatRwAttr) != 0;
  std::uint32_t twins = 0;
  if (features.fixed_files) {
    if (wanted.connected_sends) {
      twins = std::min({wanted.sockets, kMaxSlots - wanted.sockets, kMaxTwins});
    }
    files = files_allowed(std::size_t{wanted.sockets} + twins);
    if (files < wanted.sockets) {
      return Error{IoErrc::out_of_descriptors,
                   "RLIMIT_NOFILE must be at least " + std::to_string(wanted.sockets)};
    }
    const auto size = static_cast<unsigned>(files);
    if (const int made = io_uring_register_files_sparse(&ring, size); made < 0) {
      return setup_error(-made);
    }
    free_files.reserve(files);
    for (std::size_t i = files; i > 0; --i) free_files.push_back(static_cast<std::uint32_t>(i - 1));
  }
  wake_fd = eventfd(0, EFD_CLOEXEC);
  if (wake_fd < 0) return setup_error(errno);

  capacity = wanted.sockets;
  slots.resize(capacity + twins);
  free_slots.reserve(capacity);
  for (std::uint32_t i = capacity; i > 0; --i) free_slots.push_back(i - 1);
  free_twins.reserve(twins);
  for (std::uint32_t i = capacity + twins; i > capacity; --i) free_twins.push_back(i - 1);
  to_arm.reserve(slots.size() + kMaxBatch);
  to_retry.reserve(slots.size() + kMaxBatch);
  steady.reserve(capacity);
  features.connected_sends = twins > 0;
  closed.reserve(wanted.sockets);
  reported.reserve(wanted.sockets);
  addresses.resize(kSubmissions);
  packets.reserve(kMaxBatch);
  failures.reserve(kMaxBatch);
  const int made = buffers.set_up(ring, wanted.buffers, wanted.buffer_bytes, 2 * kMaxBatch);
  if (made < 0) return setup_error(-made);
  shape.msg_namelen = sizeof(sockaddr_in6);
  arm_wake();
  return features;
}

io_uring_sqe* UringIo::Impl::next_sqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring);
  while (sqe == nullptr) {
    submit();
    sqe = io_uring_get_sqe(&ring);
  }
  return sqe;
}

void UringIo::Impl::submit() {
  while (io_uring_sq_ready(&ring) > 0) {
    const int done = io_uring_submit(&ring);
    // The kernel is out of memory for requests, or was interrupted: nothing is lost, it is asked
    // again.
    if (done < 0)
      RTPOOL_ASSERT(done == -EINTR || done == -EAGAIN || done == -EBUSY || done == -ENOMEM);
  }
  addresses_used = 0;
}

void UringIo::Impl::target(io_uring_sqe* sqe, std::uint32_t index) const {
  const Slot& slot = slots[index];
  if (slot.file != SocketSlot::kNone) {
    sqe->fd = static_cast<int>(slot.file);
    sqe->flags |= IOSQE_FIXED_FILE;
  } else {
    sqe->fd = slot.fd;
  }
}

void UringIo::Impl::arm(std::uint32_t index) {
  Slot& slot = slots[index];
  RTPOOL_ASSERT(slot.used && !slot.armed && (!slot.closing || slot.draining));
  io_uring_sqe* sqe = next_sqe();
  const int receive_flags = slot.draining ? MSG_DONTWAIT : 0;
  if (slot.plain) {
    io_uring_prep_recv_multishot(sqe, -1, nullptr, 0, receive_flags);
  } else {
    io_uring_prep_recvmsg_multishot(sqe, -1, &shape, receive_flags);
  }
  target(sqe, index);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = UringBuffers::kGroup;
  sqe->user_data = pack({.kind = Kind::receive, .generation = slot.generation, .slot = index});
  slot.armed = true;
}

void UringIo::Impl::cancel_receive(std::uint32_t index) {
  const std::uint32_t generation = slots[index].generation;
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_cancel64(sqe,
                         pack({.kind = Kind::receive, .generation = generation, .slot = index}), 0);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = pack({.kind = Kind::cancel, .generation = generation, .slot = index});
}

void UringIo::Impl::arm_wake() {
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_read(sqe, wake_fd, &wake_value, sizeof wake_value, 0);
  sqe->user_data = pack({.kind = Kind::wake});
}

void UringIo::Impl::arm_waiting(std::vector<Waiting>& list) {
  for (const Waiting& waiting : list) {
    const Slot& slot = slots[waiting.slot];
    if (slot.generation != waiting.generation || !slot.used || slot.armed) continue;
    if (!slot.closing || slot.draining) arm(waiting.slot);
  }
  list.clear();
}

void UringIo::Impl::close_slot(std::uint32_t index) {
  Slot& slot = slots[index];
  if (slot.twin_of != SocketSlot::kNone) return close_twin(index);
  if (slot.twin != SocketSlot::kNone) return;  // its port is not free before the twin's end
  if (slot.file != SocketSlot::kNone) {
    const int none = -1;
    io_uring_register_files_update(&ring, slot.file, &none, 1);
    free_files.push_back(slot.file);
  } else {
    ::close(slot.fd);
  }
  slot = Slot{.generation = (slot.generation + 1) & kGenerationMask};
  closed.push_back({index});
}

void UringIo::Impl::wait(const Wait& wait) {
  if (io_uring_cq_ready(&ring) > 0) return;
  const bool gather = wait.gather > Duration{};
  // DEFER_TASKRUN runs max(20, min_complete) pieces of work per call, so a busy shard asks for
  // many. More than one without a limit to the wait would let a quiet stream's packet lie: with
  // min_wait the kernel returns after the window with what there is, without it the window is the
  // time-out.
  const unsigned min_complete = gather ? kGatherTarget : 1;
  const Duration at_most =
      gather && !features.min_wait ? std::min(wait.gather, wait.at_most) : wait.at_most;
  __kernel_timespec timeout{};
  timeout.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(at_most).count();
  timeout.tv_nsec = (at_most % std::chrono::seconds(1)).count();
  io_uring_getevents_arg argument{};
  argument.ts = reinterpret_cast<std::uintptr_t>(&timeout);
  if (gather && features.min_wait) {
    argument.pad = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(wait.gather).count());
  }
  unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  if (ring.enter_ring_fd != ring.ring_fd) flags |= IORING_ENTER_REGISTERED_RING;
  // A time-out or a signal ends the wait with an error that changes nothing: what has arrived is in
  // the ring.
  syscall(__NR_io_uring_enter, ring.enter_ring_fd, 0U, min_complete, flags, &argument,
          sizeof argument);
}

void UringIo::Impl::collect() {
  const unsigned count = io_uring_peek_batch_cqe(&ring, completions.data(), kMaxBatch);
  // Which sockets have something is known for all of the batch before any of it is looked at.
  for (unsigned i = 0; i < count; ++i) {
    const std::uint32_t slot = unpack(completions[i]->user_data).slot;
    if (slot < slots.size()) __builtin_prefetch(&slots[slot], 1);
  }
  for (unsigned i = 0; i < count; ++i) {
    const io_uring_cqe& cqe = *completions[i];
    const Tag tag = unpack(cqe.user_data);
    switch (tag.kind) {
      case Kind::receive:
        on_receive(cqe, tag);
        break;
      case Kind::direct_send:
        if (cqe.res < 0 && current(tag)) drop_twin(tag.slot);
        [[fallthrough]];
      case Kind::send:
        if (cqe.res < 0 && current(tag)) failures.push_back({{tag.slot}, tag.bytes});
        break;
      case Kind::descriptor:
        on_descriptor(cqe.res, tag);
        break;
      case Kind::wake:
        woken = true;
        wake_pending.store(false);
        arm_wake();
        break;
      case Kind::option:
        if (cqe.res < 0) ++counts.soft_errors;
        break;
      case Kind::cancel:
        break;  // the receive's own completion tells
    }
  }
  io_uring_cq_advance(&ring, count);
}

void UringIo::Impl::on_receive(const io_uring_cqe& cqe, const Tag& tag) {
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    const auto id = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    buffers.take(id);
    if (cqe.res >= 0) take_packet(cqe, tag, id);
  }
  // Without this flag the multishot is over, whatever the result: an error, a want of buffers, a
  // full completion ring, or no more than a datagram without payload.
  if ((cqe.flags & IORING_CQE_F_MORE) == 0 && current(tag)) on_receive_ended(tag.slot, cqe.res);
}

void UringIo::Impl::take_packet(const io_uring_cqe& cqe, const Tag& tag, std::uint16_t id) {
  if (!current(tag)) {
    ++counts.late_packets;
    return;
  }
  slots[tag.slot].failures = 0;
  const std::uint32_t twin_of = slots[tag.slot].twin_of;
  const std::uint32_t owner = twin_of == SocketSlot::kNone ? tag.slot : twin_of;
  if (slots[owner].closing) {
    ++counts.late_packets;
    return;
  }
  std::byte* data = buffers.at(id);
  if (slots[tag.slot].plain) {
    // One source, and no word of the kernel's about length: a buffer that is full may have been too
    // short.
    const auto stored = static_cast<std::size_t>(cqe.res);
    packets.push_back({.socket = {owner},
                       .truncated = stored == buffers.bytes(),
                       .source = slots[tag.slot].target,
                       .datagram = {data, stored}});
    return;
  }
  io_uring_recvmsg_out* out = io_uring_recvmsg_validate(data, cqe.res, &shape);
  if (out == nullptr || out->namelen == 0) return;
  const auto* payload = static_cast<const std::byte*>(io_uring_recvmsg_payload(out, &shape));
  const std::size_t stored = io_uring_recvmsg_payload_length(out, cqe.res, &shape);
  Received& packet = packets.emplace_back();
  packet.socket = {owner};
  packet.truncated = (out->flags & MSG_TRUNC) != 0;
  packet.source = RemoteEndpoint{
      Endpoint::from_sockaddr(static_cast<const sockaddr*>(io_uring_recvmsg_name(out)))};
  packet.datagram = {payload, stored};
}

void UringIo::Impl::on_receive_ended(std::uint32_t index, int result) {
  Slot& slot = slots[index];
  slot.armed = false;
  if (slot.twin_of != SocketSlot::kNone && on_twin_ended(index, result)) return;
  if (slot.closing) {
    close_slot(index);
    return;
  }
  ++counts.receive_rearmed;
  if (result == -ENOBUFS) {
    ++counts.buffers_exhausted;
  } else if (result < 0) {
    ++counts.soft_errors;
    ++slot.failures;
  }
  auto& list = slot.failures > kMaxFailuresInARow ? to_retry : to_arm;
  list.push_back({index, slot.generation});
}

UringIo::UringIo(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
UringIo::~UringIo() = default;

Result<std::unique_ptr<UringIo>> UringIo::create(const UringOptions& options) {
  auto impl = std::make_unique<Impl>();
  if (auto made = impl->set_up(options); !made) return made.error();
  return std::unique_ptr<UringIo>(new UringIo(std::move(impl)));
}

UringFeatures UringIo::features() const {
  return impl_->features;
}
std::size_t UringIo::capacity() const {
  return impl_->capacity;
}
PacketIoCounts UringIo::counts() const {
  return impl_->counts;
}

SocketSlot UringIo::attach(UdpSocket socket) {
  RTPOOL_ASSERT(socket.valid() && !impl_->free_slots.empty());
  const std::uint32_t index = impl_->free_slots.back();
  impl_->free_slots.pop_back();
  Impl::Slot& slot = impl_->slots[index];
  slot.used = true;
  // The table holds the socket then, and the descriptor goes with `socket`.
  if (!impl_->make_fixed(index, socket.fd())) slot.fd = socket.release();
  impl_->arm(index);
  return {index};
}

bool UringIo::Impl::make_fixed(std::uint32_t index, int descriptor) {
  if (free_files.empty()) return false;
  const std::uint32_t file = free_files.back();
  if (io_uring_register_files_update(&ring, file, &descriptor, 1) != 1) return false;
  free_files.pop_back();
  slots[index].file = file;
  return true;
}

void UringIo::detach(SocketSlot socket) {
  RTPOOL_ASSERT(socket.index < impl_->slots.size());
  Impl::Slot& slot = impl_->slots[socket.index];
  RTPOOL_ASSERT(slot.used && !slot.closing);
  slot.closing = true;
  if (slot.twin != SocketSlot::kNone) impl_->drop_twin(socket.index);
  if (!slot.armed) {
    impl_->submit();  // sends that name this socket
    impl_->close_slot(socket.index);
    return;
  }
  impl_->cancel_receive(socket.index);
}

void UringIo::set_tos(SocketSlot socket, IpFamily family, std::uint8_t tos) {
  const bool v4 = family == IpFamily::v4;
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  const int name = v4 ? IP_TOS : IPV6_TCLASS;
  impl_->set_tos(socket.index, level, name, tos);
  const std::uint32_t twin = impl_->slots[socket.index].twin;
  if (twin != SocketSlot::kNone) impl_->set_tos(twin, level, name, tos);
}

// The kernel reads the value when the request runs, inside submit().
void UringIo::Impl::set_tos(std::uint32_t index, int level, int name, int value) {
  const Slot& slot = slots[index];
  if (slot.file == SocketSlot::kNone) {
    if (setsockopt(slot.fd, level, name, &value, sizeof value) != 0) ++counts.soft_errors;
    return;
  }
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_rw(IORING_OP_URING_CMD, sqe, 0, nullptr, 0, 0);
  target(sqe, index);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe->cmd_op = kSocketSetsockopt;
  // Where the kernel looks for level, optname, optlen and optval
  // (include/uapi/linux/io_uring.h, 6.7).
  sqe->addr = static_cast<std::uint32_t>(level) | static_cast<std::uint64_t>(name) << 32;
  sqe->file_index = sizeof value;
  sqe->addr3 = reinterpret_cast<std::uintptr_t>(&value);
  sqe->user_data = pack({.kind = Kind::option, .generation = slot.generation, .slot = index});
  submit();
}

Batch UringIo::receive(const Wait& wait) {
  Impl& io = *impl_;
  flush();
  io.buffers.give_back();
  io.reported.clear();
  io.packets.clear();
  io.failures.clear();
  io.woken = false;
  io.arm_waiting(io.to_arm);
  io.busy = wait.gather > Duration{};
  io.ask_for_twins();
  io.shed_twins();
  io.submit();
  io.wait(io.closed.empty() ? wait : Wait{});
  io.collect();
  std::swap(io.reported, io.closed);
  // Reported is free: what the owner hears of may be on its way to a new user before the next
  // batch.
  for (const SocketSlot slot : io.reported) io.free_slots.push_back(slot.index);
  return {io.packets, io.failures, io.reported, io.woken};
}

void UringIo::send(SocketSlot from, const RemoteEndpoint& to, Bytes payload) {
  RTPOOL_ASSERT(payload.size() <= 0xffff);
  const bool direct = impl_->goes_direct(from.index, to);
  io_uring_sqe* sqe = impl_->next_sqe();
  const Impl::Slot& slot = impl_->slots[from.index];
  // DONTWAIT: the send is done, or refused, inside submit(), and its buffer is free again.
  io_uring_prep_send(sqe, -1, payload.data(), payload.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (!direct) {
    RTPOOL_ASSERT(impl_->addresses_used < impl_->addresses.size());
    SocketAddress& address = impl_->addresses[impl_->addresses_used++];
    const std::uint16_t length = store_address(address, to);
    io_uring_prep_send_set_addr(sqe, &address.any, length);
  }
  impl_->target(sqe, direct ? slot.twin : from.index);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = pack({.kind = direct ? Kind::direct_send : Kind::send,
                         .generation = slot.generation,
                         .slot = from.index,
                         .bytes = static_cast<std::uint32_t>(payload.size())});
}

void UringIo::flush() {
  impl_->submit();
}

void UringIo::tick() {
  ++impl_->ticks;
  impl_->arm_waiting(impl_->to_retry);
}

void UringIo::wake() {
  // One write is enough until the owner has seen it; it clears the mark before it looks at what it
  // was woken for.
  if (impl_->wake_pending.exchange(true)) return;
  const std::uint64_t one = 1;
  const ssize_t written = ::write(impl_->wake_fd, &one, sizeof one);
  RTPOOL_ASSERT(written == sizeof one);
}

}  // namespace rtpool::io
