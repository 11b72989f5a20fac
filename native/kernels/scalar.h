// Conversions one group of elements at a time: the scalar kernels, and the odd ends of the others.
#pragma once

#include <array>
#include <cstring>

#include "kernels/kernels.h"
#include "kernels/small_float.h"

namespace safetensors {

// Results of all patterns of a format of 8 bits and less, as bits of F32.
template <Format kFormat>
constexpr auto MakeTable() {
  constexpr size_t kBits = InfoOf(kFormat).bits;
  std::array<uint32_t, size_t{1} << kBits> table{};
  for (uint32_t pattern = 0; pattern < table.size(); pattern++) {
    if constexpr (kFormat == Format::kE8M0) {
      // 2^(pattern - 127), of which the first is a subnormal F32; the last is NaN.
      const bool edge = pattern == 0 || pattern == 255;
      table[pattern] = pattern << kF32MantissaBits | (edge ? 1u << (kF32MantissaBits - 1) : 0);
    } else {
      table[pattern] = DecodeSmall(kSmallFloat<kFormat>, pattern);
    }
  }
  return table;
}

template <Format kFormat>
inline constexpr auto kTable = MakeTable<kFormat>();

template <typename T>
T Load(const std::byte* source) {
  T value;
  std::memcpy(&value, source, sizeof value);
  return value;
}

// One group.
template <Format kFormat>
void DecodeGroup(const std::byte* source, float* target) {
  using enum Format;
  const auto load = [&]<typename T>(T) { return static_cast<float>(Load<T>(source)); };
  const auto bits = [&](uint32_t value, size_t i = 0) { target[i] = std::bit_cast<float>(value); };
  if constexpr (kFormat == kBool) {
    *target = Load<uint8_t>(source) != 0 ? 1.0f : 0.0f;
  } else if constexpr (kFormat == kF4) {
    const uint8_t pair = Load<uint8_t>(source);
    bits(kTable<kF4>[pair & 0xf], 0);
    bits(kTable<kF4>[pair >> 4], 1);
  } else if constexpr (kFormat == kF6E2M3 || kFormat == kF6E3M2) {
    const uint32_t four = Load<uint16_t>(source) | uint32_t{Load<uint8_t>(source + 2)} << 16;
    for (size_t i = 0; i < 4; i++) bits(kTable<kFormat>[four >> 6 * i & 0x3f], i);
  } else if constexpr (kFormat == kU8) {
    *target = load(uint8_t{});
  } else if constexpr (kFormat == kI8) {
    *target = load(int8_t{});
  } else if constexpr (kFormat == kI16) {
    *target = load(int16_t{});
  } else if constexpr (kFormat == kU16) {
    *target = load(uint16_t{});
  } else if constexpr (kFormat == kF16) {
    bits(DecodeSmall(kSmallFloat<kF16>, Load<uint16_t>(source)));
  } else if constexpr (kFormat == kBf16) {
    bits(uint32_t{Load<uint16_t>(source)} << 16);
  } else if constexpr (kFormat == kI32) {
    *target = load(int32_t{});
  } else if constexpr (kFormat == kU32) {
    *target = load(uint32_t{});
  } else if constexpr (kFormat == kF32) {
    bits(Load<uint32_t>(source));
  } else if constexpr (kFormat == kF64) {
    *target = load(double{});
  } else if constexpr (kFormat == kI64) {
    *target = load(int64_t{});
  } else if constexpr (kFormat == kU64) {
    // Halved where it is too large for a signed integer; the lowest bit stays, for the rounding.
    const uint64_t value = Load<uint64_t>(source);
    const uint64_t large = value >> 63;
    const auto fitting = static_cast<int64_t>(value >> large | (value & large));
    *target = static_cast<float>(fitting) * (large != 0 ? 2.0f : 1.0f);
  } else {
    bits(kTable<kFormat>[Load<uint8_t>(source)]);
  }
}

template <Format kFormat>
void DecodeScalar(const std::byte* source, float* target, size_t count) {
  constexpr FormatInfo kInfo = InfoOf(kFormat);
  for (size_t i = 0; i < count; i += kInfo.group()) {
    DecodeGroup<kFormat>(source + kInfo.bytes(i), target + i);
  }
}

template <Format kFormat>
void DecodeScaledScalar(const std::byte* source, const float* factors, float* target,
                        size_t count) {
  constexpr FormatInfo kInfo = InfoOf(kFormat);
  for (size_t i = 0; i < count; i += kInfo.group()) {
    float group[kInfo.group()];
    DecodeGroup<kFormat>(source + kInfo.bytes(i), group);
    for (size_t j = 0; j < kInfo.group(); j++) target[i + j] = group[j] * factors[i + j];
  }
}

inline void DecodeMxfp4Scalar(const std::byte* source, const float* factors, float* target,
                              size_t blocks) {
  constexpr FormatInfo kInfo = InfoOf(Format::kF4);
  for (size_t i = 0; i < blocks * kMxBlockElements; i += kInfo.group()) {
    const float factor = factors[i / kMxBlockElements];
    float group[kInfo.group()];
    DecodeGroup<Format::kF4>(source + kInfo.bytes(i), group);
    for (size_t j = 0; j < kInfo.group(); j++) target[i + j] = group[j] * factor;
  }
}

// One element.
template <Format kFormat>
uint32_t EncodeOne(uint32_t bits, bool saturate) {
  const uint32_t magnitude = bits & 0x7fffffff;
  if constexpr (kFormat == Format::kBf16) {
    constexpr uint32_t kLargest = 0x7f7f;
    if (magnitude > kF32Infinity) return bits >> 16 | 0x40;
    const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
    if (saturate && (rounded >> 16 & 0x7fff) > kLargest) return bits >> 31 << 15 | kLargest;
    return rounded >> 16;
  } else if constexpr (kFormat == Format::kE8M0) {
    // The nearest power of two; from the middle upwards, as ml_dtypes does. Neither zero nor what
    // is negative has one.
    constexpr uint32_t kNan = 255;
    constexpr uint32_t kOneAndAHalf = 0x00600000;  // times 2^-127, the smallest power: a subnormal
    if (bits == 0) return saturate ? 0 : kNan;
    if (bits != magnitude || magnitude > kF32Infinity) return kNan;
    if (bits < 1u << kF32MantissaBits) return bits < kOneAndAHalf ? 0 : 1;
    const uint32_t code = (bits + (1u << (kF32MantissaBits - 1))) >> kF32MantissaBits;
    return code == kNan && saturate ? kNan - 1 : code;
  } else {
    return EncodeSmall(kSmallFloat<kFormat>, bits, saturate);
  }
}

template <Format kFormat>
void EncodeScalar(const float* source, std::byte* target, size_t count, bool saturate) {
  constexpr size_t kBytes = InfoOf(kFormat).bits / 8;
  for (size_t i = 0; i < count; i++) {
    const uint32_t code = EncodeOne<kFormat>(std::bit_cast<uint32_t>(source[i]), saturate);
    std::memcpy(target + kBytes * i, &code, kBytes);  // little-endian, as src/dtypes.ts makes sure
  }
}

}  // namespace safetensors
