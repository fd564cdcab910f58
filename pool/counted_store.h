// A store with its operations counted, for metrics. As thread-safe as the store it wraps.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "pool/store.h"

namespace rtpool::pool {

struct StoreCounts {
  std::atomic<std::uint64_t> operations{0};
  std::atomic<std::uint64_t> failures{0};  // of them; a swap that lost its race is none
};

class CountedStore final : public Store {
 public:
  explicit CountedStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  void get(const std::string& key, GetDone done) override {
    store_->get(key, counted(std::move(done)));
  }
  void compare_and_swap(Swap swap, SwapDone done) override {
    store_->compare_and_swap(std::move(swap), counted(std::move(done)));
  }
  [[nodiscard]] std::string trouble() const override { return store_->trouble(); }
  [[nodiscard]] std::optional<std::size_t> records() const override { return store_->records(); }
  [[nodiscard]] const StoreCounts& counts() const { return *counts_; }

 private:
  // The answer may come while the store is being destroyed, hence the shared counts.
  template <class Answer>
  std::function<void(Result<Answer>)> counted(std::function<void(Result<Answer>)> done) {
    ++counts_->operations;
    return [counts = counts_, done = std::move(done)](Result<Answer> answer) {
      if (!answer) ++counts->failures;
      done(std::move(answer));
    };
  }

  std::shared_ptr<StoreCounts> counts_ = std::make_shared<StoreCounts>();
  std::unique_ptr<Store> store_;
};

}  // namespace rtpool::pool
