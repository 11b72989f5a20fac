// Pages of memory by its address, whosever it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.h"

namespace safetensors {

// Gives a part of large memory its pages at once, huge ones where the system has them: a page fault
// for each 4 KiB takes longer than reading what goes there (12 MB: 3.1 ms against 1.7). Whatever is
// refused here the faults will do.
void PopulatePages(std::span<std::byte> memory, size_t begin, size_t end);

// Only asks for huge pages, for when they are touched.
void PreferHugePages(std::span<std::byte> memory);

// Whether memory has been touched before, as far as its middle tells. True where the system cannot
// say.
bool IsTouched(std::span<const std::byte> memory);

// Whether a page can be read, without the signal that reading it would raise. Reads it into memory
// and maps it, and waits for the disk as long as that takes. For handlers of signals too.
bool IsReadable(uintptr_t page);

// Whether the last page of memory that is to be read is there: EFAULT where it is mapped from a
// file that became shorter, and reading it would raise a signal; of a guarded file, with the place
// in it of the first page that is lost. When the last is there, so are those before it. (All of
// them through the system takes as long as decoding them: 50 us for each MiB.) Says nothing of what
// happens later.
Status CheckEndReadable(std::span<const std::byte> memory);

}  // namespace safetensors
