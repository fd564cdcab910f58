// Histories of a pool in simulated time (world.h), and the properties that must hold in each
// (checks.cc).
//
//   pool_sim                  a hundred seeds from 1
//   pool_sim --seeds 1000     that many
//   pool_sim --seed 42        that one, with its events
//   pool_sim --mutate NAME    breaks the pool on purpose: succeeds if the check that is named for
//                             that is the first to fail in one of these histories
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "tests/sim/world.h"

namespace rtpool::sim {
namespace {

constexpr std::uint64_t kDefaultSeeds = 100;

int usage() {
  std::fprintf(stderr,
               "usage: pool_sim [--seed N | --seeds COUNT] [--mutate NAME]\n"
               "mutations, with the check that sees each:\n");
  for (const auto& known : kMutations) {
    std::fprintf(stderr, "  %-18s %s\n", std::string(known.name).c_str(),
                 std::string(known.caught_by).c_str());
  }
  return 2;
}

bool read_number(const char* text, std::uint64_t& number) {
  const char* end = text + std::strlen(text);
  const auto result = std::from_chars(text, end, number);
  return result.ec == std::errc{} && result.ptr == end;
}

struct Arguments {
  std::uint64_t first = 1;
  std::uint64_t count = kDefaultSeeds;
  bool verbose = false;
  const NamedMutation* mutation = nullptr;
};

bool read(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    if (flag == "--seed" && read_number(argv[i + 1], arguments.first)) {
      arguments.count = 1;
      arguments.verbose = true;
    } else if (flag == "--mutate") {
      for (const auto& known : kMutations) {
        if (known.name == argv[i + 1]) arguments.mutation = &known;
      }
      if (arguments.mutation == nullptr) return false;
    } else if (flag != "--seeds" || !read_number(argv[i + 1], arguments.count)) {
      return false;
    }
  }
  return argc % 2 == 1;
}

int run(const Arguments& arguments) {
  const Mutation mutation =
      arguments.mutation == nullptr ? Mutation::none : arguments.mutation->mutation;
  for (std::uint64_t seed = arguments.first; seed < arguments.first + arguments.count; ++seed) {
    const std::string failure = World(seed, mutation, arguments.verbose).run();
    if (failure.empty()) continue;
    const auto number = static_cast<unsigned long long>(seed);
    std::printf("seed %llu: %s\n", number, failure.c_str());
    if (arguments.mutation == nullptr) {
      std::printf("repeat with: pool_sim --seed %llu\n", number);
      return 1;
    }
    const std::string_view check = arguments.mutation->caught_by;
    if (failure.compare(0, check.size(), check) == 0) {
      std::printf("%s is seen by %s\n", std::string(arguments.mutation->name).c_str(),
                  std::string(check).c_str());
      return 0;
    }
  }
  if (arguments.mutation != nullptr) {
    std::printf("%s is not seen by %s\n", std::string(arguments.mutation->name).c_str(),
                std::string(arguments.mutation->caught_by).c_str());
    return 1;
  }
  std::printf("%llu histories from seed %llu: all properties held\n",
              static_cast<unsigned long long>(arguments.count),
              static_cast<unsigned long long>(arguments.first));
  return 0;
}

}  // namespace
}  // namespace rtpool::sim

int main(int argc, char** argv) {
  rtpool::sim::Arguments arguments;
  if (!rtpool::sim::read(argc, argv, arguments)) return rtpool::sim::usage();
  return rtpool::sim::run(arguments);
}
