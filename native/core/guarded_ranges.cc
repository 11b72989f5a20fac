#include "core/guarded_ranges.h"

#include <sched.h>

#include <memory>
#include <new>

namespace safetensors {

constinit GuardedRanges::Block GuardedRanges::first_;

PinnedRange::PinnedRange(GuardedRange& range) {
  uint32_t state = range.state_.load(std::memory_order_acquire);
  while ((state & GuardedRange::kLive) != 0) {
    if (range.state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire)) {
      range_ = &range;
      return;
    }
  }
}

PinnedRange::~PinnedRange() {
  if (range_ != nullptr) range_->state_.fetch_sub(1, std::memory_order_release);
}

GuardedRange* GuardedRanges::Add(uintptr_t begin, uintptr_t end) {
  for (Block* block = &first_; block != nullptr; block = After(*block)) {
    for (GuardedRange& range : block->ranges) {
      if (range.state_.load(std::memory_order_relaxed) != 0) continue;
      uint32_t free = 0;
      if (!range.state_.compare_exchange_strong(free, GuardedRange::kTaken,
                                                std::memory_order_acquire)) {
        continue;
      }
      range.begin_.store(begin, std::memory_order_relaxed);
      range.end_.store(end, std::memory_order_relaxed);
      range.file_end_.store(end, std::memory_order_relaxed);
      range.lost_from_.store(GuardedRange::kNothing, std::memory_order_relaxed);
      range.state_.store(GuardedRange::kTaken | GuardedRange::kLive, std::memory_order_release);
      return &range;
    }
  }
  return nullptr;
}

void GuardedRanges::Remove(GuardedRange& range) {
  // From here on nobody pins it.
  range.state_.fetch_and(~GuardedRange::kLive, std::memory_order_acq_rel);
  while ((range.state_.load(std::memory_order_acquire) & GuardedRange::kPins) != 0) sched_yield();
  range.state_.store(0, std::memory_order_release);
}

PinnedRange GuardedRanges::At(uintptr_t address) {
  return Find(address, address + 1, [](const GuardedRange&) { return true; });
}

uint64_t GuardedRanges::LostFrom(uintptr_t begin, uintptr_t end) {
  const auto has_lost = [](const GuardedRange& range) {
    return range.lost_from() != GuardedRange::kNothing;
  };
  const PinnedRange found = Find(begin, end, has_lost);
  return found ? found->lost_from() : GuardedRange::kNothing;
}

GuardedRanges::Block* GuardedRanges::After(Block& block) {
  Block* next = block.next.load(std::memory_order_acquire);
  if (next != nullptr) return next;
  std::unique_ptr<Block> fresh{new (std::nothrow) Block};
  if (fresh == nullptr) return nullptr;
  // Unless another thread was faster, whose block is `next` then.
  if (!block.next.compare_exchange_strong(next, fresh.get(), std::memory_order_acq_rel)) {
    return next;
  }
  return fresh.release();
}

template <typename Visit>
PinnedRange GuardedRanges::Find(uintptr_t begin, uintptr_t end, Visit visit) {
  for (Block* block = &first_; block != nullptr;
       block = block->next.load(std::memory_order_acquire)) {
    for (GuardedRange& range : block->ranges) {
      // A look without pinning: a place that is another's meanwhile is not one of those that are
      // asked for, since their memory is in use.
      if (range.begin() >= end || range.end() <= begin) continue;
      PinnedRange pinned(range);
      if (pinned && range.begin() < end && range.end() > begin && visit(range)) return pinned;
    }
  }
  return {};
}

}  // namespace safetensors
