// One target for each part of core/ and kernels/ that takes sizes from outside. A target does what
// the input says, with arguments that the bindings would let through or that the function itself
// must refuse, and compares the results with those of plain loops. Targets may run on several
// threads at once.
#pragma once

#include "input.h"

namespace safetensors::test {

// What of core/ and kernels/ takes sizes, places or texts from outside, and what drives it:
void Gathering(Input input);    // AreWithin, Gather, GatherMapped; Cursor and ForEachPart by those
void Kernels(Input input);      // the kernels of decoding and encoding, of every set
void Blocks(Input input);       // DecodeTiles, DecodeMxfp4; the scaled kernels
void Names(Input input);        // NameIndex
void Entries(Input input);      // TakeUp; ShapeText by that
void Texts(Input input);        // AsciiEnd
void Ranges(Input input);       // Mapping::Reserve, MapFile, Contains; PageIn, ReadAhead,
                                // ResidentBytes, DropPages
void PagingIn(Input input);     // PageInJob
void Losses(Input input);       // Mapping::Guard, LostFrom; FaultGuard::Watch, LostFrom, NoteLost;
                                // CheckEndReadable of mapped memory; the handler; GuardedRanges
void Files(Input input);        // File::Read
void Paths(Input input);        // File::Open, File::Look, IsRiskyToMap
void Outputs(Input input);      // Copy, Preallocate
void Directs(Input input);      // DirectOutput::Open, Write; StagingMemory
void LargeMemory(Input input);  // PopulatePages, PreferHugePages, IsTouched, IsReadable,
                                // CheckEndReadable
// And what does not: KeepFaultHandler, SetPreviousHandler, CallPreviousHandler (alone.h drives
// them), IsMapRefusal, AvailableKernels, FinishStores.

struct Target {
  const char* name;
  void (*run)(Input input);
};

inline constexpr Target kTargets[] = {
    {"gather", Gathering}, {"kernels", Kernels},    {"blocks", Blocks}, {"names", Names},
    {"entries", Entries},  {"text", Texts},         {"ranges", Ranges}, {"page-in", PagingIn},
    {"losses", Losses},    {"file", Files},         {"paths", Paths},   {"output", Outputs},
    {"direct", Directs},   {"memory", LargeMemory},
};

}  // namespace safetensors::test
