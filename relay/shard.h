// A shard: its thread, its packet I/O, its worker. The I/O is made and ended on the thread, which
// io_uring wants so.
//
// Owned by the engine. post() and counts() from any thread, between start() and stop().
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "relay/base/result.h"
#include "relay/engine.h"
#include "relay/io/clock.h"
#include "relay/io/io_kind.h"
#include "relay/shard_messages.h"
#include "relay/worker.h"

namespace rtpool {

struct ShardOptions {
  io::IoOptions io;
  Duration batch_window{};
  std::optional<std::uint32_t> core;  // none: wherever the kernel likes
};

class Shard {
 public:
  // Waits until the packet I/O stands. Errors are io::IoErrc.
  static Result<std::unique_ptr<Shard>> start(std::uint32_t number, const ShardOptions& options,
                                              Worker::EventSink sink);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  void post(Command command) { worker_->post(std::move(command)); }
  [[nodiscard]] ShardCounts counts() const { return worker_->counts(); }
  [[nodiscard]] ShardLoad load() const { return worker_->load(); }
  [[nodiscard]] io::IoFeatures features() const { return features_; }
  // Ends the calls, closes the sockets, joins the thread. Nothing may be posted from the call on.
  void stop();

 private:
  Shard() = default;
  struct Ready;
  void run(const ShardOptions& options, Worker::EventSink sink, Ready& ready);

  io::SystemClock clock_;
  io::IoFeatures features_;
  std::unique_ptr<Worker> worker_;     // outlives its I/O, so that counts() stays good
  std::promise<void> last_post_done_;  // the I/O must live until nobody can wake it any more
  std::thread thread_;
};

// Runs `body` on a thread that leaves signals to the others and shows under `name` in top(1).
std::thread start_thread(const std::string& name, std::function<void()> body);

}  // namespace rtpool
