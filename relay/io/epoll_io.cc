#include "relay/io/epoll_io.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include "relay/base/assert.h"
#include "relay/io/busy_poll.h"

namespace rtpool::io {
namespace {

constexpr std::uint32_t kMaxBatch = 512;  // datagrams received before the first of them go out
constexpr int kMaxFailuresInARow = 8;     // then the socket is left alone until tick()
constexpr std::uint32_t kWake = SocketSlot::kNone;  // the eventfd among the watched

Error setup_error(const char* what) {
  const bool limit = errno == EMFILE || errno == ENFILE;
  return {limit ? IoErrc::out_of_descriptors : IoErrc::epoll_unavailable,
          std::string("while setting up epoll: ") + what + ": " + std::strerror(errno)};
}

// epoll_wait() counts in milliseconds; rounded up, because a wait cut to nothing would spin.
int milliseconds_of(Duration wait) {
  constexpr Duration kLongest = std::chrono::hours(1);
  return static_cast<int>(
      std::chrono::ceil<std::chrono::milliseconds>(std::clamp(wait, Duration{}, kLongest)).count());
}

void sleep_for(Duration time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  const timespec ts{seconds.count(), (time - seconds).count()};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, nullptr);
}

}  // namespace

struct EpollIo::Impl {
  struct Slot {
    int fd = -1;  // -1: free, or closed and not yet reported
    bool watched = false;
    int failures = 0;  // receptions that ended in an error, in a row
  };

  ~Impl();
  Error set_up(const EpollOptions& wanted);
  void watch(std::uint32_t index);
  void unwatch(std::uint32_t index);
  // What is ready, after at most `at_most`; with `all`, until nothing is ready any more.
  void collect(Duration at_most, bool all);
  void take_wake();
  void take_packet(std::uint32_t index);
  void on_error(std::uint32_t index);

  int epoll_fd = -1;
  std::vector<Slot> slots;
  std::vector<std::uint32_t> free_slots;
  std::vector<std::uint32_t> left_alone;  // kept failing; watched again at tick()

  // The batch's datagrams, one buffer each, in the order in which they came.
  std::vector<std::byte> buffers;
  std::uint32_t buffer_count = 0;
  std::uint32_t buffer_bytes = 0;
  bool more = false;  // the last batch was full

  std::array<epoll_event, kMaxBatch> events{};
  std::vector<Received> packets;
  std::vector<SendFailure> failures, reported_failures;
  std::vector<SocketSlot> closed, reported;
  PacketIoCounts counts;

  int wake_fd = -1;
  std::atomic<bool> wake_pending{false};
  bool woken = false;
};

EpollIo::Impl::~Impl() {
  for (const Slot& slot : slots) {
    if (slot.fd >= 0) ::close(slot.fd);
  }
  if (wake_fd >= 0) ::close(wake_fd);
  if (epoll_fd >= 0) ::close(epoll_fd);
}

Error EpollIo::Impl::set_up(const EpollOptions& wanted) {
  RTPOOL_ASSERT(wanted.sockets > 0 && wanted.sockets < kWake);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) return setup_error("epoll_create1");
  if (wanted.busy_poll > Duration{}) {
    if (Error error = busy_poll_epoll(epoll_fd, wanted.busy_poll); error.code) return error;
  }
  wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) return setup_error("eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = kWake;
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &event) != 0) return setup_error("epoll_ctl");

  slots.resize(wanted.sockets);
  free_slots.reserve(wanted.sockets);
  for (std::uint32_t i = wanted.sockets; i > 0; --i) free_slots.push_back(i - 1);
  left_alone.reserve(std::size_t{2} * wanted.sockets);
  closed.reserve(wanted.sockets);
  reported.reserve(wanted.sockets);
  buffer_count = std::clamp<std::uint32_t>(wanted.buffers, 1, kMaxBatch);
  buffer_bytes = std::max<std::uint32_t>(wanted.buffer_bytes, 128);
  buffers.resize(std::size_t{buffer_count} * buffer_bytes);
  packets.reserve(buffer_count);
  // One datagram in, at most one out, and an answer of our own: an owner that sends more than that
  // and has all of it refused would make these grow.
  failures.reserve(std::size_t{2} * kMaxBatch);
  reported_failures.reserve(std::size_t{2} * kMaxBatch);
  return {};
}

