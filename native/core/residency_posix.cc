#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <vector>

#include "core/memory.h"
#include "core/residency.h"

#if defined(__linux__) && !defined(MADV_POPULATE_READ)
#define MADV_POPULATE_READ 22  // linux/mman.h of Linux 5.14
#endif

namespace safetensors {
namespace {

// Whole pages: those that a range touches, or those that lie in it.
ByteRange TouchedPages(ByteRange range) {
  const uint64_t page = Mapping::PageBytes();
  const uint64_t begin = range.offset / page * page;
  const uint64_t end = (range.offset + range.length + page - 1) / page * page;
  return {begin, end - begin};
}

ByteRange InnerPages(ByteRange range) {
  const uint64_t page = Mapping::PageBytes();
  const uint64_t begin = (range.offset + page - 1) / page * page;
  const uint64_t end = (range.offset + range.length) / page * page;
  return {begin, end > begin ? end - begin : 0};
}

// A page at a time.
Status TouchPages(const std::byte* begin, uint64_t length) {
  const auto address = reinterpret_cast<uintptr_t>(begin);
  const uint64_t page = Mapping::PageBytes();
  for (uint64_t offset = 0; offset < length; offset += page) {
    if (!IsReadable(address + offset)) return Status::System(EFAULT, "madvise");
  }
  return Status::Ok();
}

#ifdef __linux__
// Whether it is the call that is refused: Linux before 5.14, and sandboxes, have no such advice.
bool IsUnsupported(int error) { return error == EINVAL || error == ENOSYS || error == EPERM; }
#endif

// Reads whole pages into memory and maps them.
Status MapPages(std::byte* begin, uint64_t length) {
#ifdef __linux__
  int result;
  do {
    result = madvise(begin, length, MADV_POPULATE_READ);
  } while (result != 0 && (errno == EINTR || errno == EAGAIN));
  if (result == 0) return Status::Ok();
  if (!IsUnsupported(errno)) return Status::System(errno, "madvise");
#endif
  return TouchPages(begin, length);
}

// What mincore says of a page, by its lowest bit.
#ifdef __APPLE__
using PageState = char;
#else
using PageState = unsigned char;
#endif

// Which pages this process has mapped, as mincore would say it. None where the system has no such
// file, or keeps it from a process that was another user's when it began.
void ReadPageTable(const std::byte* begin, std::span<PageState> states) {
  // A word for each page of the address space; proc_pid_pagemap(5).
  constexpr int kPresent = 63;
  std::array<uint64_t, 1024> words;
  std::fill(states.begin(), states.end(), PageState{0});
  const int descriptor = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  const uint64_t first = reinterpret_cast<uintptr_t>(begin) / Mapping::PageBytes();
  for (size_t done = 0; done < states.size();) {
    const size_t wanted = std::min(states.size() - done, words.size());
    const ssize_t got = pread(descriptor, words.data(), wanted * sizeof(uint64_t),
                              static_cast<off_t>((first + done) * sizeof(uint64_t)));
    if (got < static_cast<ssize_t>(sizeof(uint64_t))) break;
    const size_t count = static_cast<size_t>(got) / sizeof(uint64_t);
    for (size_t i = 0; i < count; ++i) states[done + i] = words[i] >> kPresent & 1;
    done += count;
  }
  close(descriptor);
}

}  // namespace

Status PageIn(const Mapping& mapping, ByteRange range) {
  if (!mapping.Contains(range.offset, range.length)) return Status::System(EINVAL, "madvise");
  if (range.length == 0) return Status::Ok();
  ByteRange pages = TouchedPages(range);
  Status status = MapPages(mapping.At(pages.offset), pages.length);
  if (status.error != EFAULT) return status;
  // Halves, down to the first page that is lost.
  const uint64_t page = Mapping::PageBytes();
  while (pages.length > page) {
    const uint64_t half = pages.length / page / 2 * page;
    status = MapPages(mapping.At(pages.offset), half);
    if (status.ok()) {
      pages = {pages.offset + half, pages.length - half};
    } else if (status.error == EFAULT) {
      pages.length = half;
    } else {
      return status;  // which says nothing of what is lost
    }
  }
  NoteLost(mapping.At(pages.offset));
  return Status::Lost(pages.offset);
}

void ReadAhead(const Mapping& mapping, ByteRange range) {
  if (range.length == 0 || !mapping.Contains(range.offset, range.length)) return;
  // Of what it is asked for at once, the kernel reads no more than the disk's read-ahead, or its
  // largest transfer (force_page_cache_ra in mm/readahead.c). 128 KiB is the default of the former.
  constexpr uint64_t kStepBytes = uint64_t{128} << 10;
  const ByteRange pages = TouchedPages(range);
  for (uint64_t done = 0; done < pages.length; done += kStepBytes) {
    const uint64_t length = std::min(pages.length - done, kStepBytes);
    madvise(mapping.At(pages.offset + done), length, MADV_WILLNEED);
  }
}

Result<uint64_t> ResidentBytes(const Mapping& mapping, ByteRange range) {
  // Pages asked for at once: 1 MiB of answers for 4 GiB.
  constexpr uint64_t kMostPages = uint64_t{1} << 20;
  if (!mapping.Contains(range.offset, range.length)) return Status::System(EINVAL, "mincore");
  if (range.length == 0) return uint64_t{0};
  const uint64_t page = Mapping::PageBytes();
  const ByteRange pages = TouchedPages(range);
  const uint64_t range_end = range.offset + range.length;
  const uint64_t pages_end = pages.offset + pages.length;
  std::vector<PageState> states(std::min(pages.length / page, kMostPages));
  uint64_t resident = 0;
  for (uint64_t at = pages.offset; at < pages_end; at += kMostPages * page) {
    const uint64_t length = std::min(pages_end - at, kMostPages * page);
    if (!mapping.tells_residency()) {
      ReadPageTable(mapping.At(at), {states.data(), length / page});
    } else if (mincore(mapping.At(at), length, states.data()) != 0) {
      return Status::System(errno, "mincore");
    }
    for (uint64_t i = 0; i < length / page; ++i) {
      if ((states[i] & 1) == 0) continue;
      const uint64_t begin = std::max(at + i * page, range.offset);
      resident += std::min(at + (i + 1) * page, range_end) - begin;
    }
  }
  return resident;
}

Status DropPages(const Mapping& mapping, ByteRange range) {
  if (!mapping.Contains(range.offset, range.length)) return Status::System(EINVAL, "madvise");
  const ByteRange pages = InnerPages(range);
  if (pages.length == 0) return Status::Ok();
  if (madvise(mapping.At(pages.offset), pages.length, MADV_DONTNEED) == 0) return Status::Ok();
  return Status::System(errno, "madvise");
}

}  // namespace safetensors
