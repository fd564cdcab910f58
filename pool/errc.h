// What can go wrong in the pool module, as error codes for Result<T>. The gRPC service maps each to
// a status code in one place (registrar_service.cc); the wire carries the code's name, not its
// number.
#pragma once

#include <boost/system/error_code.hpp>
#include <optional>
#include <string_view>
#include <type_traits>

namespace rtpool::pool {

enum class Errc {
  bad_name = 1,        // a pool handle, element name or zone that is empty, too long or oddly spelt
  bad_endpoint,        // a service endpoint that is not HOST:PORT
  bad_argument,        // any other value out of its range
  policy_mismatch,     // the pool has another policy, fixed by its first element
  stale_epoch,         // another process has registered under this name since
  id_taken,            // another element of the pool has this id
  unknown_pool,        // no element has registered under this handle
  unknown_element,     // the pool has no such element
  unknown_stream,      // a heartbeat on a stream that carries no registration
  already_registered,  // a second, different registration on one stream
  too_many_pools,      //
  too_many_elements,   //
  too_many_watchers,   //
  overloaded,          // the registrar's queue is full
  store_failed,        // the store did not answer, or kept being changed by others
  store_full,          // the store holds as many records as it may
  none_available,      // the pool's view names no element that may be used
  all_full,            // there are elements, but each is at its capacity
  bind_failed,         // the listening address can't be bound
  stopped,             // the server or client is being stopped
  forbidden,           // the peer's certificate does not hold the role that this takes
};

boost::system::error_code make_error_code(Errc errc) noexcept;

// The code's name ("stale_epoch"), and back.
std::string_view name_of(Errc errc);
std::optional<Errc> errc_of(std::string_view name);

}  // namespace rtpool::pool

template <>
struct boost::system::is_error_code_enum<rtpool::pool::Errc> : std::true_type {};
