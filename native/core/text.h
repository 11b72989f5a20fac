// Text by its bytes. What it means is not decided here.
#pragma once

#include <cstddef>
#include <span>

namespace safetensors {

// Where the first byte stands that is over 0x7f; the size of the text when there is none.
size_t AsciiEnd(std::span<const std::byte> text);

}  // namespace safetensors
