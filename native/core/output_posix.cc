#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>

#include "core/output.h"

namespace safetensors {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

#ifdef __linux__
// The most that one call is asked to copy; Linux stops short of 2 GiB anyway.
constexpr uint64_t kMaxCopyBytes = uint64_t{1} << 30;

// The errno of a call that is repeated while signals interrupt it; 0 when it went well.
int AllocateBlocks(int descriptor, uint64_t length) {
  int result;
  do {
    result = fallocate(descriptor, 0, 0, static_cast<off_t>(length));
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

bool IsUnsupported(int error) {
  return error == EOPNOTSUPP || error == ENOTSUP || error == ENOSYS || error == EINVAL;
}

// What file systems share are blocks of this size, or of one that it divides.
constexpr uint64_t kBlockBytes = 4096;

// The most to ask for at once: first what comes before the next block, so that the rest begins with
// one, and can be shared if it does so in both files.
uint64_t NextLength(const CopyRange& range) {
  const uint64_t over = range.source_offset % kBlockBytes;
  return std::min(range.length, over == 0 ? kMaxCopyBytes : kBlockBytes - over);
}

// Whether all of it is copied; `range` is what remains.
Result<bool> CopyInKernel(CopyRange& range) {
  while (range.length > 0) {
    auto from = static_cast<off_t>(range.source_offset);
    auto to = static_cast<off_t>(range.target_offset);
    const ssize_t copied =
        copy_file_range(range.source, &from, range.target, &to, NextLength(range), 0);
    if (copied < 0 && errno == EINTR) continue;
    // EPERM: what some sandboxes say of calls that they do not know.
    if (copied < 0 && (IsUnsupported(errno) || errno == EXDEV || errno == EPERM)) return false;
    if (copied < 0) return Status::System(errno, "copyfile");
    // Some file systems say so of files that are not at their end: reading will tell.
    if (copied == 0) return false;
    range.source_offset += static_cast<uint64_t>(copied);
    range.target_offset += static_cast<uint64_t>(copied);
    range.length -= static_cast<uint64_t>(copied);
  }
  return true;
}
#endif

Status WriteAll(int descriptor, const std::byte* bytes, size_t length, uint64_t offset) {
  size_t done = 0;
  while (done < length) {
    const ssize_t written =
        pwrite(descriptor, bytes + done, length - done, static_cast<off_t>(offset + done));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Status::System(errno, "write");
    done += static_cast<size_t>(written);
  }
  return Status::Ok();
}

Status CopyThroughMemory(CopyRange range) {
  const std::unique_ptr<std::byte[]> buffer{new (std::nothrow) std::byte[kBufferBytes]};
  if (buffer == nullptr) return Status::System(ENOMEM, "copyfile");
  while (range.length > 0) {
    const size_t wanted = std::min<uint64_t>(range.length, kBufferBytes);
    const ssize_t got =
        pread(range.source, buffer.get(), wanted, static_cast<off_t>(range.source_offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status::System(errno, "read");
    if (got == 0) return Status::System(ENODATA, "read");
    const auto bytes = static_cast<size_t>(got);
    const Status status = WriteAll(range.target, buffer.get(), bytes, range.target_offset);
    if (!status.ok()) return status;
    range.source_offset += bytes;
    range.target_offset += bytes;
    range.length -= bytes;
  }
  return Status::Ok();
}

}  // namespace

bool IsOfTheDisk(int error) {
  return error == ENOSPC || error == EDQUOT || error == EFBIG || error == EIO;
}

Status Preallocate(int descriptor, uint64_t length) {
  if (length == 0) return Status::Ok();
#ifdef __linux__
  const int error = AllocateBlocks(descriptor, length);
#elif defined(__APPLE__)
  fstore_t blocks{F_ALLOCATEALL, F_PEOFPOSMODE, 0, static_cast<off_t>(length), 0};
  const int error = fcntl(descriptor, F_PREALLOCATE, &blocks) == 0 ? 0 : errno;
#else
  const int error = ENOSYS;
#endif
  // Anything else is of this call alone: a file system without it, a sandbox that refuses it.
  return IsOfTheDisk(error) ? Status::System(error, "fallocate") : Status::Ok();
}

Status Copy(CopyRange range) {
#ifdef __linux__
  const Result<bool> copied = CopyInKernel(range);
  if (!copied.ok()) return copied.status;
  if (copied.value) return Status::Ok();
#endif
  return CopyThroughMemory(range);
}

}  // namespace safetensors
