// Elements for the benchmarks of the pool: all usable, of various loads and weights.
#pragma once

#include <string>
#include <vector>

#include "pool/pool_element.h"

namespace rtpool::bench {

inline pool::PoolElement element(std::size_t number) {
  pool::PoolElement element;
  element.name = "relay-" + std::to_string(number);
  element.id = pool::element_id(element.name);
  element.endpoint = "10.0.0.1:7410";
  element.epoch = 1;
  element.load = static_cast<std::uint32_t>(number * 2'654'435'761U) / 2;
  element.values.weight = static_cast<std::uint32_t>(1 + number % 10);
  element.values.priority = static_cast<std::uint32_t>(number % 4);
  element.values.capacity = 1'000;
  return element;
}

inline std::vector<pool::PoolElement> elements(std::size_t count) {
  std::vector<pool::PoolElement> all;
  all.reserve(count);
  for (std::size_t i = 0; i < count; ++i) all.push_back(element(i));
  return all;
}

}  // namespace rtpool::bench
