// checks                        prints the names of all checks
// checks NAME ROUNDS SEED       runs one; ends with 0 when nothing was found
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "alone.h"
#include "random.h"
#include "targets.h"
#include "threads.h"

namespace {

using namespace safetensors::test;

struct Check {
  const char* name;
  void (*run)(uint64_t rounds, uint64_t seed);
};

constexpr Check kOtherChecks[] = {
    {"targets-on-threads", TargetsOnThreads},
    {"shared-mapping", SharedMapping},
    {"shared-range", SharedRange},
    {"shared-unmapping", SharedUnmapping},
    {"shared-lost-pages", LostPages},
    {"shared-places", GuardedPlaces},
    {"handlers-that-leave", HandlersThatLeave},
    {"refused-calls", RefusedCalls},
};

int Run(std::string_view name, uint64_t rounds, uint64_t seed) {
  for (const Check& check : kOtherChecks) {
    if (name == check.name) return check.run(rounds, seed), 0;
  }
  for (const Target& target : kTargets) {
    if (name != target.name) continue;
    Random random(seed);
    for (uint64_t round = 0; round < rounds; round++) {
      const std::vector<uint8_t> bytes = random.Bytes();
      target.run(Input(bytes));
    }
    return 0;
  }
  std::fprintf(stderr, "no such check\n");
  return 2;
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 4) {
    return Run(arguments[1], std::strtoull(arguments[2], nullptr, 10),
               std::strtoull(arguments[3], nullptr, 10));
  }
  for (const Target& target : kTargets) std::printf("%s\n", target.name);
  for (const Check& check : kOtherChecks) std::printf("%s\n", check.name);
  return count == 1 ? 0 : 2;
}
