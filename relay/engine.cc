#include "relay/engine.h"

#include <sys/resource.h>

#include <algorithm>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>

#include "relay/base/assert.h"
#include "relay/base/cores.h"
#include "relay/io/clock.h"
#include "relay/mailbox.h"
#include "relay/media/call.h"
#include "relay/media/target.h"
#include "relay/placement.h"
#include "relay/port_book.h"
#include "relay/port_filler.h"
#include "relay/shard.h"

namespace rtpool {
namespace {

constexpr std::size_t kMaxKeyBytes = 1024;
constexpr std::uint32_t kMaxShards = 256;
constexpr std::uint64_t kMaxSocketsPerShard = 1U << 20;
// Descriptors that are not media sockets: rings, control connections, logs, the proxy's.
constexpr std::uint64_t kSpareDescriptors = 512;
// Shards measure themselves every 100 ms; asking them more often than this would tell nothing new.
constexpr Duration kMeasuredFor = std::chrono::milliseconds(20);

EngineErrc errc_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::ports:
      return EngineErrc::out_of_ports;
    case Refusal::packets:
      return EngineErrc::too_many_packets;
    case Refusal::bandwidth:
      return EngineErrc::too_much_bandwidth;
    case Refusal::busy:
      return EngineErrc::too_busy;
    default:
      return EngineErrc::too_many_calls;
  }
}

// The limit that could be had, at best `wanted`: root raises the hard one as well.
std::uint64_t raise_descriptor_limit(std::uint64_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur >= wanted) return limit.rlim_cur;
  const rlimit raised{wanted, std::max<rlim_t>(wanted, limit.rlim_max)};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return wanted;
  const rlimit soft{limit.rlim_max, limit.rlim_max};
  return setrlimit(RLIMIT_NOFILE, &soft) == 0 ? limit.rlim_max : limit.rlim_cur;
}

Error check_address(const MediaAddress& address) {
  const std::string text = address.local.to_string();
  if (address.local.is_unspecified()) {
    return {EngineErrc::invalid_spec, "media address " + text + " is not a single address"};
  }
  if (address.advertised.family != address.local.family) {
    return {EngineErrc::invalid_spec, "media address " + text + " advertises " +
                                          address.advertised.to_string() + " of another family"};
  }
  const auto socket = io::UdpSocket::bind(LocalEndpoint{{address.local, 0}}, {});
  if (!socket)
    return {EngineErrc::bind_failed, "media address " + text + ": " + socket.error().message()};
  return {};
}

Error check_cores(const std::vector<std::uint32_t>& cores) {
  const std::vector<std::uint32_t> usable = usable_cores();
  for (const std::uint32_t core : cores) {
    if (!std::binary_search(usable.begin(), usable.end(), core)) {
      return {EngineErrc::invalid_spec, "a shard can't be pinned to core " + std::to_string(core) +
                                            "; this process may run on " + format_cores(usable)};
    }
  }
  return {};
}

Error check_options(const EngineOptions& options) {
  if (options.media_addresses.empty()) return {EngineErrc::invalid_spec, "no media address"};
  if (options.shards == 0 || options.shards > kMaxShards) {
    return {EngineErrc::invalid_spec, "shards must be 1 to " + std::to_string(kMaxShards)};
  }
  if (Error error = check_cores(options.cores); error.code) return error;
  std::set<std::pair<std::string, IpFamily>> names;
  for (const MediaAddress& address : options.media_addresses) {
    if (!names.emplace(address.name, address.local.family).second) {
      return {EngineErrc::invalid_spec,
              "two media addresses of one family are named '" + address.name + "'"};
    }
    if (Error error = check_address(address); error.code) return error;
  }
  return {};
}

}  // namespace

struct Engine::Impl {
  struct Entry {
    CallId id;
    std::size_t shard = 0;
    media::CallSpec spec;
    std::vector<PlacedStream> streams;
    Instant created{};
  };
  struct Event {
    std::size_t shard = 0;
    ShardEvent event;
    bool stop = false;
    std::optional<Refusal> refusal;  // instead of an event: new calls are refused from now on
  };

  explicit Impl(const EngineOptions& wanted)
      : options(wanted),
        book(wanted.ports, wanted.port_rest),
        headroom({.calls = wanted.max_calls,
                  .packets_per_second = wanted.max_packets_per_second,
                  .bits_per_second = wanted.max_bits_per_second,
                  .busy = wanted.max_cpu_percent / 100.0}) {}
  ~Impl();

