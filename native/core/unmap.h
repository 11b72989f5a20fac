// Giving ranges of addresses back.
#pragma once

#include <cstddef>
#include <cstdint>

namespace safetensors {

// Unmaps a range, whose pages nobody needs any more: at once, or soon, on another thread. Any
// thread; does not wait.
void Unmap(std::byte* begin, uint64_t length);

// Waits until what was unmapped before is gone. False: nothing was left to wait for.
bool WaitForUnmapping();

}  // namespace safetensors
