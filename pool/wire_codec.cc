#include "pool/wire_codec.h"

#include <grpcpp/support/status.h>

#include <string>

#include "pool/proto/registrar.pb.h"
#include "pool/tls.h"

namespace rtpool::pool {
namespace {

grpc::StatusCode code_of(Errc errc) {
  switch (errc) {
    case Errc::bad_name:
    case Errc::bad_endpoint:
    case Errc::bad_argument:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case Errc::policy_mismatch:
    case Errc::stale_epoch:
    case Errc::already_registered:
    case Errc::unknown_stream:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case Errc::id_taken:
      return grpc::StatusCode::ALREADY_EXISTS;
    case Errc::unknown_pool:
    case Errc::unknown_element:
    case Errc::none_available:
      return grpc::StatusCode::NOT_FOUND;
    case Errc::too_many_pools:
    case Errc::too_many_elements:
    case Errc::too_many_watchers:
    case Errc::overloaded:
    case Errc::store_full:
    case Errc::all_full:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Errc::forbidden:
      return grpc::StatusCode::PERMISSION_DENIED;
    case Errc::store_failed:
    case Errc::bind_failed:
    case Errc::stopped:
      return grpc::StatusCode::UNAVAILABLE;
  }
  return grpc::StatusCode::INTERNAL;
}

std::optional<Errc> refusal_of(const grpc::Status& status) {
  const std::string& text = status.error_message();
  return errc_of(std::string_view(text).substr(0, text.find(':')));
}

void encode_values(const PolicyValues& values, v1::PolicyValues& out) {
  out.set_weight(values.weight);
  out.set_priority(values.priority);
  out.set_capacity(values.capacity);
  out.set_load_degradation(values.load_degradation);
}

PolicyValues decode_values(const v1::PolicyValues& message) {
  return {.weight = message.weight(),
          .priority = message.priority(),
          .capacity = message.capacity(),
          .load_degradation = message.load_degradation()};
}

}  // namespace

grpc::Status to_status(const Error& error) {
  const auto errc = static_cast<Errc>(error.code.value());
  return {code_of(errc), std::string(name_of(errc)) + ": " + error.detail};
}

bool is_refusal(const grpc::Status& status) {
  return !status.ok() && refusal_of(status).has_value();
}

Error from_status(const grpc::Status& status) {
  if (const auto errc = refusal_of(status)) {
    const std::string& text = status.error_message();
    const auto colon = text.find(": ");
    return {*errc, colon == std::string::npos ? std::string() : text.substr(colon + 2)};
  }
  if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    return {Errc::overloaded, status.error_message()};
  }
  const std::string reason = explain_failure(status.error_message());
  return {Errc::stopped, "registrar unreachable (" + (reason.empty() ? "" : reason + ": ") +
                             status.error_message() + ")"};
}

void encode(const Registration& registration, v1::Registration& out) {
  out.set_pool(registration.pool);
  out.set_name(registration.name);
  out.set_endpoint(registration.endpoint);
  out.set_zone(registration.zone);
  out.set_policy(static_cast<std::uint32_t>(registration.policy));
  encode_values(registration.values, *out.mutable_values());
  out.set_incarnation(registration.incarnation);
  out.set_epoch(registration.epoch);
}

Registration decode(const v1::Registration& message) {
  return {.pool = message.pool(),
          .name = message.name(),
          .endpoint = message.endpoint(),
          .zone = message.zone(),
          .policy = static_cast<Policy>(message.policy()),
          .values = decode_values(message.values()),
          .incarnation = message.incarnation(),
          .epoch = message.epoch()};
}

void encode(const PoolElement& element, v1::Element& out) {
  out.set_id(element.id.value);
  out.set_name(element.name);
  out.set_endpoint(element.endpoint);
  out.set_zone(element.zone);
  out.set_epoch(element.epoch);
  encode_values(element.values, *out.mutable_values());
  out.set_load(element.load);
  out.set_calls(element.calls);
  out.set_load_sequence(element.load_sequence);
  out.set_drained(element.drained);
  out.set_suspect(element.suspect);
  out.set_damped(element.damped);
}

PoolElement decode(const v1::Element& message) {
  return {.id = PoolElementId{message.id()},
          .name = message.name(),
          .endpoint = message.endpoint(),
          .zone = message.zone(),
          .epoch = message.epoch(),
          .values = decode_values(message.values()),
          .load = message.load(),
          .calls = message.calls(),
          .load_sequence = message.load_sequence(),
          .drained = message.drained(),
          .suspect = message.suspect(),
          .damped = message.damped()};
}

void encode(const PoolUpdate& update, v1::PoolUpdate& out) {
  out.set_sequence(update.sequence);
  out.set_snapshot(update.snapshot);
  out.set_settled(update.settled);
  out.set_panic(update.panic);
  out.set_keepalive(update.keepalive);
  out.set_policy(static_cast<std::uint32_t>(update.policy));
  for (const PoolElement& element : update.changed) encode(element, *out.add_changed());
  for (const PoolElementId id : update.removed) out.add_removed(id.value);
}

PoolUpdate decode(const v1::PoolUpdate& message) {
  PoolUpdate update;
  update.sequence = message.sequence();
  update.snapshot = message.snapshot();
  update.settled = message.settled();
  update.panic = message.panic();
  update.keepalive = message.keepalive();
  update.policy = static_cast<Policy>(message.policy());
  for (const auto& element : message.changed()) update.changed.push_back(decode(element));
  for (const auto id : message.removed()) update.removed.push_back(PoolElementId{id});
  return update;
}

void encode(const ListedPool& pool, v1::PoolListing& out) {
  out.set_pool(pool.pool);
  out.set_policy(static_cast<std::uint32_t>(pool.policy));
  out.set_panic(pool.panic);
  for (const ListedElement& listed : pool.elements) {
    v1::Element& element = *out.add_elements();
    encode(listed.element, element);
    const auto ago = std::chrono::duration_cast<std::chrono::microseconds>(listed.last_heard_ago);
    element.set_last_heard_us_ago(static_cast<std::uint64_t>(ago.count()));
    element.set_reports(listed.reports);
    const auto left = std::chrono::duration_cast<std::chrono::microseconds>(listed.damped_left);
    element.set_damped_left_us(static_cast<std::uint64_t>(left.count()));
  }
}

ListedPool decode(const v1::PoolListing& message) {
  ListedPool pool;
  pool.pool = message.pool();
  pool.policy = static_cast<Policy>(message.policy());
  pool.panic = message.panic();
  for (const auto& element : message.elements()) {
    pool.elements.push_back(
        {.element = decode(element),
         .last_heard_ago = std::chrono::microseconds(element.last_heard_us_ago()),
         .reports = element.reports(),
         .damped_left = std::chrono::microseconds(element.damped_left_us())});
  }
  return pool;
}

}  // namespace rtpool::pool
