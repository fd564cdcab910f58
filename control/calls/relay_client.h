// RelayGateway over gRPC. Used from the control thread (the io_context's) alone; results come back
// on it.
//
// One channel for each relay address, opened on first use and closed when unused for long; on it
// one watch for calls that ended by themselves. A request on a broken channel fails at once rather
// than wait for it to mend.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "control/calls/relay_gateway.h"
#include "pool/client.h"

namespace rtpool::control {

class RelayClient final : public RelayGateway {
 public:
  // `now` reads the monotonic clock, for the ages in replies.
  // Without `tls` in plaintext.
  RelayClient(boost::asio::io_context& io, std::function<Instant()> now,
              std::shared_ptr<const pool::TlsContext> tls = {});
  ~RelayClient() override;  // stop()

  void apply(const RelayRef& relay, const media::CallSpec& spec, Duration deadline,
             Done done) override;
  void query(const RelayRef& relay, const std::string& key, Duration deadline, Done done) override;
  void remove(const RelayRef& relay, const std::string& key, Duration deadline, Done done) override;
  void set_on_ended(Ended handler) override;

  // Cancels what is under way; its results no longer come. Blocks until gRPC has let go, some
  // milliseconds.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace rtpool::control
