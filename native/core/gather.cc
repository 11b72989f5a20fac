#include "core/gather.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/paging.h"

namespace safetensors {
namespace {

// Larger than any file, and small enough for sums and differences to stay within 64 bits.
constexpr uint64_t kMost = uint64_t{1} << 53;

// Bytes of pages that are asked for ahead of those that are copied. Measured on ext4: from 1 to 64
// MiB about equally fast.
constexpr uint64_t kAheadBytes = uint64_t{8} << 20;

// What one run costs at least when it is alone on its page.
constexpr uint64_t kPageBytes = 4096;

// a * b, or kMost where it is more.
uint64_t Times(uint64_t a, uint64_t b) { return b != 0 && a > kMost / b ? kMost : a * b; }

uint64_t Distance(int64_t stride) { return static_cast<uint64_t>(std::llabs(stride)); }

// Goes through runs in the order of the target.
class Cursor {
 public:
  // At the run that byte `at` of the target is in.
  Cursor(const Runs& runs, uint64_t at) : runs_(runs), digits_(runs.axes.size()) {
    uint64_t index = at / runs.run_bytes;
    offset_ = static_cast<int64_t>(runs.begin);
    for (size_t axis = runs.axes.size(); axis-- > 0;) {
      const auto& [count, stride] = runs.axes[axis];
      digits_[axis] = index % count;
      index /= count;
      offset_ += static_cast<int64_t>(digits_[axis]) * stride;
    }
  }

  // Of the run, in the source.
  int64_t offset() const { return offset_; }

  // Runs from here on along the innermost axis.
  uint64_t left() const { return digits_.empty() ? 1 : runs_.axes.back().count - digits_.back(); }

  // Goes `steps` further, at most left().
  void Advance(uint64_t steps) {
    for (size_t axis = digits_.size(); axis-- > 0;) {
      const auto& [count, stride] = runs_.axes[axis];
      digits_[axis] += steps;
      offset_ += static_cast<int64_t>(steps) * stride;
      if (digits_[axis] < count) return;
      offset_ -= static_cast<int64_t>(count) * stride;
      digits_[axis] = 0;
      steps = 1;
    }
  }

