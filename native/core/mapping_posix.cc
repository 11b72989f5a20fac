#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>

#include "core/mapping.h"
#include "core/system_number.h"
#include "core/unmap.h"

namespace safetensors {
namespace {

// Files that are mapped now, in all ranges of the process. Each takes one of the mappings that the
// system allows a process.
std::atomic<uint64_t> mapped_files = 0;

// A share of those mappings is left to everybody else: a process without any cannot make its heap
// larger, nor V8 its own, and ends. Files that nobody closed come close to it in a loop that gives
// their finalizers no turn.
uint64_t MostMappedFiles() {
#ifdef __linux__
  static const uint64_t most = [] {
    constexpr uint64_t kUsual = 65530;  // Linux's default, where it does not tell
    const uint64_t mappings = SystemNumber("/proc/sys/vm/max_map_count").value_or(kUsual);
    return mappings - mappings / 8;
  }();
  return most;
#else
  return std::numeric_limits<uint64_t>::max();
#endif
}

// Counts a file that is about to be mapped; false when there may be no more.
bool CountFile() {
  if (++mapped_files <= MostMappedFiles()) return true;
  --mapped_files;
  return false;
}

// Readable and writable, but private: a stray write from JavaScript makes a private copy of its
// page; with PROT_READ alone it would kill the process. NORESERVE: a private writable mapping
// counts against the overcommit limit otherwise, and a model larger than memory could not be
// opened.
void* MapPrivate(const File& file, uint64_t length, uint64_t offset = 0, void* at = nullptr,
                 int flags = 0) {
  return mmap(at, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | flags,
              file.descriptor(), static_cast<off_t>(offset));
}

// Whether mincore says which pages of a file are in memory; nothing, and errno, when the file
// cannot be mapped. Since Linux 5.2 it says so only of files that this process owns or may write,
// and of the others that all of their pages are (gVisor: of any). Asked of a page far behind the
// end of the file, which is not.
std::optional<bool> TellsResidency(const File& file) {
#ifdef __linux__
  // Pages of the page cache may be larger than those of the system, up to huge ones.
  constexpr uint64_t kLargestPage = uint64_t{1} << 30;
  const uint64_t behind = (file.identity().size / kLargestPage + 1) * kLargestPage;
  const uint64_t page = Mapping::PageBytes();
  void* const place = MapPrivate(file, page, behind);
  if (place == MAP_FAILED) return std::nullopt;
  unsigned char state = 1;
  const bool known = mincore(place, page, &state) == 0;
  munmap(place, page);
  return known && (state & 1) == 0;
#else
  static_cast<void>(file);
  return true;
#endif
}

#ifdef __linux__
// Whether mmap over what is there takes that away only when it has the memory that it needs: since
// Linux 6.12.
bool FindsMemoryFirst() {
  static const bool finds = [] {
    utsname system;
    unsigned major = 0;
    unsigned minor = 0;
    if (uname(&system) != 0) return false;
    const char* const end = system.release + std::strlen(system.release);
    const auto read = std::from_chars(system.release, end, major);
    if (read.ec != std::errc() || read.ptr == end || *read.ptr != '.') return false;
    std::from_chars(read.ptr + 1, end, minor);
    return std::pair{major, minor} >= std::pair{6u, 12u};
  }();
  return finds;
}
#endif

// Maps a file, of which a page could be mapped elsewhere, over a part of a reserved range.
//
// Nothing may go wrong once what is there has been taken away: another thread could map something
// into the hole, and lose it when the range is unmapped. That the file cannot be mapped at all
// (ENODEV) is known by now. Where memory is not overcommitted there may be too little (ENOMEM):
// older systems find that out too late, so that there the file is mapped elsewhere, then moved.
// Moving takes some 0.1 ms for 4 GB, in which nobody else in the process maps anything.
void* MapPrivateAt(std::byte* place, const File& file, uint64_t length) {
#ifdef __linux__
  if (!FindsMemoryFirst()) {
    void* const elsewhere = MapPrivate(file, length);
    if (elsewhere == MAP_FAILED) return MAP_FAILED;
    void* const moved = mremap(elsewhere, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    if (moved == MAP_FAILED) {
      const int error = errno;
      munmap(elsewhere, length);
      errno = error;
    }
    return moved;
  }
#endif
  return MapPrivate(file, length, 0, place, MAP_FIXED);
}

// Addresses that were given up before count as free, when they are.
template <typename Map>
void* OrAfterUnmapping(Map map) {
  void* const base = map();
  return base == MAP_FAILED && errno == ENOMEM && WaitForUnmapping() ? map() : base;
}

// Why mmap failed. ENOMEM has two meanings. Where not a page can be mapped any more, it is that
// there are too many mappings: reading files instead would only use up what is left.
Status MapFailure() {
  const int error = errno;
  if (error != ENOMEM) return Status::System(error, "mmap");
  const uint64_t bytes = Mapping::PageBytes();
  void* const page = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
  if (page == MAP_FAILED) return Status::System(EMFILE, "mmap");
  munmap(page, bytes);
  return Status::System(error, "mmap");
}

}  // namespace

std::shared_ptr<Mapping> Mapping::Over(void* base, uint64_t length) {
  struct Owner : Mapping {  // lets make_shared reach the private constructor
    Owner(std::byte* base, uint64_t length) : Mapping(base, length) {}
  };
  return std::make_shared<Owner>(static_cast<std::byte*>(base), length);
}

Result<std::shared_ptr<Mapping>> Mapping::Reserve(uint64_t length) {
  if (length > std::numeric_limits<size_t>::max()) return Status::System(ENOMEM, "mmap");
  if (length == 0) return Over(nullptr, 0);

  void* const base = OrAfterUnmapping([length] {
    return mmap(nullptr, length, PROT_NONE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0);
  });
  if (base == MAP_FAILED) return MapFailure();
  return Over(base, length);
}

Result<std::shared_ptr<Mapping>> Mapping::OfFile(const File& file) {
  const uint64_t length = file.identity().size;
  if (length > std::numeric_limits<size_t>::max()) return Status::System(ENOMEM, "mmap");
  if (length == 0) return Over(nullptr, 0);

  if (!CountFile()) return Status::System(EMFILE, "mmap");
  void* const base = OrAfterUnmapping([&] { return MapPrivate(file, length); });
  if (base == MAP_FAILED) {
    const Status failure = MapFailure();
    --mapped_files;
    return failure;
  }
  std::shared_ptr<Mapping> mapping = Over(base, length);
  mapping->Add(file, length, 0, TellsResidency(file).value_or(false));
  return mapping;
}

uint64_t Mapping::PageBytes() { return static_cast<uint64_t>(sysconf(_SC_PAGESIZE)); }

Mapping::~Mapping() {
  const size_t files = files_.size();
  files_.clear();  // before it is unmapped: see FaultGuard
  if (length_ > 0) Unmap(base_, length_);
  mapped_files -= files;
}

Status Mapping::MapFile(const File& file, uint64_t length, uint64_t offset) {
  if (!Contains(offset, length)) return Status::System(EINVAL, "mmap");
  if (length == 0) return Status::Ok();

  if (!CountFile()) return Status::System(EMFILE, "mmap");
  const std::optional<bool> tells_residency = TellsResidency(file);
  if (!tells_residency || MapPrivateAt(At(offset), file, length) == MAP_FAILED) {
    const Status failure = MapFailure();
    --mapped_files;
    return failure;
  }
  Add(file, length, offset, *tells_residency);
  return Status::Ok();
}

void Mapping::Add(const File& file, uint64_t length, uint64_t offset, bool tells_residency) {
  if (!tells_residency) tells_residency_.store(false, std::memory_order_relaxed);
  const std::lock_guard one_at_a_time(mapping_files_);
  const uint64_t device = file.identity().device;
  if (files_.empty()) device_ = device;
  if (device_ != device) device_.reset();
  files_.push_back({offset, length, {}});
}

Status Mapping::Guard() {
  if (const Status status = KeepFaultHandler(); !status.ok()) return status;
  for (MappedFile& file : files_) {
    Result<FaultGuard> guard = FaultGuard::Watch({At(file.offset), file.length});
    if (!guard.ok()) return guard.status;
    file.guard = std::move(guard.value);
  }
  std::sort(files_.begin(), files_.end(),
            [](const MappedFile& a, const MappedFile& b) { return a.offset < b.offset; });
  guarded_ = true;
  return Status::Ok();
}

Status Mapping::KeepGuard() const {
  return guarded_.value_or(false) ? KeepFaultHandler() : Status::Ok();
}

std::optional<uint64_t> Mapping::LostFrom(uint64_t offset, uint64_t length) const {
  if (length == 0) return std::nullopt;
  // The first file that ends behind `offset`.
  auto file = std::upper_bound(
      files_.begin(), files_.end(), offset,
      [](uint64_t at, const MappedFile& other) { return at < other.offset + other.length; });
  for (; file != files_.end() && file->offset < offset + length; ++file) {
    if (const auto lost = file->guard.lost_from()) return file->offset + *lost;
  }
  return std::nullopt;
}

}  // namespace safetensors
