// Inputs at random, the same for the same seed (SplitMix64).
#pragma once

#include <cstdint>
#include <vector>

namespace safetensors::test {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  uint64_t Below(uint64_t below) { return Next() % below; }

  std::vector<uint8_t> Bytes() {
    std::vector<uint8_t> bytes(Below(240));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(Next());
    return bytes;
  }

 private:
  uint64_t state_;
};

}  // namespace safetensors::test
