#include "core/text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace safetensors {
namespace {

constexpr uint64_t kHigh = 0x8080808080808080;
constexpr size_t kWord = sizeof(uint64_t);
static_assert(std::endian::native == std::endian::little);

uint64_t LoadWord(const std::byte* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, kWord);
  return word;
}

// A bit for each byte of a block, the first byte's lowest: whether it is to be noted, and whether
// it is over 0x7f.
struct BlockBits {
  uint64_t marked = 0;
  uint64_t high = 0;
};

constexpr size_t kBlock = 64;

#ifdef __SSE2__

// Part of every x86-64.
BlockBits LookAt(const std::byte* block) {
  constexpr size_t kLane = sizeof(__m128i);
  const __m128i last_control = _mm_set1_epi8(0x1f);
  BlockBits bits;
  for (size_t at = 0; at < kBlock; at += kLane) {
    const __m128i lane = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + at));
    const __m128i marked =
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(lane, _mm_set1_epi8('"')),
                                  _mm_cmpeq_epi8(lane, _mm_set1_epi8('\\'))),
                     _mm_cmpeq_epi8(_mm_max_epu8(lane, last_control), last_control));
    bits.marked |= uint64_t{static_cast<uint32_t>(_mm_movemask_epi8(marked))} << at;
    bits.high |= uint64_t{static_cast<uint32_t>(_mm_movemask_epi8(lane))} << at;
  }
  return bits;
}

#else

constexpr uint64_t kEach = 0x0101010101010101;

// The highest bit of each byte that is zero. (The shorter tests for a zero byte are right about the
// first alone.)
uint64_t ZeroBytes(uint64_t word) { return ~(((word & ~kHigh) + ~kHigh) | word) & kHigh; }

// The highest bit of each byte, as one bit each.
uint64_t Gather(uint64_t high_bits) { return ((high_bits >> 7) * 0x0102040810204080) >> 56; }

BlockBits LookAt(const std::byte* block) {
  BlockBits bits;
  for (size_t at = 0; at < kBlock; at += kWord) {
    const uint64_t word = LoadWord(block + at);
    const uint64_t marked = ZeroBytes(word ^ ('"' * kEach)) | ZeroBytes(word ^ ('\\' * kEach)) |
                            ZeroBytes(word & (0xe0 * kEach));
    bits.marked |= Gather(marked) << at;
    bits.high |= Gather(word & kHigh) << at;
  }
  return bits;
}

#endif

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

void TextMarker::MarkUpTo(std::span<const std::byte> text, size_t end) {
  uint64_t high = 0;
  for (; position_ + kBlock <= end; position_ += kBlock) {
    const BlockBits bits = LookAt(&text[position_]);
    high |= bits.high;
    Mark(bits.marked, position_);
  }
  if (position_ < end) {
    std::array<std::byte, kBlock> block;
    block.fill(std::byte{' '});
    std::ranges::copy(text.subspan(position_, end - position_), block.begin());
    const BlockBits bits = LookAt(block.data());
    high |= bits.high;
    Mark(bits.marked, position_);
    position_ = end;
  }
  if (high != 0) is_ascii_ = false;
}

void TextMarker::Mark(uint64_t bits, size_t position) {
  for (; bits != 0 && count_ < marks_.size(); bits &= bits - 1) {
    const auto byte = static_cast<size_t>(std::countr_zero(bits));
    marks_[count_++] = static_cast<int32_t>(position + byte);
  }
}

}  // namespace safetensors
