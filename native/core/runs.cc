#include "core/runs.h"

namespace safetensors {

bool AreWithin(const Runs& runs, uint64_t source_bytes, uint64_t target_bytes) {
  if (runs.run_bytes == 0 || source_bytes > kMostBytes) return false;
  uint64_t bytes = runs.run_bytes;
  // How far runs reach to either side of the first one's beginning.
  uint64_t before = 0;
  uint64_t behind = runs.run_bytes;
  for (const auto& [count, stride] : runs.axes) {
    if (count == 0) return false;
    bytes = Times(bytes, count);
    (stride < 0 ? before : behind) += Times(count - 1, Distance(stride));
    // Runs may overlap, and be more bytes than their source: a stride of 0 repeats one.
    if (before > runs.begin || behind > source_bytes) return false;
  }
  return bytes == target_bytes && runs.begin <= source_bytes && behind <= source_bytes - runs.begin;
}

}  // namespace safetensors
