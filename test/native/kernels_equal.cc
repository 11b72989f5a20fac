// Every set of kernels against the scalar one, bit for bit: a program, to be run where the
// instructions are, or by an emulator. Prints a line for each set and format, and "kernels: N
// passed, M failed".
//
// Decoding: all patterns of the formats of up to 16 bits, a million of the wider ones; encoding:
// all upper halves of an F32 with every kind of lower half (ties and their neighbours). Both: each
// count of groups from 0 to 64 at each of 8 addresses of the source and 4 of the target, with
// guards around the target, through the caches and around them.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/sets.h"

namespace safetensors {
namespace {

constexpr std::byte kGuard{0xa5};
constexpr size_t kGuardBytes = 64;
constexpr size_t kShortCounts = 64;  // groups
constexpr size_t kWideElements = size_t{1} << 20;

// Marsaglia's xorshift: the same numbers everywhere.
class Random {
 public:
  uint64_t Next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

 private:
  uint64_t state_ = 0x9e3779b97f4a7c15;
};

// A target between guards, `shift` bytes behind a cache line.
class Guarded {
 public:
  Guarded(size_t bytes, size_t shift)
      : bytes_(bytes), memory_(new std::byte[bytes + 3 * kGuardBytes + shift]) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.get());
    target_ = memory_.get() + (kGuardBytes - address % kGuardBytes) + kGuardBytes + shift;
    std::memset(target_ - kGuardBytes, static_cast<int>(kGuard), bytes + 2 * kGuardBytes - shift);
    after_ = kGuardBytes - shift;
  }

  std::byte* data() const { return target_; }
  bool Intact() const {
    for (size_t i = 1; i <= kGuardBytes; i++) {
      if (target_[-static_cast<ptrdiff_t>(i)] != kGuard) return false;
    }
    for (size_t i = 0; i < after_; i++) {
      if (target_[bytes_ + i] != kGuard) return false;
    }
    return true;
  }

 private:
  size_t bytes_;
  std::unique_ptr<std::byte[]> memory_;
  std::byte* target_;
  size_t after_;
};

// All patterns where there are few; else numbers at random, most of them as dense as real ones.
std::vector<std::byte> Patterns(const FormatInfo& format) {
  Random random;
  if (format.bits == 16) {
    std::vector<std::byte> bytes(2 << 16);
    for (uint32_t i = 0; i < 1 << 16; i++) {
      const auto pattern = static_cast<uint16_t>(i);
      std::memcpy(&bytes[2 * i], &pattern, 2);
    }
    return bytes;
  }
  // Of up to 8 bits, all patterns are in it many times over, beside each other in every way.
  std::vector<std::byte> bytes(format.bytes(kWideElements));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.Next() >> 24);
  return bytes;
}

// F32 to encode: every upper half, with lower halves at and beside where rounding turns.
std::vector<float> Numbers() {
  constexpr uint16_t kLower[] = {0x0000, 0x0001, 0x0fff, 0x1000, 0x1001, 0x7fff,
                                 0x8000, 0x8001, 0xefff, 0xf000, 0xffff};
  std::vector<float> numbers;
  for (uint32_t upper = 0; upper < 1 << 16; upper++) {
    for (const uint16_t lower : kLower) {
      const uint32_t bits = upper << 16 | lower;
      float number;
      std::memcpy(&number, &bits, sizeof number);
      numbers.push_back(number);
    }
  }
  return numbers;
}

// `any_nan`: of a NaN that was multiplied only that it is one is promised.
bool Same(const std::byte* a, const std::byte* b, size_t bytes, bool any_nan) {
  if (!any_nan) return bytes == 0 || std::memcmp(a, b, bytes) == 0;
  for (size_t i = 0; i < bytes; i += sizeof(float)) {
    float x, y;
    std::memcpy(&x, a + i, sizeof x);
    std::memcpy(&y, b + i, sizeof y);
    if (std::memcmp(&x, &y, sizeof x) != 0 && !(x != x && y != y)) return false;
  }
  return true;
}

// run(kernels, source, target, count, stores) writes `target_bytes(count)`.
template <typename Run, typename Bytes>
bool Equal(const KernelSet& set, const std::vector<std::byte>& source, size_t groups, size_t group,
           size_t group_bytes, Run run, Bytes target_bytes, bool any_nan) {
  const auto compare = [&](const std::byte* from, size_t count, size_t shift, Stores stores) {
    const size_t bytes = target_bytes(count);
    const Guarded expected(bytes, 0);
    const Guarded found(bytes, shift);
    run(kScalarKernels, from, expected.data(), count, Stores::kCached);
    run(set, from, found.data(), count, stores);
    FinishStores(stores);
    return found.Intact() && Same(expected.data(), found.data(), bytes, any_nan);
  };
  for (const Stores stores : {Stores::kCached, Stores::kStreaming}) {
    if (!compare(source.data(), groups * group, 0, stores)) return false;
    for (size_t few = 0; few <= kShortCounts; few++) {
      for (size_t from = 0; from < 8; from++) {
        // Within a vector, and by the parts of one that streaming stores may begin at.
        for (const size_t shift : {0, 1, 2, 3, 4, 8, 12}) {
          // Memory that ends with the source: an analyser sees what is read beyond.
          const size_t bytes = few * group_bytes;
          const std::unique_ptr<std::byte[]> exact(new std::byte[from + bytes]);
          const size_t at = (few * 131 + from * 17) % (source.size() - bytes + 1);
          if (bytes > 0) std::memcpy(exact.get() + from, source.data() + at, bytes);
          if (!compare(exact.get() + from, few * group, shift * sizeof(float), stores))
            return false;
        }
      }
    }
  }
  return true;
}

