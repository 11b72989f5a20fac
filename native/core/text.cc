#include "core/text.h"

#include <cstdint>
#include <cstring>

namespace safetensors {
namespace {

constexpr uint64_t kHigh = 0x8080808080808080;
constexpr size_t kWord = sizeof(uint64_t);
constexpr size_t kBlock = 8 * kWord;

uint64_t LoadWord(const std::byte* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, kWord);
  return word;
}

}  // namespace

size_t AsciiEnd(std::span<const std::byte> text) {
  size_t at = 0;
  for (; at + kBlock <= text.size(); at += kBlock) {
    uint64_t all = 0;
    for (size_t i = 0; i < kBlock; i += kWord) all |= LoadWord(&text[at + i]);
    if ((all & kHigh) != 0) break;
  }
  while (at < text.size() && std::to_integer<int>(text[at]) < 0x80) ++at;
  return at;
}

}  // namespace safetensors
