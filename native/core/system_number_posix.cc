#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "core/system_number.h"

namespace safetensors {

std::optional<uint64_t> SystemNumber(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::array<char, 32> text{};
  const ssize_t length = read(file, text.data(), text.size());
  close(file);
  uint64_t number = 0;
  if (length <= 0 || std::from_chars(text.data(), text.data() + length, number).ec != std::errc()) {
    return std::nullopt;
  }
  return number;
}

}  // namespace safetensors
