// A row of values of which the join of all is always known: the lowest, the sum. Changing one value
// costs the logarithm of the row's length. Join is associative, Value{} its neutral element.
// Allocates only in resize(), and there only beyond the greatest length so far.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace rtpool::pool {

template <class Value, class Join>
class JoinTree {
 public:
  // New places hold Value{}.
  void resize(std::size_t size) {
    for (std::size_t i = size; i < size_; ++i) set(i, Value{});
    size_ = size;
    if (size <= leaves_) return;
    std::vector<Value> old = std::exchange(nodes_, {});
    const std::size_t kept = leaves_;
    if (leaves_ == 0) leaves_ = 1;
    while (leaves_ < size) leaves_ *= 2;
    nodes_.resize(2 * leaves_);
    for (std::size_t i = 0; i < kept; ++i) nodes_[leaves_ + i] = std::move(old[kept + i]);
    for (std::size_t i = leaves_ - 1; i > 0; --i) nodes_[i] = join(i);
  }

  void set(std::size_t index, const Value& value) {
    std::size_t node = leaves_ + index;
    nodes_[node] = value;
    while (node > 1) {
      node /= 2;
      nodes_[node] = join(node);
    }
  }

  [[nodiscard]] Value all() const { return leaves_ == 0 ? Value{} : nodes_[1]; }

  // For sums: the place in which `at`, below the sum of all, falls.
  [[nodiscard]] std::size_t place(Value at) const {
    std::size_t node = 1;
    while (node < leaves_) {
      node *= 2;
      if (at < nodes_[node]) continue;
      at -= nodes_[node++];
    }
    return node - leaves_;
  }

 private:
  [[nodiscard]] Value join(std::size_t node) const {
    return Join{}(nodes_[2 * node], nodes_[2 * node + 1]);
  }

  std::size_t size_ = 0;
  std::size_t leaves_ = 0;    // a power of two
  std::vector<Value> nodes_;  // [1] is the root, [leaves_ + i] the value in place i
};

}  // namespace rtpool::pool
