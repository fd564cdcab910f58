// Connections to one registrar, and registrations as the load makes them.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/registrar/load.h"
#include "pool/proto/registrar.grpc.pb.h"
#include "pool/tls.h"

namespace rtpool::bench {

class Stubs {
 public:
  explicit Stubs(const LoadTarget& target) {
    for (unsigned i = 0; i < target.channels; ++i) stubs_.push_back(connect(target));
  }
  [[nodiscard]] pool::v1::Registrar::Stub& at(std::uint64_t number) const {
    return *stubs_[number % stubs_.size()];
  }

  // A connection of its own.
  static std::unique_ptr<pool::v1::Registrar::Stub> connect(const LoadTarget& target) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetMaxReceiveMessageSize(64 << 20);
    return pool::v1::Registrar::NewStub(grpc::CreateCustomChannel(
        target.registrar, pool::channel_credentials(target.tls, pool::PeerRole::registrar),
        arguments));
  }

 private:
  std::vector<std::unique_ptr<pool::v1::Registrar::Stub>> stubs_;
};

inline std::string element_name(unsigned pool, unsigned number) {
  return "p" + std::to_string(pool) + "-e" + std::to_string(number);
}

inline void fill_registration(pool::v1::Registration& out, const std::string& pool,
                              const std::string& name) {
  out.set_pool(pool);
  out.set_name(name);
  out.set_endpoint("192.0.2.1:7410");
  out.set_policy(0x40000002);  // least used with degradation
  out.mutable_values()->set_weight(1);
  out.mutable_values()->set_capacity(1000);
  out.set_incarnation(0x1234567);
}

}  // namespace rtpool::bench
