// What the system a file is on means for mapping it.
#pragma once

#include <string>

#include "core/file.h"

namespace safetensors {

// Whether a mapping of a file there may lose its pages, or stand still, for reasons that are far
// away: the file is on another machine, or with another process. False where the system does not
// tell.
bool IsRiskyToMap(const File& file);
bool IsRiskyToMap(const std::string& path);

// Whether mmap refused with this because it cannot map the file here, where reading still can.
bool IsMapRefusal(int error);

}  // namespace safetensors
