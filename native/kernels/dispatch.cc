// Which sets this processor can run.
#include "kernels/sets.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <emmintrin.h>
#endif

namespace safetensors {
namespace {

#if defined(__x86_64__)
bool HasAvx2AndF16c() {
  // The builtin also asks whether the system saves the registers; not every compiler's knows F16C,
  // which needs no other registers.
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __builtin_cpu_supports("avx2") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 &&
         (ecx & bit_F16C) != 0;
}

bool HasAvx512Vbmi() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vbmi");
}

KernelSet MakeAvx512Kernels() {
  KernelSet set = kAvx2Kernels;
  set.name = "avx512";
  for (size_t i = 0; i < kFormatCount; i++) {
    if (kAvx512Decoders[i] != nullptr) set.decode[i] = kAvx512Decoders[i];
    if (kAvx512Scaled[i] != nullptr) set.scaled[i] = kAvx512Scaled[i];
  }
  return set;
}
#endif

struct Sets {
  std::array<const KernelSet*, 3> sets;
  size_t count = 0;
  void Add(const KernelSet& set) { sets[count++] = &set; }
};

Sets FindSets() {
  Sets found{};
#if defined(__x86_64__)
  if (HasAvx2AndF16c()) {
    static const KernelSet kAvx512Kernels = MakeAvx512Kernels();
    if (HasAvx512Vbmi()) found.Add(kAvx512Kernels);
    found.Add(kAvx2Kernels);
  }
#elif defined(__aarch64__)
  found.Add(kNeonKernels);
#endif
  found.Add(kScalarKernels);
  return found;
}

}  // namespace

std::span<const KernelSet* const> AvailableKernels() {
  static const Sets kFound = FindSets();
  return {kFound.sets.data(), kFound.count};
}

void FinishStores(Stores stores) {
#if defined(__x86_64__)
  if (stores == Stores::kStreaming) _mm_sfence();
#else
  static_cast<void>(stores);
#endif
}

}  // namespace safetensors