  Error start();
  Error start_shards(std::uint64_t ports);
  Error open_shards();
  void bind_ahead();
  Result<media::CallState> create(const media::CallSpec& spec, std::size_t shard, Instant now);
  Result<media::CallState> update(Entry& entry, const media::CallSpec& spec, Instant now);
  [[nodiscard]] bool room(std::size_t shard, std::size_t sockets) const {
    return loads[shard].sockets + sockets <= limits.sockets_per_shard;
  }
  Assessment assess(Instant now);
  Error refuse(Refusal reason, std::string why);
  Error refuse(Refusal reason) {
    return refuse(reason, rtpool::describe_limit(reason, headroom.limits()));
  }
  [[nodiscard]] media::CallState state_of(const Entry& entry, Instant now) const;
  void forget(std::unordered_map<std::string, Entry>::iterator entry, media::EndReason reason);
  void run_control();
  void handle(std::size_t shard, std::monostate&) {
    (void)shard;
    RTPOOL_ASSERT(false);
  }
  void handle(std::size_t shard, StateReady& event);
  void handle(std::size_t shard, CopyReady& event);
  void handle(std::size_t shard, CallExpired& event);
  void handle(std::size_t shard, SocketsClosed& event);

  const EngineOptions options;
  EngineLimits limits;
  io::SystemClock clock;
  std::vector<Interface> interfaces;
  std::function<void(CallEnded)> on_ended;
  std::function<void(Refusal)> on_refusal;

  mutable PortBook book;
  PortFiller filler{book, clock};

  mutable std::mutex mutex;  // guards what follows, up to the blank line; never taken per packet
  std::unordered_map<std::string, Entry> calls;
  std::vector<ShardDemand> loads;  // sockets: handed over and not yet closed
  Instant measured_at{};           // when the shards were last asked
  Headroom headroom;
  Refusal refusal = Refusal::none;
  std::array<std::uint64_t, kRefusals> calls_refused{};
  std::uint64_t next_id = 1;
  std::uint64_t calls_created = 0;
  std::uint64_t calls_ended[5] = {};
  bool stopping = false;

  Mailbox<Event> events;
  std::vector<std::unique_ptr<Shard>> shards;
  std::thread control;
};

// ---- start and stop ----------------------------------------------------------------------------

Error Engine::Impl::start() {
  if (Error error = check_options(options); error.code) return error;
  for (const MediaAddress& address : options.media_addresses) {
    interfaces.push_back({address, book.add(address.local), options.path_mtu});
  }
  limits.port_pairs = book.counts(clock.now()).total;
  if (options.ports.first == 0 || limits.port_pairs == 0) {
    return {EngineErrc::out_of_ports, "media ports " + std::to_string(options.ports.first) + "-" +
                                          std::to_string(options.ports.last) +
                                          " hold no pair of an even and an odd port"};
  }
  if (Error error = start_shards(2 * limits.port_pairs); error.code) return error;
  filler.start();
  control = start_thread("rtpool-engine", [this] { run_control(); });
  return {};
}

Error Engine::Impl::start_shards(std::uint64_t ports) {
  // No more sockets than ports, wherever they lie; the table of fixed files is held to the limit of
  // descriptors, too.
  limits.descriptors = raise_descriptor_limit(ports + kSpareDescriptors);
  limits.sockets_per_shard = std::min({ports, limits.descriptors, kMaxSocketsPerShard});
  bind_ahead();
  loads.resize(options.shards);
  limits.io = options.io.value_or(io::IoKind::uring);
  Error error = open_shards();
  if (error.code == io::make_error_code(io::IoErrc::unavailable) && !options.io) {
    limits.io = io::IoKind::epoll;
    limits.io_uring_missing = error.message();
    error = open_shards();
  }
  if (error.code) return {EngineErrc::io_unavailable, error.message()};
  limits.fixed_files = shards.front()->features().fixed_files;
  limits.min_wait = shards.front()->features().min_wait;
  limits.connected_sends = shards.front()->features().connected_sends;
  if (!limits.fixed_files) {
    const std::uint64_t taken = kSpareDescriptors + 2 * limits.prebound_ports;
    const std::uint64_t usable = limits.descriptors > taken ? limits.descriptors - taken : 0;
    limits.sockets_per_shard = std::min(limits.sockets_per_shard, usable / options.shards);
    if (limits.sockets_per_shard < 4) {
      return {EngineErrc::io_unavailable,
              "RLIMIT_NOFILE is " + std::to_string(limits.descriptors) + ", too low for one call"};
    }
  }
  return {};
}

