// What a target is driven by: bytes, from a fuzzer or at random, read as sizes and choices.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace safetensors::test {

class Input {
 public:
  explicit Input(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }

  // Zeros where there are no more.
  template <typename T>
  T Take() {
    T value{};
    const size_t length = std::min(sizeof value, bytes_.size());
    if (length > 0) std::memcpy(&value, bytes_.data(), length);
    bytes_ = bytes_.subspan(length);
    return value;
  }

  // 0 to `below` - 1.
  uint64_t Below(uint64_t below) {
    if (below <= 0x100) return Take<uint8_t>() % below;
    return (below <= 0x10000 ? Take<uint16_t>() : Take<uint64_t>()) % below;
  }

  bool Chance() { return Take<uint8_t>() % 2 == 1; }

  // A size as a hostile file would choose it, where `edge` is what it may not exceed: small, near
  // the edge, or anything that JavaScript can ask for. At most kMost.
  static constexpr uint64_t kMost = (uint64_t{1} << 53) - 1;
  uint64_t Size(uint64_t edge) {
    switch (Below(4)) {
      case 0:
        return Below(0x100);
      case 1:
        return Below(edge + 1);
      case 2:
        return std::min(edge + 8 - std::min<uint64_t>(Below(17), edge + 8), kMost);
      default:
        return Take<uint64_t>() & kMost;
    }
  }

  std::span<const uint8_t> Rest() const { return bytes_; }

 private:
  std::span<const uint8_t> bytes_;
};

}  // namespace safetensors::test
