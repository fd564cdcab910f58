// RelayGateway of a controller that shares its process with a relay: that relay is asked by
// function calls (docs/adr/0012), every other one through the gateway given. Used from the control
// thread (the io_context's) alone; results come back on it.
//
// Deadlines, epochs, errors and the news of ended calls are as over gRPC (relay_gateway.h).
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "control/calls/relay_gateway.h"
#include "control/calls/relay_service.h"

namespace rtpool::control {

class LocalRelay final : public RelayGateway {
 public:
  // `address`: of the relay's service, as the pool names it. All outlive this.
  LocalRelay(boost::asio::io_context& io, RelayServer& relay, std::string address,
             RelayGateway& others);
  ~LocalRelay() override;  // stop()

  void apply(const RelayRef& relay, const media::CallSpec& spec, Duration deadline,
             Done done) override;
  void query(const RelayRef& relay, const std::string& key, Duration deadline, Done done) override;
  void remove(const RelayRef& relay, const std::string& key, Duration deadline, Done done) override;
  void set_on_ended(Ended handler) override;

  // Results no longer come. Blocks until the relay has let go, some milliseconds.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace rtpool::control
