#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/page_in_job.h"

namespace safetensors {
namespace {

// What one thread pages in between two looks at `cancelled_`: enough for the disk's full speed, and
// a few milliseconds of it.
constexpr uint64_t kPieceBytes = uint64_t{16} << 20;

std::vector<ByteRange> PiecesOf(const std::vector<ByteRange>& ranges) {
  std::vector<ByteRange> pieces;
  for (const ByteRange& range : ranges) {
    for (uint64_t done = 0; done < range.length; done += kPieceBytes) {
      pieces.push_back({range.offset + done, std::min(range.length - done, kPieceBytes)});
    }
  }
  return pieces;
}

}  // namespace

Result<std::unique_ptr<PageInJob>> PageInJob::Start(std::shared_ptr<Mapping> mapping,
                                                    std::vector<ByteRange> ranges,
                                                    unsigned threads) {
  std::unique_ptr<PageInJob> job{new PageInJob(std::move(mapping), PiecesOf(ranges))};
  const size_t wanted = std::min<size_t>(threads, job->pieces_.size());
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
  // Signals are for the threads of Node.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  running_.fetch_add(1, std::memory_order_relaxed);
  pthread_t thread{};
  const int error = pthread_create(
      &thread, nullptr,
      [](void* job) -> void* {
        static_cast<PageInJob*>(job)->Run();
        return nullptr;
      },
      this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    running_.fetch_sub(1, std::memory_order_relaxed);  // not the last: the starter counts too
    return false;
  }
  threads_.push_back(thread);
  return true;
}

void PageInJob::Run() {
  while (!cancelled_.load(std::memory_order_relaxed)) {
    const size_t piece = next_.fetch_add(1, std::memory_order_relaxed);
    if (piece >= pieces_.size()) break;
    // The whole piece is asked for at once, whatever read-ahead the disk is set to; then waited for
    // and mapped.
    ReadAhead(*mapping_, pieces_[piece]);
    const Status status = PageIn(*mapping_, pieces_[piece]);
    if (!status.ok()) {
      if (!failed_.exchange(true)) failure_ = Failure{status, pieces_[piece].offset};
      Cancel();
      break;
    }
    bytes_.fetch_add(pieces_[piece].length, std::memory_order_relaxed);
  }
  EndThread();
}

void PageInJob::EndThread() {
  if (running_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  mapping_.reset();
  finished_.store(true, std::memory_order_release);
}

}  // namespace safetensors
