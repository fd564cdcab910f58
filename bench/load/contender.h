// The relays that are compared: how each is started on ports of its own, and how it is waited for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/load/process.h"
#include "control/ng/codec.h"
#include "relay/base/endpoint.h"
#include "relay/base/result.h"

namespace rtpool::bench {

// rtpool: the product as people run it, on io_uring. epoll: rtpool's plain epoll engine, which
// forwards each packet at once
// by one receive and one send. baseline: another build of rtpool. rtpengine: Debian's, in user
// space.
enum class Contender : std::uint8_t { rtpool, epoll, baseline, rtpengine };

const char* name_of(Contender contender);
const std::vector<Contender>& all_contenders();
std::vector<std::string> contender_names();
Contender contender_of(const std::string& name);  // one of contender_names()

struct ContenderOptions {
  std::string rtpool;           // the program; by default beside this one
  std::string baseline_rtpool;  // the program of `baseline`
  std::string rtpengine = "rtpengine";
  std::vector<std::string> rtpool_arguments;  // added to all of rtpool's
  std::vector<std::string> rtpengine_arguments;
  int core = 0;               // that the relay is pinned to; < 0: none
  int threads = 1;            // shards, or rtpengine's --num-threads
  std::size_t calls = 10000;  // that it must have room for
  std::uint64_t port_rest_ms = 5000;
  ng::Encoding encoding = ng::Encoding::bencode;  // of requests to it
};

// The path of a program that lies beside this one.
std::string beside_this_program(const std::string& name);

// Why a contender can't run here, such as a build without the option it needs; empty when it can.
std::string missing(Contender contender, const ContenderOptions& options);

// A relay that runs and has agreed to a call. Media is at 127.0.0.2, which telephones keep free.
class RunningRelay {
 public:
  // Throws std::runtime_error, with the end of what the relay printed, when it does not start or
  // take a call in time.
  RunningRelay(Contender contender, const ContenderOptions& options);

  [[nodiscard]] const Endpoint& ng() const { return ng_; }
  [[nodiscard]] pid_t pid() const { return process_->pid(); }
  [[nodiscard]] bool running() { return process_->running(); }
  [[nodiscard]] std::string output_tail() const { return process_->output_tail(); }
  // False when it had to be killed.
  bool stop() { return process_->stop(); }

 private:
  void wait_until_ready();

  Contender contender_;
  Endpoint ng_;
  std::unique_ptr<Process> process_;
};

}  // namespace rtpool::bench
