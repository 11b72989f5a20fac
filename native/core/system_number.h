// Numbers that the system tells in files of its own, as in /proc and /sys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace safetensors {

// The number that a file begins with; nothing where there is no such file, or no number in it.
std::optional<uint64_t> SystemNumber(const std::string& path);

}  // namespace safetensors
