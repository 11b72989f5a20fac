// The number formats that there are kernels for, named as dtypes of the file format.
//
// F16 is IEEE 754 binary16, BF16 the upper half of an F32. F8_E4M3 and F8_E5M2: arXiv 2209.05433;
// the FNUZ pair (no infinities, no negative zero, whose pattern is the only NaN): arXiv 2206.02915;
// F8_E8M0, F6_* and F4 (E2M1): OCP Microscaling Formats (MX) v1.0, which packs nothing itself:
// elements under 8 bits are a little-endian stream of bits here, the first in the lowest bits, as
// the reference has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace safetensors {

enum class Format : uint8_t {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kE5M2,
  kE4M3,
  kE8M0,
  kE4M3Fnuz,
  kE5M2Fnuz,
  kI16,
  kU16,
  kF16,
  kBf16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64,
};

struct FormatInfo {
  const char* dtype;
  size_t bits;  // of an element

  // The fewest elements that fill whole bytes: kernels take multiples of it.
  constexpr size_t group() const { return bits == 4 ? 2 : bits == 6 ? 4 : 1; }
  constexpr size_t group_bytes() const { return group() * bits / 8; }
  // Of a multiple of a group.
  constexpr size_t bytes(size_t count) const { return count / group() * group_bytes(); }
};

// In the order of Format.
inline constexpr FormatInfo kFormats[] = {
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"F64", 64},    {"I64", 64},
    {"U64", 64},
};
inline constexpr size_t kFormatCount = std::size(kFormats);
static_assert(kFormatCount == static_cast<size_t>(Format::kU64) + 1);

constexpr const FormatInfo& InfoOf(Format format) { return kFormats[static_cast<size_t>(format)]; }

}  // namespace safetensors
