// Runs of bytes that lie apart.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace safetensors {

struct RunAxis {
  uint64_t count;
  int64_t stride;  // bytes from one run to the next; negative when they go backwards
};

// They are copied from a source to a target, in which they lie one behind the other.
struct Runs {
  uint64_t begin;             // of the first run, in the source
  uint64_t run_bytes;         // of each
  std::vector<RunAxis> axes;  // the innermost last
};

// Larger than any file, and small enough for sums and differences to stay within 64 bits.
constexpr uint64_t kMostBytes = uint64_t{1} << 53;

// a * b, or kMostBytes where it is more.
inline uint64_t Times(uint64_t a, uint64_t b) {
  return b != 0 && a > kMostBytes / b ? kMostBytes : a * b;
}

// Of a stride that is no more than kMostBytes to either side.
inline uint64_t Distance(int64_t stride) {
  return static_cast<uint64_t>(stride < 0 ? -stride : stride);
}

// Whether there are runs, all of them within `source_bytes`, that together fill `target_bytes`.
bool AreWithin(const Runs& runs, uint64_t source_bytes, uint64_t target_bytes);

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

}  // namespace safetensors
