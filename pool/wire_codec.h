// Between the pool's values and their protobuf messages, and between errors and gRPC statuses.
// Internal to the service and the clients. What a message says is checked where it is used
// (check_registration), not here.
#pragma once

#include <string_view>

#include "pool/errc.h"
#include "pool/pool_element.h"

namespace grpc {
class Status;
}
namespace rtpool::pool::v1 {
class Registration;
class Element;
class PoolUpdate;
class PoolListing;
}  // namespace rtpool::pool::v1

namespace rtpool::pool {

grpc::Status to_status(const Error& error);
// A refusal by name, or "unavailable" texts of the transport as they are.
Error from_status(const grpc::Status& status);
// True for an answer of a registrar; false where none was reached.
bool is_refusal(const grpc::Status& status);

void encode(const Registration& registration, v1::Registration& out);
void encode(const PoolElement& element, v1::Element& out);
void encode(const PoolUpdate& update, v1::PoolUpdate& out);
void encode(const ListedPool& pool, v1::PoolListing& out);

Registration decode(const v1::Registration& message);
PoolElement decode(const v1::Element& message);
PoolUpdate decode(const v1::PoolUpdate& message);
ListedPool decode(const v1::PoolListing& message);

}  // namespace rtpool::pool
