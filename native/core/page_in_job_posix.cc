#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/page_in_job.h"
#include "core/thread.h"

namespace safetensors {
namespace {

// What one thread asks for at once: enough for the disk's full speed, and a few milliseconds of it.
// With the four threads of the default, small pieces fill the queue that disks have (256, mostly).
constexpr uint64_t kPieceBytes = uint64_t{16} << 20;
constexpr size_t kBatchPieces = 128;

std::vector<ByteRange> PiecesOf(const std::vector<ByteRange>& ranges) {
  std::vector<ByteRange> pieces;
  for (const ByteRange& range : ranges) {
    for (uint64_t done = 0; done < range.length; done += kPieceBytes) {
      pieces.push_back({range.offset + done, std::min(range.length - done, kPieceBytes)});
    }
  }
  return pieces;
}

// Whether that is so of nearly all bytes: what is far apart needs to be asked for.
bool AreFasterInOrder(const Mapping& mapping, const std::vector<ByteRange>& ranges) {
  uint64_t faster = 0;
  uint64_t bytes = 0;
  for (const ByteRange& range : ranges) {
    bytes += range.length;
    if (IsFasterInOrder(mapping, range)) faster += range.length;
  }
  return faster > bytes - bytes / 32;
}

}  // namespace

PageInJob::PageInJob(std::shared_ptr<Mapping> mapping, std::vector<ByteRange> ranges)
    : mapping_(std::move(mapping)), pieces_(PiecesOf(ranges)) {
  if (AreFasterInOrder(*mapping_, ranges)) in_order_.emplace(*mapping_, std::move(ranges));
}

Result<std::unique_ptr<PageInJob>> PageInJob::Start(std::shared_ptr<Mapping> mapping,
                                                    std::vector<ByteRange> ranges,
                                                    unsigned threads) {
  if (const Status status = mapping->KeepGuard(); !status.ok()) return status;
  std::unique_ptr<PageInJob> job{new PageInJob(std::move(mapping), std::move(ranges))};
  // A second would be where the system does not expect it.
  const size_t most = job->in_order_ ? 1 : threads;
  const size_t wanted = std::min(most, job->pieces_.size());
  while (job->threads_.size() < wanted && job->StartThread()) {
  }
  job->EndThread();
  // Fewer threads than wanted do as well; none do nothing.
  if (wanted > 0 && job->threads_.empty()) return Status::System(EAGAIN, "pthread_create");
  return job;
}

PageInJob::~PageInJob() {
  Cancel();
  for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
}

bool PageInJob::StartThread() {
  running_.fetch_add(1, std::memory_order_relaxed);
  const std::optional<pthread_t> thread = safetensors::StartThread(
      [](void* job) -> void* {
        static_cast<PageInJob*>(job)->Run();
        return nullptr;
      },
      this);
  if (!thread) {
    running_.fetch_sub(1, std::memory_order_relaxed);  // not the last: the starter counts too
    return false;
  }
  threads_.push_back(*thread);
  return true;
}

void PageInJob::Run() {
  while (!cancelled_.load(std::memory_order_relaxed)) {
    const auto [first, end] = NextBatch();
    if (first == end) break;
    // All of it is asked for at once, whatever read-ahead the disk is set to: the disk is busy all
    // the time, also with small pieces far apart. Then it is waited for and mapped. What is read in
    // order is not asked for.
    for (size_t piece = first; piece < end && !in_order_; ++piece) {
      ReadAhead(*mapping_, pieces_[piece]);
    }
    for (size_t piece = first; piece < end; ++piece) {
      if (cancelled_.load(std::memory_order_relaxed)) break;
      const Status status =
          in_order_ ? in_order_->PageIn(pieces_[piece]) : PageIn(*mapping_, pieces_[piece]);
      if (!status.ok()) {
        if (!failed_.exchange(true)) failure_ = status;
        Cancel();
        break;
      }
      bytes_.fetch_add(pieces_[piece].length, std::memory_order_relaxed);
    }
  }
  EndThread();
}

std::pair<size_t, size_t> PageInJob::NextBatch() {
  size_t first = next_.load(std::memory_order_relaxed);
  size_t end = first;
  do {
    uint64_t bytes = 0;
    for (end = first; end < pieces_.size() && end - first < kBatchPieces; ++end) {
      bytes += pieces_[end].length;
      if (bytes > kPieceBytes && end > first) break;
    }
  } while (!next_.compare_exchange_weak(first, end, std::memory_order_relaxed));
  return {first, end};
}

void PageInJob::EndThread() {
  if (running_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  in_order_.reset();
  mapping_.reset();
  finished_.store(true, std::memory_order_release);
}

}  // namespace safetensors
