// What libFuzzer calls; the target is named by the environment, so that all share one program.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "targets.h"

namespace {

using namespace safetensors::test;

const Target& Chosen() {
  const char* const name = std::getenv("FUZZ_TARGET");
  for (const Target& target : kTargets) {
    if (name != nullptr && std::string_view(name) == target.name) return target;
  }
  std::fprintf(stderr, "FUZZ_TARGET is none of:");
  for (const Target& target : kTargets) std::fprintf(stderr, " %s", target.name);
  std::fprintf(stderr, "\n");
  std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  static const Target& target = Chosen();
  target.run(Input({bytes, length}));
  return 0;
}
