// Paging in, on threads of its own.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/in_order.h"
#include "core/residency.h"

namespace safetensors {

// Pages in some ranges of a mapping, in their order, a piece at a time. Whoever started it asks now
// and then how far it is. Not libuv's threads: Node waits for those when it exits, and other work
// waits for them meanwhile.
//
// Owns its threads and shares the mapping, which nobody unmaps before they have ended. Destroying
// it cancels what is left and waits for the pieces in hand. All methods are for one thread.
class PageInJob {
 public:
  // Nothing is running when it fails: EAGAIN, no thread could be started. Uses fewer threads than
  // it may where that is faster.
  static Result<std::unique_ptr<PageInJob>> Start(std::shared_ptr<Mapping> mapping,
                                                  std::vector<ByteRange> ranges, unsigned threads);

  PageInJob(const PageInJob&) = delete;
  PageInJob& operator=(const PageInJob&) = delete;
  ~PageInJob();

  // Bytes of the ranges that are in memory so far.
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // Whether all is done, has failed or was cancelled.
  bool finished() const { return finished_.load(std::memory_order_acquire); }

  // What went wrong first; meaningful when it has finished.
  const std::optional<Status>& failure() const { return failure_; }

  // The piece in hand of each thread is its last. Does not wait.
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }

 private:
  PageInJob(std::shared_ptr<Mapping> mapping, std::vector<ByteRange> ranges);

  bool StartThread();
  void Run();
  // The pieces that a thread takes next, from the first to before the second; none: all are taken.
  std::pair<size_t, size_t> NextBatch();
  void EndThread();

  std::shared_ptr<Mapping> mapping_;
  const std::vector<ByteRange> pieces_;
  std::optional<InOrder> in_order_;  // of all ranges, if that is faster
  std::vector<pthread_t> threads_;
  std::atomic<size_t> next_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<unsigned> running_{1};  // threads, and whoever is starting them
  std::atomic<bool> finished_{false};
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> failed_{false};  // whoever sets it writes failure_
  std::optional<Status> failure_;
};

}  // namespace safetensors
