// What both clients share: the channel to one registrar, tuned to come back quickly, retry times,
// and one-shot questions. Internal to the clients.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "pool/client.h"
#include "pool/proto/registrar.grpc.pb.h"
#include "relay/base/random.h"
#include "relay/base/result.h"
#include "relay/base/time.h"

namespace rtpool::pool {

// Each link has a connection of its own: what fails, fails alone. gRPC's own waits of 1 to 120 s
// between connection attempts would make a return slow.
grpc::ChannelArguments quick_to_return();

// Without `tls` in plaintext.
std::unique_ptr<v1::Registrar::Stub> connect_registrar(
    const std::string& registrar, const std::shared_ptr<const TlsContext>& tls);

// At least one, at most five, each HOST:PORT and none twice.
Result<void> check_registrars(const std::vector<std::string>& registrars);

std::uint64_t random_seed();

// Times between attempts: the first within 20 ms, then doubling to 200 ms, each jittered by
// a half.
class Backoff {
 public:
  Duration next(Random& random) {
    const auto base = std::chrono::duration_cast<std::chrono::microseconds>(wait_).count();
    wait_ = std::min<Duration>(wait_ * 2, std::chrono::milliseconds(200));
    return std::chrono::microseconds(base / 2 +
                                     random.below(static_cast<std::uint32_t>(base / 2) + 1));
  }
  void reset() { wait_ = kFirst; }

 private:
  static constexpr Duration kFirst = std::chrono::milliseconds(20);
  Duration wait_ = kFirst;
};

// A one-shot call in flight, which keeps itself alive until its answer. A context holds its
// channel, and gRPC 1.51 aborts where the last channel of a process ends on one of its own threads:
// the context goes first, then whoever waits to end the channel is told.
template <class Request>
struct OneShot {
  std::optional<grpc::ClientContext> context{std::in_place};
  Request request;
  v1::Done reply;
};

}  // namespace rtpool::pool
