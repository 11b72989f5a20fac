// Memory of our own, which nothing is mapped to.
#pragma once

#include <cstddef>
#include <span>

namespace safetensors {

// Gives a part of large memory its pages at once, huge ones where the system has them: a page fault
// for each 4 KiB takes longer than reading what goes there (12 MB: 3.1 ms against 1.7). Whatever is
// refused here the faults will do.
void PopulatePages(std::span<std::byte> memory, size_t begin, size_t end);

}  // namespace safetensors
