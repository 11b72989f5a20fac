// What several threads do at once with what they share.
#pragma once

#include <cstdint>

namespace safetensors::test {

// Every target on every thread.
void TargetsOnThreads(uint64_t rounds, uint64_t seed);

// One mapping: gathered from, decoded, paged in and counted by threads that let go of it in any
// order, while whoever opened it closes it.
void SharedMapping(uint64_t rounds, uint64_t seed);

// Files mapped into one range at once.
void SharedRange(uint64_t rounds, uint64_t seed);
// Threads that let go of large files at once, while they use others.
void SharedUnmapping(uint64_t rounds, uint64_t seed);

// A guarded file is read while it is cut short, and others are opened and closed.
void LostPages(uint64_t rounds, uint64_t seed);

// The table of guarded ranges, filled and emptied while others look in it.
void GuardedPlaces(uint64_t rounds, uint64_t seed);

}  // namespace safetensors::test
