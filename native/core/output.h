// What node:fs has no call for when a file is written.
#pragma once

#include <cstdint>

#include "core/status.h"

namespace safetensors {

// Whether an error says that the disk is full or broken: then any way to write fails. All others
// are of the call that was tried, which a file system or a sandbox may not have.
bool IsOfTheDisk(int error);

// Gives an open file `length` bytes of the disk, so that a full disk is found before anything is
// written. Where that cannot be told beforehand, nothing happens.
Status Preallocate(int descriptor, uint64_t length);

// A part of a file, and where it goes in another.
struct CopyRange {
  int source;
  uint64_t source_offset;
  int target;
  uint64_t target_offset;
  uint64_t length;
};

// Copies it: by sharing blocks where the file system has that and the offsets agree modulo its
// blocks, else inside the kernel, else through memory. ENODATA when the source ends before.
Status Copy(CopyRange range);

}  // namespace safetensors
