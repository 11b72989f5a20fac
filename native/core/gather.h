// Copying runs of bytes that lie apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/mapping.h"
#include "core/runs.h"
#include "core/status.h"

namespace safetensors {

// Copies runs to `target`, which they fill: of all its bytes those from `begin` to `end`. Only for
// what AreWithin has said yes to.
void Gather(const Runs& runs, const std::byte* source, std::span<std::byte> target, uint64_t begin,
            uint64_t end);

// The same from the files of a mapping. Reads the pages that it needs into memory, and no others.
// EFAULT: a file no longer has them.
Status GatherMapped(const Runs& runs, const Mapping& mapping, std::span<std::byte> target,
                    uint64_t begin, uint64_t end);

}  // namespace safetensors
