// Checks that need a process of their own: what they do to it cannot be undone.
#pragma once

#include <cstdint>

namespace safetensors::test {

// Handlers of SIGBUS that were there before ours, or took its place, and never return.
void HandlersThatLeave(uint64_t rounds, uint64_t seed);

// Systems without the calls that pages are brought in and files are copied by: sandboxes that
// refuse them, kernels that are older.
void RefusedCalls(uint64_t rounds, uint64_t seed);

}  // namespace safetensors::test
