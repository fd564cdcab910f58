#include "relay/base/cores.h"

#include <gtest/gtest.h>

#include <thread>

namespace rtpool {
namespace {

TEST(Cores, AreWrittenAsTheyAreGiven) {
  EXPECT_EQ(format_cores({}), "");
  const std::vector<std::uint32_t> cores{0, 2, 3, 4, 9, 8};
  EXPECT_EQ(format_cores(cores), "0,2-4,9,8");
}

TEST(Cores, AThreadStaysWhereItIsPutAndTheOthersDoNot) {
  const auto usable = usable_cores();
  ASSERT_FALSE(usable.empty());
  for (const std::uint32_t core : usable) {
    std::vector<std::uint32_t> seen;
    std::thread([&] {
      EXPECT_TRUE(stay_on_core(core));
      seen = usable_cores();
    }).join();
    EXPECT_EQ(seen, std::vector<std::uint32_t>{core});
  }
  EXPECT_EQ(usable_cores(), usable);
}

TEST(Cores, OneThatThereIsNotIsRefused) {
  std::thread([] {
    EXPECT_FALSE(stay_on_core(kMaxCores - 1));
    EXPECT_FALSE(stay_on_core(kMaxCores));
  }).join();
}

}  // namespace
}  // namespace rtpool