void EpollIo::Impl::watch(std::uint32_t index) {
  Slot& slot = slots[index];
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = index;
  // The kernel may be out of memory or at fs.epoll.max_user_watches: tried again at tick().
  slot.watched = epoll_ctl(epoll_fd, EPOLL_CTL_ADD, slot.fd, &event) == 0;
  if (!slot.watched) {
    ++counts.soft_errors;
    left_alone.push_back(index);
  }
}

void EpollIo::Impl::unwatch(std::uint32_t index) {
  Slot& slot = slots[index];
  epoll_ctl(epoll_fd, EPOLL_CTL_DEL, slot.fd, nullptr);
  slot.watched = false;
  left_alone.push_back(index);
}

void EpollIo::Impl::collect(Duration at_most, bool all) {
  int timeout = milliseconds_of(at_most);
  while (packets.size() < buffer_count) {
    // No more events than buffers: an event is looked at in the batch that it came with, and never
    // stays behind for a socket that is closed by then.
    const auto room = static_cast<int>(buffer_count - packets.size());
    const int count = epoll_wait(epoll_fd, events.data(), room, timeout);
    if (count <= 0) break;  // the time is over, or a signal came
    for (int i = 0; i < count; ++i) {
      const std::uint32_t index = events[static_cast<std::size_t>(i)].data.u32;
      if (index == kWake) {
        take_wake();
      } else {
        take_packet(index);
      }
    }
    if (!all) break;
    timeout = 0;
  }
  more = packets.size() == buffer_count;
  if (more && buffer_count < kMaxBatch) ++counts.buffers_exhausted;
}

void EpollIo::Impl::take_wake() {
  std::uint64_t value = 0;
  if (::read(wake_fd, &value, sizeof value) != sizeof value) return;
  woken = true;
  wake_pending.store(false);
}

void EpollIo::Impl::take_packet(std::uint32_t index) {
  Slot& slot = slots[index];
  std::byte* data = buffers.data() + packets.size() * buffer_bytes;
  sockaddr_in6 source;
  socklen_t source_length = sizeof source;
  const ssize_t length = ::recvfrom(slot.fd, data, buffer_bytes, MSG_DONTWAIT | MSG_TRUNC,
                                    reinterpret_cast<sockaddr*>(&source), &source_length);
  if (length < 0) {
    // A datagram with a wrong checksum wakes us, too, and is gone.
    if (errno != EAGAIN && errno != EINTR) on_error(index);
    return;
  }
  slot.failures = 0;
  Received& packet = packets.emplace_back();
  packet.socket = {index};
  packet.truncated = static_cast<std::size_t>(length) > buffer_bytes;
  packet.source =
      RemoteEndpoint{Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&source))};
  packet.datagram = {data, std::min<std::size_t>(static_cast<std::size_t>(length), buffer_bytes)};
}

// An ICMP error is taken out of the socket by the call that reports it, and reception goes on. One
// that never ends would keep the loop busy.
void EpollIo::Impl::on_error(std::uint32_t index) {
  ++counts.soft_errors;
  if (++slots[index].failures > kMaxFailuresInARow) unwatch(index);
}

