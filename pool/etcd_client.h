// One connection to one etcd server: sends a question, gives its answer, tells the kinds of failure
// apart. No retries and no choice between servers: those are etcd_store.h's. Thread-safe; each
// `done` is called exactly once, on one of gRPC's threads, at the latest at the timeout. The
// connection must outlive its questions.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "pool/etcd_url.h"
#include "pool/store.h"

namespace rtpool::pool {

enum class EtcdFault : std::uint8_t {
  no_answer,   // unreachable, too slow, without a leader: another server may do better; a change
               // may or may not have been made
  bad_token,   // (re)authenticate; nothing was changed
  lease_gone,  // the lease has expired; nothing was changed
  full,        // etcd's space quota is used up; nothing was changed
  denied,      // user, password or permission; nothing was changed
  refused      // this question alone; nothing was changed
};

struct EtcdAnswer {
  std::optional<EtcdFault> fault;
  std::string why;               // of the fault, for people
  std::uint64_t cluster_id = 0;  // 0: not said
  StoreEntry entry;              // range; after a swap what there is now
  bool swapped = false;
  std::int64_t lease = 0;   // grant
  std::string token;        // authenticate; empty where the cluster asks for none
  bool has_leader = false;  // status
};

class EtcdClient {
 public:
  using Done = std::function<void(EtcdAnswer)>;
  using Timeout = std::chrono::milliseconds;

  // What all connections to a cluster share. Errors: bad_argument (files that can't be read).
  class Credentials;
  static Result<std::shared_ptr<const Credentials>> load(const EtcdUrl& url);

  EtcdClient(const std::string& endpoint, const Credentials& credentials);
  ~EtcdClient();

  // Linearizable: not answered without a quorum. `token` may be empty.
  void range(const std::string& key, const std::string& token, Timeout timeout, Done done);
  // `swap.lifetime` is not looked at; `lease` 0 is none.
  void swap(const Swap& swap, std::int64_t lease, const std::string& token, Timeout timeout,
            Done done);
  void grant(std::chrono::seconds lifetime, const std::string& token, Timeout timeout, Done done);
  void authenticate(const std::string& user, const std::string& password, Timeout timeout,
                    Done done);
  void status(Timeout timeout, Done done);

 private:
  struct Stubs;
  std::unique_ptr<Stubs> stubs_;
};

}  // namespace rtpool::pool