// A quarter of the descriptors at most: two for each pair.
void Engine::Impl::bind_ahead() {
  const std::uint64_t spare = std::min(limits.descriptors, kSpareDescriptors);
  const std::uint64_t most = (limits.descriptors - spare) / 8 / options.media_addresses.size();
  book.bind_ahead(std::min<std::uint64_t>(options.prebound_ports, most),
                  {.path_mtu = options.path_mtu}, [this] { filler.wake(); });
  limits.prebound_ports = book.wanted_ahead();
  book.fill(clock.now());
}

// All of them with the one kind of packet I/O that limits names, or none.
Error Engine::Impl::open_shards() {
  ShardOptions wanted{.io = {.kind = limits.io,
                             .sockets = static_cast<std::uint32_t>(limits.sockets_per_shard),
                             .buffers = options.receive_buffers,
                             .buffer_bytes = options.receive_buffer_bytes,
                             .connected_sends = options.connected_sends,
                             .busy_poll = options.busy_poll},
                      .batch_window = options.batch_window};
  for (std::uint32_t i = 0; i < options.shards; ++i) {
    if (!options.cores.empty()) wanted.core = options.cores[i % options.cores.size()];
    auto shard = Shard::start(i, wanted, [this, i](ShardEvent event) {
      events.post({i, std::move(event)});
    });
    if (!shard) {
      shards.clear();
      return shard.error();
    }
    shards.push_back(std::move(*shard));
  }
  return {};
}

Engine::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
    calls_ended[static_cast<std::size_t>(media::EndReason::shutdown)] += calls.size();
    calls.clear();
  }
  for (const auto& shard : shards) shard->stop();
  if (!control.joinable()) return;
  events.post({.stop = true});
  control.join();
}

Engine::Engine() = default;
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::start(const EngineOptions& options) {
  std::unique_ptr<Engine> engine(new Engine);
  engine->impl_ = std::make_unique<Impl>(options);
  if (Error error = engine->impl_->start(); error.code) return error;
  return engine;
}

// ---- calls -------------------------------------------------------------------------------------

Result<media::CallState> Engine::apply(const media::CallSpec& spec) {
  if (spec.key.empty() || spec.key.size() > kMaxKeyBytes) {
    return Error{EngineErrc::invalid_spec,
                 "a call's key has 1 to " + std::to_string(kMaxKeyBytes) + " bytes"};
  }
  if (std::string wrong = media::validate(spec); !wrong.empty()) {
    return Error{EngineErrc::invalid_spec, std::move(wrong)};
  }
  const Instant now = impl_->clock.now();
  std::size_t shard = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->stopping) return Error{EngineErrc::shutting_down};
    const auto entry = impl_->calls.find(spec.key);
    if (entry != impl_->calls.end()) return impl_->update(entry->second, spec, now);
    const Assessment state = impl_->assess(now);
    if (state.refusal != Refusal::none) return impl_->refuse(state.refusal);
    shard = state.lightest;
  }
  return impl_->create(spec, shard, now);
}

// The call and its sockets are made without the mutex; then it is seen whether nothing came in
// between.
Result<media::CallState> Engine::Impl::create(const media::CallSpec& spec, std::size_t shard,
                                              Instant now) {
  auto placement = Placement::make(spec, {}, interfaces, book, now);
  if (!placement) {
    if (placement.error().code != make_error_code(EngineErrc::out_of_ports))
      return placement.error();
    const std::lock_guard lock(mutex);
    return refuse(Refusal::ports, placement.error().detail);
  }
  auto call = std::make_unique<media::Call>(spec, placement->endpoints(),
                                            media::CallOptions{options.learning_window}, now);
  const std::lock_guard lock(mutex);
  if (stopping) return Error{EngineErrc::shutting_down};
  if (const auto entry = calls.find(spec.key); entry != calls.end())
    return update(entry->second, spec, now);
  if (calls.size() >= options.max_calls) return refuse(Refusal::calls);
  if (!room(shard, placement->new_sockets())) {
    return refuse(Refusal::sockets, "the limit of " + std::to_string(limits.sockets_per_shard) +
                                        " sockets per shard is reached");
  }
  Placement::Committed placed = placement->commit(now);
  loads[shard].calls += 1;
  loads[shard].sockets += placed.added.size();
  ++calls_created;
  const CallId id{next_id++};
  const auto [entry, fresh] =
      calls.emplace(spec.key, Entry{id, shard, spec, std::move(placed.streams), now});
  RTPOOL_ASSERT(fresh);
  shards[shard]->post(CreateCall{id, std::move(call), std::move(placed.added)});
  return state_of(entry->second, now);
}