EpollIo::EpollIo(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EpollIo::~EpollIo() = default;

Result<std::unique_ptr<EpollIo>> EpollIo::create(const EpollOptions& options) {
  auto impl = std::make_unique<Impl>();
  if (Error error = impl->set_up(options); error.code) return error;
  return std::unique_ptr<EpollIo>(new EpollIo(std::move(impl)));
}

std::size_t EpollIo::capacity() const {
  return impl_->slots.size();
}
PacketIoCounts EpollIo::counts() const {
  return impl_->counts;
}

SocketSlot EpollIo::attach(UdpSocket socket) {
  RTPOOL_ASSERT(socket.valid() && !impl_->free_slots.empty());
  const std::uint32_t index = impl_->free_slots.back();
  impl_->free_slots.pop_back();
  impl_->slots[index].fd = socket.release();
  impl_->watch(index);
  return {index};
}

void EpollIo::detach(SocketSlot socket) {
  RTPOOL_ASSERT(socket.index < impl_->slots.size());
  Impl::Slot& slot = impl_->slots[socket.index];
  RTPOOL_ASSERT(slot.fd >= 0);
  if (!slot.watched) std::erase(impl_->left_alone, socket.index);
  // The kernel forgets what it watched with the last descriptor of it.
  ::close(slot.fd);
  slot = {};
  impl_->closed.push_back(socket);
}

void EpollIo::set_tos(SocketSlot socket, IpFamily family, std::uint8_t tos) {
  const int value = tos;
  const bool v4 = family == IpFamily::v4;
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  const int name = v4 ? IP_TOS : IPV6_TCLASS;
  if (setsockopt(impl_->slots[socket.index].fd, level, name, &value, sizeof value) != 0) {
    ++impl_->counts.soft_errors;
  }
}

Batch EpollIo::receive(const Wait& wait) {
  Impl& io = *impl_;
  io.packets.clear();
  io.reported.clear();
  io.reported_failures.clear();
  io.woken = false;
  const bool tell_at_once =
      !io.closed.empty() || !io.failures.empty() || io.more || io.wake_pending.load();
  Duration at_most = tell_at_once ? Duration{} : wait.at_most;
  const bool gather = wait.gather > Duration{};
  if (gather && !tell_at_once) {
    // The window comes first: an owner that gathers is a busy one, and waking up for the first
    // packet as well would double the wake-ups.
    const Duration window = std::min(wait.gather, at_most);
    sleep_for(window);
    at_most -= window;
  }
  io.collect(at_most, gather);
  std::swap(io.reported, io.closed);
  std::swap(io.reported_failures, io.failures);
  // Reported is free: what the owner hears of may be on its way to a new user before the next
  // batch.
  for (const SocketSlot slot : io.reported) io.free_slots.push_back(slot.index);
  return {io.packets, io.reported_failures, io.reported, io.woken};
}

void EpollIo::send(SocketSlot from, const RemoteEndpoint& to, Bytes payload) {
  RTPOOL_ASSERT(payload.size() <= 0xffff);
  const Impl::Slot& slot = impl_->slots[from.index];
  RTPOOL_ASSERT(slot.fd >= 0);
  sockaddr_storage address;
  const socklen_t length = to.to_sockaddr(address);
  const ssize_t sent =
      ::sendto(slot.fd, payload.data(), payload.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address), length);
  if (sent >= 0) return;
  impl_->failures.push_back({from, static_cast<std::uint32_t>(payload.size())});
}

void EpollIo::flush() {}

void EpollIo::tick() {
  Impl& io = *impl_;
  const std::size_t count = io.left_alone.size();
  for (std::size_t i = 0; i < count; ++i) {
    ++io.counts.receive_rearmed;
    io.watch(io.left_alone[i]);  // puts it behind the others if it still can't be
  }
  io.left_alone.erase(io.left_alone.begin(),
                      io.left_alone.begin() + static_cast<std::ptrdiff_t>(count));
}

void EpollIo::wake() {
  // One write is enough until the owner has seen it; it clears the mark before it looks at what it
  // was woken for.
  if (impl_->wake_pending.exchange(true)) return;
  const std::uint64_t one = 1;
  const ssize_t written = ::write(impl_->wake_fd, &one, sizeof one);
  RTPOOL_ASSERT(written == sizeof one);
}

}  // namespace rtpool::io
