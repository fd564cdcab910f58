// Integers that name things, each its own type: a StreamId can't be passed where a LegId is meant.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace rtpool {

template <class Tag, class Rep = std::uint32_t>
struct StrongId {
  using rep = Rep;
  Rep value{};

  constexpr auto operator<=>(const StrongId&) const = default;
  // Ids count from 1; 0 names nothing.
  [[nodiscard]] constexpr bool valid() const { return value != 0; }
};

}  // namespace rtpool

template <class Tag, class Rep>
struct std::hash<rtpool::StrongId<Tag, Rep>> {
  std::size_t operator()(const rtpool::StrongId<Tag, Rep>& id) const noexcept {
    return std::hash<Rep>{}(id.value);
  }
};
