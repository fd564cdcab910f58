// The record RPCs of a registrar: checks what is asked and passes it to the store, on gRPC's
// threads alone, so that records never wait for the core nor the core for them. Thread-safe. The
// store's answer may come on any thread, or after stop(), which answers for it.
//
// Errors to the peer: bad_name, bad_argument, overloaded (kMaxRecordsInFlight), stopped, and the
// store's own.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "pool/proto/registrar.grpc.pb.h"
#include "pool/records.h"
#include "pool/store.h"

namespace rtpool::pool {

class RecordService {
 public:
  // `store` outlives what was asked of it, not necessarily this.
  explicit RecordService(Store& store);
  ~RecordService();  // stop()

  // `allowed` is the gate's word on the peer.
  grpc::ServerUnaryReactor* get(grpc::CallbackServerContext& context, const grpc::Status& allowed,
                                const v1::GetRecordRequest& request, v1::Record& reply);
  grpc::ServerUnaryReactor* swap(grpc::CallbackServerContext& context, const grpc::Status& allowed,
                                 const v1::SwapRecordRequest& request, v1::SwapRecordReply& reply);
  // Refuses what comes and answers what is under way. Idempotent.
  void stop();

 private:
  struct State;
  Store& store_;
  std::shared_ptr<State> state_;
};

}  // namespace rtpool::pool
