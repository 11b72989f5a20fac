#include "core/gather.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "core/in_order.h"
#include "core/memory.h"
#include "core/residency.h"

namespace safetensors {
namespace {

// Bytes of pages that are asked for at once, ahead of those that are copied. Measured on ext4: for
// runs that are apart, 1 to 64 MiB are about equally fast; where all pages are needed, this is as
// fast as reading the file from front to back, and 8 MiB are a tenth slower.
constexpr uint64_t kAheadBytes = uint64_t{32} << 20;

// What one run costs at least when it is alone on its page.
constexpr uint64_t kPageBytes = 4096;

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

// Ranges of whole pages, those that meet as one, and none twice: where rows and columns change
// places, each page is needed by every row of the target.
class PageRanges {
 public:
  PageRanges(const Runs& runs, const Mapping& mapping) : mapping_(mapping) {
    uint64_t before = 0;
    uint64_t behind = runs.run_bytes;
    for (const auto& [count, stride] : runs.axes) {
      (stride < 0 ? before : behind) += Times(count - 1, Distance(stride));
    }
    first_ = (runs.begin - before) / page_;
    known_.resize((runs.begin + behind) / page_ - first_ + 1);
  }

  void Add(uint64_t offset, uint64_t bytes) {
    const uint64_t last = (offset + bytes - 1) / page_;
    for (uint64_t page = offset / page_; page <= last; ++page) {
      if (known_[page - first_]) continue;
      known_[page - first_] = true;
      AddPage(page * page_);
    }
  }

  // Those that have been added since it was asked for them the last time.
  std::vector<ByteRange> Take() { return std::exchange(ranges_, {}); }

 private:
  void AddPage(uint64_t offset) {
    const uint64_t length = std::min(page_, mapping_.length() - offset);
    if (!ranges_.empty()) {
      ByteRange& last = ranges_.back();
      if (offset == last.offset + last.length) {
        last.length += length;
        return;
      }
      if (offset + length == last.offset) {
        last = {offset, last.length + length};
        return;
      }
    }
    ranges_.push_back({offset, length});
  }

  const Mapping& mapping_;
  const uint64_t page_ = Mapping::PageBytes();
  uint64_t first_;           // page that a run may be in
  std::vector<bool> known_;  // of each page from there on
  std::vector<ByteRange> ranges_;
};

// The pages that bytes [begin, end) of the target come from, and none before them.
std::vector<ByteRange> PagesOf(const Runs& runs, PageRanges& pages, uint64_t begin, uint64_t end) {
  ForEachPart(runs, begin, end,
              [&](int64_t offset, int64_t stride, uint64_t count, uint64_t bytes) {
                const auto between = static_cast<int64_t>(count - 1) * stride;
                if (Distance(stride) <= kPageBytes) {
                  const int64_t first = offset + std::min(between, int64_t{0});
                  return pages.Add(static_cast<uint64_t>(first), Distance(between) + bytes);
                }
                for (uint64_t i = 0; i < count; ++i) {
                  const int64_t run = offset + static_cast<int64_t>(i) * stride;
                  pages.Add(static_cast<uint64_t>(run), bytes);
                }
              });
  return pages.Take();
}

// A page fault on a page that is not in memory reads what lies around it too, as much as the disk's
// read-ahead: up to 8 MiB for a run of a few KiB. Asking for exactly the pages that will be needed
// brings in no other, and has many reads under way at once (128 MiB in runs of 8 KiB out of 1 GiB,
// cold: 0.18 s; by faults 0.65 s and 5.3 times the pages; by pread, which needs a descriptor, 1.1 s
// on one thread and 0.36 s on four; with MADV_RANDOM 3.1 s).
void AskFor(const Mapping& mapping, const std::vector<ByteRange>& pages) {
  // Linux cuts a request down to the larger of the read-ahead and what the disk takes at once, of
  // which this is the least that is usual.
  constexpr uint64_t kMostAtOnce = uint64_t{128} << 10;
  for (const auto& [offset, length] : pages) {
    for (uint64_t done = 0; done < length; done += kMostAtOnce) {
      ReadAhead(mapping, {offset + done, std::min(kMostAtOnce, length - done)});
    }
  }
}

// Waits until they are there, and maps them: lost pages are an error here, and would raise SIGBUS
// when they are touched.
Status Await(const Mapping& mapping, const std::vector<ByteRange>& pages,
             const std::optional<InOrder>& in_order) {
  for (const ByteRange& range : pages) {
    const Status status = in_order ? in_order->PageIn(range) : PageIn(mapping, range);
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

// The pages that bytes [begin, end) of the target come from, as one range, where all in it are
// needed, one after the other.
std::optional<ByteRange> RangeInOrder(const Runs& runs, uint64_t begin, uint64_t end) {
  uint64_t inner = runs.run_bytes;
  for (auto axis = runs.axes.rbegin(); axis != runs.axes.rend(); ++axis) {
    if (axis->count == 1) continue;
    if (axis->stride < 0 || Distance(axis->stride) < inner) return std::nullopt;
    if (Distance(axis->stride) - inner >= kPageBytes) return std::nullopt;
    inner = Times(axis->count, Distance(axis->stride));
  }
  if (begin == end) return std::nullopt;
  const auto first = static_cast<uint64_t>(Cursor(runs, begin).offset());
  const auto last = static_cast<uint64_t>(Cursor(runs, end - 1).offset());
  return ByteRange{first, last - first + runs.run_bytes};
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

void Gather(const Runs& runs, const std::byte* source, std::span<std::byte> target, uint64_t begin,
            uint64_t end) {
  PopulatePages(target, begin, end);
  CopyParts(runs, source, target.data(), begin, end);
}

Status GatherMapped(const Runs& runs, const Mapping& mapping, std::span<std::byte> target,
                    uint64_t begin, uint64_t end) {
  if (const Status status = mapping.KeepGuard(); !status.ok()) return status;
  std::optional<InOrder> in_order;
  if (const auto range = RangeInOrder(runs, begin, end);
      range && IsFasterInOrder(mapping, *range)) {
    in_order.emplace(mapping, std::vector{*range});
  }
  const uint64_t ahead = BytesAhead(runs);
  const auto next = [&](uint64_t at) { return end - at > ahead ? at + ahead : end; };
  uint64_t asked = next(begin);
  PageRanges needed(runs, mapping);
  std::vector<ByteRange> pages = PagesOf(runs, needed, begin, asked);
  if (!in_order) AskFor(mapping, pages);
  PopulatePages(target, begin, end);
  for (uint64_t at = begin; at < end;) {
    const uint64_t to = asked;
    asked = next(to);
    // Read while what was asked for before is copied, as is what the system reads ahead in order.
    std::vector<ByteRange> next_pages = PagesOf(runs, needed, to, asked);
    if (!in_order) AskFor(mapping, next_pages);
    if (const Status status = Await(mapping, pages, in_order); !status.ok()) return status;
    CopyParts(runs, mapping.At(0), target.data(), at, to);
    pages = std::move(next_pages);
    at = to;
  }
  return Status::Ok();
}

}  // namespace safetensors