Result<media::CallState> Engine::Impl::update(Entry& entry, const media::CallSpec& spec,
                                              Instant now) {
  if (spec == entry.spec) return state_of(entry, now);
  if (spec.revision <= entry.spec.revision) {
    return Error{EngineErrc::stale_revision, "revision " + std::to_string(spec.revision) +
                                                 " came after " +
                                                 std::to_string(entry.spec.revision)};
  }
  auto placement = Placement::make(spec, entry.streams, interfaces, book, now);
  if (!placement) return placement.error();
  if (!room(entry.shard, placement->new_sockets())) {
    return Error{EngineErrc::too_many_calls, "the limit of " +
                                                 std::to_string(limits.sockets_per_shard) +
                                                 " sockets per shard is reached"};
  }
  std::vector<media::StreamSockets> endpoints = placement->endpoints();
  Placement::Committed placed = placement->commit(now);
  loads[entry.shard].sockets += placed.added.size();
  entry.streams = std::move(placed.streams);
  entry.spec = spec;
  shards[entry.shard]->post(UpdateCall{entry.id, spec, std::move(endpoints),
                                       std::move(placed.closed), std::move(placed.added)});
  return state_of(entry, now);
}

// What is used now. Under the mutex.
Assessment Engine::Impl::assess(Instant now) {
  if (now - measured_at >= kMeasuredFor) {
    measured_at = now;
    for (std::size_t i = 0; i < shards.size(); ++i) loads[i].measured = shards[i]->load();
  }
  const PortBook::Counts pairs = book.counts(now);
  const Assessment state = headroom.assess({.shards = loads,
                                            .calls = calls.size(),
                                            .ports_used = pairs.leased + pairs.resting,
                                            .ports = pairs.total,
                                            .sockets_per_shard = limits.sockets_per_shard});
  if (std::exchange(refusal, state.refusal) != state.refusal) {
    events.post({.refusal = state.refusal});
  }
  return state;
}

Error Engine::Impl::refuse(Refusal reason, std::string why) {
  ++calls_refused[static_cast<std::size_t>(reason)];
  return {errc_of(reason), std::move(why)};
}

media::CallState Engine::Impl::state_of(const Entry& entry, Instant now) const {
  media::CallState state;
  state.key = entry.spec.key;
  state.revision = entry.spec.revision;
  state.created = entry.created;
  state.observed = now;
  for (const PlacedStream& placed : entry.streams) {
    media::StreamState& stream = state.streams.emplace_back();
    stream.id = placed.id;
    stream.rtp.local = placed.endpoints.rtp;
    stream.rtp.advertised = placed.endpoints.advertised_rtp;
    stream.rtcp.local = placed.endpoints.rtcp;
    stream.rtcp.advertised = placed.endpoints.advertised_rtcp;
  }
  return state;
}

void Engine::query(const std::string& key, StateCallback done) {
  const std::lock_guard lock(impl_->mutex);
  const auto entry = impl_->calls.find(key);
  if (impl_->stopping || entry == impl_->calls.end()) {
    const EngineErrc errc = impl_->stopping ? EngineErrc::shutting_down : EngineErrc::unknown_call;
    impl_->events.post({0, StateReady{std::move(done), Error{errc}}});
    return;
  }
  impl_->shards[entry->second.shard]->post(QueryCall{entry->second.id, std::move(done)});
}

void Engine::explain(const std::string& key, const RemoteEndpoint& source, std::uint16_t port,
                     ExplainCallback done) {
  // On the control thread: the shard only makes the copy.
  CopyCallback explain = [impl = impl_.get(), source, port,
                          done = std::move(done)](Result<std::unique_ptr<media::Call>> call) {
    if (!call) return done(call.error());
    done(media::explain(**call, source, port, impl->clock.now()));
  };
  const auto refuse = [&](Error error) {
    impl_->events.post({0, CopyReady{std::move(explain), std::move(error)}});
  };
  if (source.port == 0 || !media::media_address_allowed(source.address)) {
    return refuse(
        {EngineErrc::invalid_spec, "no packet of a party can come from " + source.to_string()});
  }
  const std::lock_guard lock(impl_->mutex);
  const auto entry = impl_->calls.find(key);
  if (impl_->stopping) return refuse(Error{EngineErrc::shutting_down});
  if (entry == impl_->calls.end()) return refuse(Error{EngineErrc::unknown_call});
  impl_->shards[entry->second.shard]->post(CopyCall{entry->second.id, std::move(explain)});
}

