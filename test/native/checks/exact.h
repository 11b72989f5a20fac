// Memory of exactly so many bytes, at any address: AddressSanitizer sees the first byte beyond.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace safetensors::test {

template <typename T>
class Exact {
 public:
  // `shift` bytes behind an address that suits every type.
  explicit Exact(size_t count, size_t shift = 0)
      : bytes_(new std::byte[shift + count * sizeof(T)]), shift_(shift), count_(count) {
    std::memset(bytes_.get(), 0xa5, shift + count * sizeof(T));
  }

  T* data() const { return reinterpret_cast<T*>(bytes_.get() + shift_); }
  size_t size() const { return count_; }
  std::span<T> span() const { return {data(), count_}; }
  size_t bytes() const { return count_ * sizeof(T); }

  // `from` again and again; numbers that differ where there is nothing.
  void FillFrom(std::span<const uint8_t> from) const {
    auto* const to = reinterpret_cast<uint8_t*>(data());
    for (size_t i = 0; i < bytes(); i++) {
      to[i] = from.empty() ? static_cast<uint8_t>(i * 31 + (i >> 8)) : from[i % from.size()];
    }
  }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  size_t shift_;
  size_t count_;
};

}  // namespace safetensors::test
