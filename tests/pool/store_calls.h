// Operations on a store, awaited: for tests.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <utility>

#include "pool/errc.h"
#include "pool/store.h"

namespace rtpool::pool {

inline Result<StoreEntry> get(Store& store, const std::string& key) {
  auto answer = std::make_shared<std::promise<Result<StoreEntry>>>();
  store.get(key, [answer](Result<StoreEntry> entry) { answer->set_value(std::move(entry)); });
  return answer->get_future().get();
}

inline Result<SwapOutcome> swap(Store& store, Swap change) {
  auto answer = std::make_shared<std::promise<Result<SwapOutcome>>>();
  store.compare_and_swap(std::move(change), [answer](Result<SwapOutcome> outcome) {
    answer->set_value(std::move(outcome));
  });
  return answer->get_future().get();
}

inline std::string_view name_of(const Error& error) {
  return name_of(static_cast<Errc>(error.code.value()));
}

}  // namespace rtpool::pool
