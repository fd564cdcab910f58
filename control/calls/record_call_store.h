// The CallStore over the pool's records (pool/records.h). Used
// from the control thread (the io_context's) alone; results come back on it.
//
// When the store could not be asked, operations fail at once for a moment, so that not every
// request waits for it in vain; then one may try again.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "control/calls/call_store.h"
#include "pool/records.h"

namespace rtpool::control {

class RecordCallStore final : public CallStore {
 public:
  // `now` reads the monotonic clock. Both outlive the store; stop the records first.
  RecordCallStore(boost::asio::io_context& io, pool::Records& records,
                  std::function<Instant()> now);
  ~RecordCallStore() override;

  void load(const std::string& call_id, std::uint64_t known_revision, Duration deadline,
            Loaded done) override;
  void save(const CallRecord& record, std::uint64_t expected, Duration deadline,
            Saved done) override;
  void remove(const std::string& call_id, std::uint64_t expected, Duration deadline,
              Saved done) override;

  // Says when the store goes and when it is back, once each.
  void set_on_reach(std::function<void(bool reached, const std::string& why)> handler);
  [[nodiscard]] bool reached() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace rtpool::control
