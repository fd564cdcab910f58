#include "relay/worker.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "relay/base/assert.h"

namespace rtpool {
namespace {

// Room for the answers of one batch; more than that goes out in several flushes.
constexpr std::size_t kReplyBytes = 64 * 1024;
// A stopping shard waits so long for the kernel to close its sockets.
constexpr Duration kStopPatience = std::chrono::seconds(2);
constexpr Duration kIdleWait = std::chrono::seconds(1);
// A call without a packet for so long has no media now.
constexpr Duration kSilence = std::chrono::seconds(2);

}  // namespace

Worker::Worker(io::PacketIo& io, const io::Clock& clock, Duration batch_window, EventSink sink,
               UsageSource usage)
    : io_(io),
      clock_(clock),
      sink_(std::move(sink)),
      usage_(std::move(usage)),
      pacer_(batch_window),
      owners_(io.capacity()),
      replies_(kReplyBytes),
      now_(clock.now()),
      next_tick_(now_ + kTick) {}

Worker::~Worker() = default;

void Worker::post(Command command) {
  mailbox_.post(std::move(command));
  io_.wake();
}

ShardCounts Worker::counts() const {
  const std::lock_guard lock(published_mutex_);
  return published_;
}

ShardLoad Worker::load() const {
  const std::lock_guard lock(published_mutex_);
  return published_.load;
}

bool Worker::run_once() {
  // Not before the last packets are out of what the load looks back on.
  const bool idle = calls_.empty() && !stopping_ && meter_.quiet();
  const Duration at_most = idle ? kIdleWait : std::max(next_tick_ - now_, Duration{});
  const Duration gather = pacer_.gathering() ? pacer_.gather(clock_.now() - now_) : Duration{};
  const io::Batch batch = io_.receive({.at_most = at_most, .gather = gather});
  now_ = clock_.now();
  if (!batch.failures.empty()) handle_failures(batch.failures);
  if (!batch.closed.empty()) handle_closed(batch.closed);
  // Whoever was told of a change may have sent at once: its packets find the change made. What was
  // sent before an end, or a question, still counts.
  const bool commanded = mailbox_.filled();
  if (commanded) run_changes(now_);
  prefetch(batch.packets);
  for (const io::Received& packet : batch.packets) handle_packet(packet, now_);
  io_.flush();
  replies_used_ = 0;
  pacer_.on_batch(now_, batch.packets.size());
  if (!batch.packets.empty()) ++live_.batches;
  if (commanded) run_other_commands(now_);
  if (now_ >= next_tick_) tick(now_);
  if (!stopping_) return true;
  return open_sockets_ > 0 && now_ < stop_deadline_;
}

// ---- packets -----------------------------------------------------------------------------------

// A call's state lies several pointers deep, and hundreds of calls don't fit into a core's cache.
// One step for the whole batch at a time, the misses of its packets overlap: measured in
// docs/performance.md.
void Worker::prefetch(std::span<const io::Received> packets) const {
  const auto for_each = [&](auto&& step) {
    for (const io::Received& packet : packets) {
      const Owner& owner = owners_[packet.socket.index];
      if (owner.call != nullptr) step(owner);
    }
  };
  for (const io::Received& packet : packets) __builtin_prefetch(&owners_[packet.socket.index]);
  for_each([](const Owner& owner) { __builtin_prefetch(owner.call); });
  for_each([](const Owner& owner) {
    __builtin_prefetch(owner.call->call.get());
    __builtin_prefetch(owner.call->streams.data());
  });
  for_each([](const Owner& owner) { owner.call->call->prefetch(); });
  for_each([](const Owner& owner) { owner.call->call->prefetch_streams(); });
  for_each([](const Owner& owner) { owner.call->call->prefetch_stream(owner.stream); });
  for_each([](const Owner& owner) { owner.call->call->prefetch_peer(owner.stream); });
}

void Worker::handle_packet(const io::Received& packet, Instant now) {
  ++live_.received.packets;
  live_.received.bytes += packet.datagram.size();
  const Owner& owner = owners_[packet.socket.index];
  if (owner.call == nullptr) {
    ++live_.drops[static_cast<std::size_t>(media::Drop::no_call)];
    return;
  }
  const media::Verdict verdict = owner.call->call->receive(
      owner.stream, owner.component, now, packet.source, packet.datagram, packet.truncated);
  switch (verdict.action) {
    case media::Action::drop:
      ++live_.drops[static_cast<std::size_t>(verdict.reason)];
      break;
    case media::Action::forward:
      forward(packet, *owner.call, verdict);
      break;
    case media::Action::reply:
      reply(packet, verdict);
      break;
  }
}

void Worker::forward(const io::Received& packet, ShardCall& call, const media::Verdict& verdict) {
  RTPOOL_ASSERT(verdict.out_stream < call.streams.size());
  const StreamSlots& slots = call.streams[verdict.out_stream];
  const io::SocketSlot from =
      verdict.out_component == media::ComponentKind::rtp ? slots.rtp : slots.rtcp;
  RTPOOL_ASSERT(from.valid());
  if (call.forwarded == Instant{}) heard_.push_back(call.id);
  call.forwarded = now_;
  io_.send(from, *verdict.to, packet.datagram);
  ++live_.sent.packets;
  live_.sent.bytes += packet.datagram.size();
}

void Worker::reply(const io::Received& packet, const media::Verdict& verdict) {
  // The payload lives only until the next call into the Call, the send until flush().
  if (verdict.payload.size() > replies_.size() - replies_used_) {
    io_.flush();
    replies_used_ = 0;
  }
  RTPOOL_ASSERT(verdict.payload.size() <= replies_.size());
  std::byte* copy = replies_.data() + replies_used_;
  std::memcpy(copy, verdict.payload.data(), verdict.payload.size());
  replies_used_ += verdict.payload.size();
  io_.send(packet.socket, *verdict.to, {copy, verdict.payload.size()});
  ++live_.sent.packets;
  live_.sent.bytes += verdict.payload.size();
}

void Worker::handle_failures(std::span<const io::SendFailure> failures) {
  for (const io::SendFailure& failure : failures) {
    ++live_.drops[static_cast<std::size_t>(media::Drop::send_failed)];
    --live_.sent.packets;
    live_.sent.bytes -= failure.bytes;
    const Owner& owner = owners_[failure.socket.index];
    if (owner.call != nullptr) {
      owner.call->call->send_failed(owner.stream, owner.component, failure.bytes);
    }
  }
}

void Worker::handle_closed(std::span<const io::SocketSlot> closed) {
  SocketsClosed event;
  for (const io::SocketSlot slot : closed) {
    RTPOOL_ASSERT(owners_[slot.index].call == nullptr && open_sockets_ > 0);
    event.leases.push_back(owners_[slot.index].lease);
    --open_sockets_;
  }
  sink_(std::move(event));
}

// ---- commands ----------------------------------------------------------------------------------

namespace {

bool is_change(const Command& command) {
  return std::holds_alternative<CreateCall>(command) || std::holds_alternative<UpdateCall>(command);
}

}  // namespace

// Changes may overtake ends and questions: the ids of calls are never used again.
void Worker::run_changes(Instant now) {
  mailbox_.take(commands_);
  for (Command& command : commands_) {
    if (is_change(command)) std::visit([&](auto& c) { run(c, now); }, command);
  }
}

void Worker::run_other_commands(Instant now) {
  for (Command& command : commands_) {
    if (!is_change(command)) std::visit([&](auto& c) { run(c, now); }, command);
  }
  commands_.clear();
  publish();
}

void Worker::run(std::monostate, Instant) {
  RTPOOL_ASSERT(false);
}

void Worker::run(CreateCall& command, Instant now) {
  auto call = std::make_unique<ShardCall>();
  call->id = command.id;
  call->created = now;
  call->call = std::move(command.call);
  attach(*call, command.sockets);
  places_.emplace(command.id, calls_.size());
  live_.streams += call->call->spec().streams.size();
  calls_.push_back(std::move(call));
  make_room(heard_, calls_.size());
  make_room(settling_, calls_.size());
}

void Worker::run(UpdateCall& command, Instant now) {
  const auto place = places_.find(command.id);
  if (place == places_.end()) {
    // The call timed out while the command was on its way; CallExpired is on its own.
    SocketsClosed event;
    for (Handover& handover : command.added) {
      handover.socket = {};
      event.leases.push_back(handover.lease);
    }
    if (!event.leases.empty()) sink_(std::move(event));
    return;
  }
  ShardCall& call = *calls_[place->second];
  for (const SocketName& name : command.closed) {
    const auto index = call.call->index_of(name.stream);
    RTPOOL_ASSERT(index.has_value());
    detach(call, *index, name.component);
  }
  const std::vector<media::StreamSpec> before = call.call->spec().streams;
  call.call->update(command.spec, command.endpoints, now);
  live_.streams += command.spec.streams.size();
  live_.streams -= before.size();
  attach(call, command.added);
  for (const media::StreamSpec& stream : command.spec.streams) {
    const auto old = std::find_if(before.begin(), before.end(),
                                  [&](const auto& s) { return s.id == stream.id; });
    if (old == before.end() || old->tos == stream.tos) continue;
    const StreamSlots& slots = call.streams[*call.call->index_of(stream.id)];
    if (slots.rtp.valid()) io_.set_tos(slots.rtp, stream.family, stream.tos);
    if (slots.rtcp.valid()) io_.set_tos(slots.rtcp, stream.family, stream.tos);
  }
}

void Worker::run(QueryCall& command, Instant now) {
  const auto place = places_.find(command.id);
  if (place == places_.end()) {
    sink_(StateReady{std::move(command.done), Error{EngineErrc::unknown_call}});
    return;
  }
  sink_(StateReady{std::move(command.done), calls_[place->second]->call->state(now)});
}

void Worker::run(CopyCall& command, Instant) {
  const auto place = places_.find(command.id);
  if (place == places_.end()) {
    sink_(CopyReady{std::move(command.done), Error{EngineErrc::unknown_call}});
    return;
  }
  sink_(CopyReady{std::move(command.done), calls_[place->second]->call->copy()});
}

void Worker::run(RemoveCall& command, Instant now) {
  const auto place = places_.find(command.id);
  if (place == places_.end()) {
    sink_(StateReady{std::move(command.done), Error{EngineErrc::unknown_call}});
    return;
  }
  ShardCall& call = *calls_[place->second];
  media::CallState state = call.call->state(now);
  detach_all(call);
  erase(place->second);
  sink_(StateReady{std::move(command.done), std::move(state)});
}

void Worker::run(StopShard&, Instant now) {
  stopping_ = true;
  stop_deadline_ = now + kStopPatience;
  while (!calls_.empty()) {
    detach_all(*calls_.back());
    erase(calls_.size() - 1);
  }
}

void Worker::attach(ShardCall& call, std::vector<Handover>& sockets) {
  for (Handover& handover : sockets) {
    const auto index = call.call->index_of(handover.stream);
    RTPOOL_ASSERT(index.has_value());
    if (call.streams.size() <= *index) call.streams.resize(*index + std::size_t{1});
    const io::SocketSlot slot = io_.attach(std::move(handover.socket));
    StreamSlots& slots = call.streams[*index];
    (handover.component == media::ComponentKind::rtp ? slots.rtp : slots.rtcp) = slot;
    owners_[slot.index] = {&call, *index, handover.component, handover.lease};
    ++open_sockets_;
  }
}

void Worker::detach(ShardCall& call, std::uint16_t stream, media::ComponentKind component) {
  StreamSlots& slots = call.streams[stream];
  io::SocketSlot& slot = component == media::ComponentKind::rtp ? slots.rtp : slots.rtcp;
  if (!slot.valid()) return;
  owners_[slot.index].call = nullptr;
  io_.detach(slot);
  slot = {};
}

void Worker::detach_all(ShardCall& call) {
  for (std::size_t i = 0; i < call.streams.size(); ++i) {
    detach(call, static_cast<std::uint16_t>(i), media::ComponentKind::rtp);
    detach(call, static_cast<std::uint16_t>(i), media::ComponentKind::rtcp);
  }
}

void Worker::erase(std::size_t place) {
  places_.erase(calls_[place]->id);
  live_.streams -= calls_[place]->call->spec().streams.size();
  live_.load.talking -= calls_[place]->talking ? 1 : 0;
  live_.load.settled -= calls_[place]->settled ? 1 : 0;
  if (place + 1 != calls_.size()) {
    calls_[place] = std::move(calls_.back());
    places_[calls_[place]->id] = place;
  }
  calls_.pop_back();
}

// ---- housekeeping ------------------------------------------------------------------------------

void Worker::tick(Instant now) {
  next_tick_ = now + kTick;
  io_.tick();
  sweep(now);
  for (const CallId id : settling_) {
    if (const auto place = places_.find(id); place != places_.end())
      look_at(*calls_[place->second], now, true);
  }
  settling_.clear();
  settling_.swap(heard_);
  measure(now);
  publish();
}

// A tenth of the calls at each tick, from the back, where an erased one's place is taken by one
// already seen.
void Worker::sweep(Instant now) {
  if (swept_ == 0 || swept_ > calls_.size()) swept_ = calls_.size();
  const std::size_t share = (calls_.size() + kTicksPerSweep - 1) / kTicksPerSweep;
  for (std::size_t n = 0; n < share && swept_ > 0; ++n) {
    const std::size_t place = --swept_;
    ShardCall& call = *calls_[place];
    const auto reason = call.call->expired(now);
    if (!reason) {
      look_at(call, now, false);
      continue;
    }
    CallExpired event{call.id, *reason, call.call->state(now)};
    detach_all(call);
    erase(place);
    sink_(std::move(event));
  }
}

// Each call is in a list at most once in its life, so that pushing it there never allocates.
void Worker::make_room(std::vector<CallId>& list, std::size_t calls) {
  const std::size_t most = list.size() + calls;
  if (list.capacity() < most) list.reserve(2 * most);
}

// `heard`: its first packet has come, and is in what was measured.
void Worker::look_at(ShardCall& call, Instant now, bool heard) {
  const auto note = [](bool& flag, bool value, std::uint64_t& count) {
    count += value ? 1 : 0;
    count -= flag ? 1 : 0;
    flag = value;
  };
  const bool late = now - call.created >= Headroom::kExpected;
  note(call.settled, call.settled || heard || late, live_.load.settled);
  const bool talks = call.forwarded != Instant{} && now - call.forwarded < kSilence;
  note(call.talking, call.settled && talks, live_.load.talking);
}

void Worker::measure(Instant now) {
  const io::ThreadUsage usage = usage_();
  meter_.read({.at = now,
               .running = usage.running,
               .waiting = usage.waiting,
               .packets_received = live_.received.packets,
               .packets_sent = live_.sent.packets,
               .bytes_received = live_.received.bytes,
               .bytes_sent = live_.sent.bytes,
               .buffers_exhausted = io_.counts().buffers_exhausted});
  const std::uint64_t talking = live_.load.talking;
  const std::uint64_t settled = live_.load.settled;
  live_.load = meter_.load();
  live_.load.talking = talking;
  live_.load.settled = settled;
}

void Worker::publish() {
  const io::PacketIoCounts io = io_.counts();
  live_.calls = calls_.size();
  live_.receive_rearmed = io.receive_rearmed;
  live_.buffers_exhausted = io.buffers_exhausted;
  live_.soft_errors = io.soft_errors;
  live_.connected = io.connected;
  const std::lock_guard lock(published_mutex_);
  published_ = live_;
  published_.drops[static_cast<std::size_t>(media::Drop::no_call)] += io.late_packets;
}

}  // namespace rtpool
