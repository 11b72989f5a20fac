// One target for each part of core/ and kernels/ that takes sizes from outside. A target does what
// the input says, with arguments that the bindings would let through or that the function itself
// must refuse, and compares the results with those of plain loops. Targets may run on several
// threads at once.
#pragma once

#include "input.h"

namespace safetensors::test {

void Gathering(Input input);    // AreWithin, Gather, GatherMapped
void Kernels(Input input);      // decoding and encoding, by every set
void Blocks(Input input);       // DecodeTiles, DecodeMxfp4
void Names(Input input);        // NameIndex
void Ranges(Input input);       // Mapping; PageIn, ReadAhead, ResidentBytes, DropPages
void PagingIn(Input input);     // PageInJob
void Files(Input input);        // File::Read
void Outputs(Input input);      // Copy, Preallocate
void LargeMemory(Input input);  // PopulatePages, PreferHugePages, IsTouched, CheckEndReadable

struct Target {
  const char* name;
  void (*run)(Input input);
};

inline constexpr Target kTargets[] = {
    {"gather", Gathering}, {"kernels", Kernels}, {"blocks", Blocks},
    {"names", Names},      {"ranges", Ranges},   {"page-in", PagingIn},
    {"file", Files},       {"output", Outputs},  {"memory", LargeMemory},
};

}  // namespace safetensors::test
