// Which pages of a mapping are in memory: bringing them in, counting them, letting them go.
#pragma once

#include <cstdint>

#include "core/mapping.h"
#include "core/status.h"

namespace safetensors {

// Bytes of a mapping. Each of these functions checks them against it once more.
struct ByteRange {
  uint64_t offset;
  uint64_t length;
};

// Reads the pages of a range into memory and maps them, so that nothing faults there afterwards.
// Blocks while the disk reads. Status::Lost: the file no longer has these pages, and which is the
// first; no signal is raised.
Status PageIn(const Mapping& mapping, ByteRange range);

// Asks for a range to be read ahead, and returns at once. Only advice.
void ReadAhead(const Mapping& mapping, ByteRange range);

// Bytes of a range whose pages are in memory, this process's or the page cache. Where the system
// does not tell of the page cache (Mapping::tells_residency), of the pages that this process has
// mapped; none where it does not tell of those either.
Result<uint64_t> ResidentBytes(const Mapping& mapping, ByteRange range);

// Gives back the pages that lie wholly in a range: they are read from the file again when they are
// touched. Writes to private copies of them are lost.
Status DropPages(const Mapping& mapping, ByteRange range);

}  // namespace safetensors