 private:
  const Runs& runs_;
  std::vector<uint64_t> digits_;
  int64_t offset_;
};

// Calls `part(offset, stride, count, bytes)` for all runs, and the parts of a first and a last,
// that bytes [begin, end) of the target come from: `count` times `bytes`, `stride` apart.
template <typename Part>
void ForEachPart(const Runs& runs, uint64_t begin, uint64_t end, Part part) {
  const int64_t stride = runs.axes.empty() ? 0 : runs.axes.back().stride;
  Cursor cursor(runs, begin);
  for (uint64_t at = begin; at < end;) {
    const uint64_t within = at % runs.run_bytes;
    const uint64_t left = end - at;
    if (within != 0 || left < runs.run_bytes) {
      const uint64_t bytes = std::min(runs.run_bytes - within, left);
      part(cursor.offset() + static_cast<int64_t>(within), 0, 1, bytes);
      cursor.Advance(1);
      at += bytes;
    } else {
      const uint64_t count = std::min(cursor.left(), left / runs.run_bytes);
      part(cursor.offset(), stride, count, runs.run_bytes);
      cursor.Advance(count);
      at += count * runs.run_bytes;
    }
  }
}

template <typename T>
void CopyElements(const std::byte* source, int64_t stride, uint64_t count, std::byte* target) {
  for (uint64_t i = 0; i < count; ++i) {
    T element;
    std::memcpy(&element, source + static_cast<int64_t>(i) * stride, sizeof(T));
    std::memcpy(target + i * sizeof(T), &element, sizeof(T));
  }
}

void CopyPart(const std::byte* source, int64_t stride, uint64_t count, uint64_t bytes,
              std::byte* target) {
  switch (bytes) {
    case 1:
      return CopyElements<uint8_t>(source, stride, count, target);
    case 2:
      return CopyElements<uint16_t>(source, stride, count, target);
    case 4:
      return CopyElements<uint32_t>(source, stride, count, target);
    case 8:
      return CopyElements<uint64_t>(source, stride, count, target);
    default:
      for (uint64_t i = 0; i < count; ++i) {
        std::memcpy(target + i * bytes, source + static_cast<int64_t>(i) * stride, bytes);
      }
  }
}

void AskFor(const Runs& runs, const std::byte* source, uint64_t begin, uint64_t end) {
  NeededPages pages;
  ForEachPart(runs, begin, end,
              [&](int64_t offset, int64_t stride, uint64_t count, uint64_t bytes) {
                const auto between = static_cast<int64_t>(count - 1) * stride;
                if (Distance(stride) <= kPageBytes) {
                  const std::byte* const first = source + offset + std::min(between, int64_t{0});
                  return pages.Add(first, Distance(between) + bytes);
                }
                for (uint64_t i = 0; i < count; ++i) {
                  pages.Add(source + offset + static_cast<int64_t>(i) * stride, bytes);
                }
              });
  pages.Ask();
}

// So many bytes of the target come from about kAheadBytes of pages.
uint64_t BytesAhead(const Runs& runs) {
  uint64_t bytes = runs.run_bytes;
  uint64_t cost = runs.run_bytes;
  for (auto axis = runs.axes.rbegin(); axis != runs.axes.rend(); ++axis) {
    bytes = Times(bytes, axis->count);
    cost = Times(axis->count, std::max(cost, std::min(Distance(axis->stride), kPageBytes)));
  }
  const double share = static_cast<double>(bytes) / static_cast<double>(cost);
  const auto ahead = static_cast<uint64_t>(share * static_cast<double>(kAheadBytes));
  if (ahead < runs.run_bytes) return std::max<uint64_t>(1, ahead);
  return ahead - ahead % runs.run_bytes;
}

void CopyParts(const Runs& runs, const std::byte* source, std::byte* target, uint64_t begin,
               uint64_t end) {
  std::byte* to = target + begin;
  ForEachPart(runs, begin, end,
              [&](int64_t offset, int64_t stride, uint64_t count, uint64_t bytes) {
                CopyPart(source + offset, stride, count, bytes, to);
                to += count * bytes;
              });
}

}  // namespace

bool AreWithin(const Runs& runs, uint64_t source_bytes, uint64_t target_bytes) {
  if (runs.run_bytes == 0 || source_bytes > kMost) return false;
  uint64_t bytes = runs.run_bytes;
  // How far runs reach to either side of the first one's beginning.
  uint64_t before = 0;
  uint64_t behind = runs.run_bytes;
  for (const auto& [count, stride] : runs.axes) {
    if (count == 0) return false;
    bytes = Times(bytes, count);
    (stride < 0 ? before : behind) += Times(count - 1, Distance(stride));
    if (bytes > source_bytes || before > runs.begin || behind > source_bytes) return false;
  }
  return bytes == target_bytes && runs.begin <= source_bytes && behind <= source_bytes - runs.begin;
}

void Gather(const Runs& runs, const std::byte* source, std::byte* target, uint64_t begin,
            uint64_t end) {
  PopulatePages({target + begin, end - begin});
  CopyParts(runs, source, target, begin, end);
}

void GatherMapped(const Runs& runs, const std::byte* source, std::byte* target, uint64_t begin,
                  uint64_t end) {
  const uint64_t ahead = BytesAhead(runs);
  const auto next = [&](uint64_t at) { return end - at > ahead ? at + ahead : end; };
  PopulatePages({target + begin, end - begin});
  uint64_t asked = next(begin);
  AskFor(runs, source, begin, asked);
  for (uint64_t at = begin; at < end;) {
    const uint64_t to = asked;
    asked = next(to);
    AskFor(runs, source, to, asked);  // read while what was asked for before is copied
    CopyParts(runs, source, target, at, to);
    at = to;
  }
}

}  // namespace safetensors
