#include "relay/io/entropy.h"

#include <sys/random.h>

#include <cerrno>

#include "relay/base/assert.h"

namespace rtpool::io {

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  ssize_t got = 0;
  do {
    got = getrandom(&seed, sizeof seed, 0);
  } while (got < 0 && errno == EINTR);
  // Requests of up to 256 bytes are never short once the generator is seeded (getrandom(2)).
  RTPOOL_ASSERT(got == sizeof seed);
  return seed;
}

}  // namespace rtpool::io