struct Counts {
  int passed = 0;
  int failed = 0;
  void Add(const KernelSet& set, const FormatInfo& format, const char* what, bool ok) {
    std::printf("%s %s %s: %s\n", set.name, what, format.dtype, ok ? "equal" : "DIFFERS");
    (ok ? passed : failed)++;
  }
};

std::vector<float> Factors(size_t count) {
  std::vector<float> factors;
  Random random;
  for (size_t i = 0; i < count; i++) {
    const auto exponent = static_cast<int>(random.Next() >> 59) - 16;
    factors.push_back(static_cast<float>(random.Next() >> 40) * (exponent < 0 ? 0x1p-30F : 0x1p3F));
  }
  return factors;
}

size_t BytesOfFloats(size_t count) { return count * sizeof(float); }

bool Decodes(const KernelSet& set, size_t index, bool scaled) {
  const FormatInfo& format = kFormats[index];
  const auto source = Patterns(format);
  const size_t groups = source.size() / format.group_bytes();
  const auto factors = Factors(groups * format.group());
  const auto run = [&](const KernelSet& kernels, const std::byte* from, std::byte* to, size_t count,
                       Stores stores) {
    auto* const target = reinterpret_cast<float*>(to);
    if (scaled) {
      kernels.scaled[index](from, factors.data(), target, count, stores);
    } else {
      kernels.decode[index](from, target, count, stores);
    }
  };
  return Equal(set, source, groups, format.group(), format.group_bytes(), run, BytesOfFloats,
               scaled);
}

bool DecodesMxfp4(const KernelSet& set, const FormatInfo& format) {
  const auto source = Patterns(format);
  const size_t blocks = source.size() / kMxfp4BlockBytes;
  const auto factors = Factors(blocks);
  const auto run = [&](const KernelSet& kernels, const std::byte* from, std::byte* to, size_t count,
                       Stores stores) {
    kernels.mxfp4(from, factors.data(), reinterpret_cast<float*>(to), count / kMxBlockElements,
                  stores);
  };
  return Equal(set, source, blocks, kMxBlockElements, kMxfp4BlockBytes, run, BytesOfFloats, true);
}

bool Encodes(const KernelSet& set, size_t index, bool saturate) {
  const FormatInfo& format = kFormats[index];
  const auto numbers = Numbers();
  std::vector<std::byte> source(numbers.size() * sizeof(float));
  std::memcpy(source.data(), numbers.data(), source.size());
  const auto run = [&](const KernelSet& kernels, const std::byte* from, std::byte* to, size_t count,
                       Stores) {
    // F32 are at addresses that suit them.
    std::vector<float> aligned(count + 1);
    if (count > 0) std::memcpy(aligned.data(), from, count * sizeof(float));
    kernels.encode[index](aligned.data(), to, count, saturate);
  };
  const auto bytes = [&](size_t count) { return format.bytes(count); };
  return Equal(set, source, numbers.size(), 1, sizeof(float), run, bytes, false);
}

// The sets to be held against the scalar one.
std::vector<const KernelSet*> Sets() {
#ifdef SAFETENSORS_EMULATED_AVX512
  static constexpr ByFormat<EncodeKernel> kNone{};
  static const KernelSet kEmulated{"avx512, emulated", kAvx512Decoders, kAvx512Scaled, nullptr,
                                   kNone};
  return {&kEmulated};
#else
  return {AvailableKernels().begin(), AvailableKernels().end()};
#endif
}

int Main() {
  Counts counts;
  for (const KernelSet* const set : Sets()) {
    if (set == &kScalarKernels) continue;
    for (size_t i = 0; i < kFormatCount; i++) {
      const FormatInfo& format = kFormats[i];
      if (set->decode[i] != nullptr) counts.Add(*set, format, "decodes", Decodes(*set, i, false));
      if (set->scaled[i] != nullptr) counts.Add(*set, format, "scales", Decodes(*set, i, true));
      if (set->encode[i] != nullptr) {
        const bool equal = Encodes(*set, i, false) && Encodes(*set, i, true);
        counts.Add(*set, format, "encodes", equal);
      }
    }
    if (set->mxfp4 != nullptr) {
      const FormatInfo& format = InfoOf(Format::kF4);
      counts.Add(*set, format, "scales blocks of", DecodesMxfp4(*set, format));
    }
  }
  std::printf("kernels: %d passed, %d failed\n", counts.passed, counts.failed);
  return counts.failed == 0 && counts.passed > 0 ? 0 : 1;
}

}  // namespace
}  // namespace safetensors

int main() { return safetensors::Main(); }