void Engine::remove(const std::string& key, StateCallback done) {
  const std::lock_guard lock(impl_->mutex);
  const auto entry = impl_->calls.find(key);
  if (impl_->stopping || entry == impl_->calls.end()) {
    const EngineErrc errc = impl_->stopping ? EngineErrc::shutting_down : EngineErrc::unknown_call;
    impl_->events.post({0, StateReady{std::move(done), Error{errc}}});
    return;
  }
  impl_->shards[entry->second.shard]->post(RemoveCall{entry->second.id, std::move(done)});
  impl_->forget(entry, media::EndReason::deleted);
}

// The key is free at once; the ports when the shard has closed the sockets and they have rested.
void Engine::Impl::forget(std::unordered_map<std::string, Entry>::iterator entry,
                          media::EndReason reason) {
  const Instant now = clock.now();
  for (const PlacedStream& stream : entry->second.streams) book.release(stream.lease, now);
  --loads[entry->second.shard].calls;
  ++calls_ended[static_cast<std::size_t>(reason)];
  calls.erase(entry);
}

// ---- the control thread ------------------------------------------------------------------------

void Engine::Impl::run_control() {
  std::vector<Event> batch;
  while (true) {
    events.wait_and_take(batch);
    for (Event& event : batch) {
      if (event.stop) return;
      if (event.refusal) {
        if (on_refusal) on_refusal(*event.refusal);
        continue;
      }
      std::visit([&](auto& e) { handle(event.shard, e); }, event.event);
    }
  }
}

void Engine::Impl::handle(std::size_t, StateReady& event) {
  if (event.done) event.done(std::move(event.state));
}

void Engine::Impl::handle(std::size_t, CopyReady& event) {
  event.done(std::move(event.call));
}

void Engine::Impl::handle(std::size_t, CallExpired& event) {
  {
    const std::lock_guard lock(mutex);
    const auto entry = calls.find(event.state.key);
    // Removed, or even replaced, while the news was on its way.
    if (entry == calls.end() || entry->second.id != event.id) return;
    forget(entry, event.reason);
  }
  if (on_ended) on_ended({event.reason, std::move(event.state)});
}

void Engine::Impl::handle(std::size_t shard, SocketsClosed& event) {
  const std::lock_guard lock(mutex);
  const Instant now = clock.now();
  loads[shard].sockets -= event.leases.size();
  for (const LeaseKey lease : event.leases) book.closed(lease, now);
}

// ---- looking in --------------------------------------------------------------------------------

std::vector<std::string> Engine::list(std::size_t limit) const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<std::string> keys;
  keys.reserve(std::min(limit, impl_->calls.size()));
  for (const auto& [key, entry] : impl_->calls) {
    if (keys.size() == limit) break;
    keys.push_back(key);
  }
  return keys;
}

std::size_t Engine::size() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->calls.size();
}

void Engine::set_on_refusal(std::function<void(Refusal)> handler) {
  impl_->on_refusal = std::move(handler);
}

Assessment Engine::headroom() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->assess(impl_->clock.now());
}

std::uint64_t Engine::refused() const {
  const std::lock_guard lock(impl_->mutex);
  const auto& counts = impl_->calls_refused;
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::string Engine::describe_limit(Refusal refusal) const {
  return rtpool::describe_limit(refusal, impl_->headroom.limits());
}

void Engine::set_on_ended(std::function<void(CallEnded)> handler) {
  impl_->on_ended = std::move(handler);
}

EngineCounts Engine::counts() const {
  EngineCounts counts;
  for (const auto& shard : impl_->shards) counts.shards.push_back(shard->counts());
  const std::lock_guard lock(impl_->mutex);
  counts.calls_created = impl_->calls_created;
  counts.calls_refused = impl_->calls_refused;
  counts.headroom = impl_->assess(impl_->clock.now());
  std::copy(std::begin(impl_->calls_ended), std::end(impl_->calls_ended),
            std::begin(counts.calls_ended));
  const PortBook::Counts pairs = impl_->book.counts(impl_->clock.now());
  counts.ports_total = 2 * pairs.total;
  counts.ports_leased = 2 * pairs.leased;
  counts.ports_resting = 2 * pairs.resting;
  counts.ports_prebound = 2 * pairs.ahead;
  return counts;
}

const EngineOptions& Engine::options() const {
  return impl_->options;
}
EngineLimits Engine::limits() const {
  return impl_->limits;
}

}  // namespace rtpool
