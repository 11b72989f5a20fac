// The mapped files that a fault may be in, for a signal handler to look up.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

namespace safetensors {

// One mapped file: whole pages from `begin` up to `end`. A place in a table, used for one file
// after another. Everything is atomic, and nothing waits, for the handler's sake.
class GuardedRange {
 public:
  static constexpr uint64_t kNothing = std::numeric_limits<uint64_t>::max();

  uintptr_t begin() const { return begin_.load(std::memory_order_relaxed); }
  uintptr_t end() const { return end_.load(std::memory_order_relaxed); }

  // Where the pages end that are the file's: behind them, zeros have taken the place of lost ones.
  uintptr_t file_end() const { return file_end_.load(std::memory_order_relaxed); }
  void EndFileAt(uintptr_t address) { Lower(file_end_, address); }

  // Bytes from the start of the file to the first page that was lost, ever; kNothing for none.
  uint64_t lost_from() const { return lost_from_.load(std::memory_order_acquire); }
  void NoteLost(uintptr_t page) { Lower(lost_from_, uint64_t{page - begin()}); }

 private:
  friend class GuardedRanges;
  friend class PinnedRange;

  // What `state_` is made of. Only whoever took a place sets it live and frees it; only a live one
  // can be pinned, and one that is pinned is not freed: the low bits count.
  static constexpr uint32_t kTaken = uint32_t{1} << 31;
  static constexpr uint32_t kLive = uint32_t{1} << 30;
  static constexpr uint32_t kPins = kLive - 1;

  template <typename T>
  static void Lower(std::atomic<T>& value, T to) {
    T now = value.load(std::memory_order_relaxed);
    while (to < now && !value.compare_exchange_weak(now, to, std::memory_order_acq_rel)) {
    }
  }

  std::atomic<uint32_t> state_{0};
  std::atomic<uintptr_t> begin_{0};
  std::atomic<uintptr_t> end_{0};
  std::atomic<uintptr_t> file_end_{0};
  std::atomic<uint64_t> lost_from_{kNothing};

  static_assert(std::atomic<uint32_t>::is_always_lock_free);
  static_assert(std::atomic<uintptr_t>::is_always_lock_free);
  static_assert(std::atomic<uint64_t>::is_always_lock_free);
};

// A place that nobody frees as long as there is this: what is in it stays one file's, and stays
// mapped.
class PinnedRange {
 public:
  PinnedRange() = default;
  // Nothing when the place is free, or being taken or freed. Never waits.
  explicit PinnedRange(GuardedRange& range);
  PinnedRange(PinnedRange&& other) noexcept : range_(std::exchange(other.range_, nullptr)) {}
  PinnedRange& operator=(PinnedRange&&) = delete;
  ~PinnedRange();

  explicit operator bool() const { return range_ != nullptr; }
  GuardedRange& operator*() const { return *range_; }
  GuardedRange* operator->() const { return range_; }

 private:
  GuardedRange* range_ = nullptr;
};

// The table: places in blocks, of which there are as many as there ever were files at once. Blocks
// are never freed, and the process has one table, which outlives all threads.
//
// Any thread may call anything at any moment; a signal handler may call `At`.
class GuardedRanges {
 public:
  // From before the range is handed out until before it is unmapped. nullptr: no memory.
  static GuardedRange* Add(uintptr_t begin, uintptr_t end);

  // Waits for handlers that have the range pinned: afterwards none touches it any more. Not for a
  // handler.
  static void Remove(GuardedRange& range);

  // The range that an address is in.
  static PinnedRange At(uintptr_t address);

  // As GuardedRange::lost_from, of the first range that has memory [begin, end) and has lost pages.
  static uint64_t LostFrom(uintptr_t begin, uintptr_t end);

 private:
  static constexpr size_t kBlockRanges = 256;
  struct Block {
    std::array<GuardedRange, kBlockRanges> ranges;
    std::atomic<Block*> next{nullptr};
  };

  static Block* After(Block& block);

  // Goes through all that are live and have bytes of [begin, end), pinned, until `visit` is true.
  template <typename Visit>
  static PinnedRange Find(uintptr_t begin, uintptr_t end, Visit visit);

  static Block first_;
};

}  // namespace safetensors
