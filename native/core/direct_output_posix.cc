#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/direct_output.h"
#include "core/output.h"

namespace safetensors {
namespace {

// Goes through the bytes of parts, one behind the other.
class PartsReader {
 public:
  explicit PartsReader(const std::vector<std::span<const std::byte>>& parts) : parts_(parts) {}

  // Bytes that have been read.
  uint64_t done() const { return done_; }

  // Puts the next `wanted` bytes, which are there, at the beginning of staging memory. 0, or the
  // errno of why not all of them.
  int Fill(StagingMemory& memory, size_t wanted) {
    int error = 0;
    for (size_t filled = 0; filled < wanted && error == 0;) {
      const std::span<const std::byte> left = parts_[part_].subspan(at_);
      const size_t bytes = std::min(left.size(), wanted - filled);
      const size_t copied = memory.Fill(filled, left.first(bytes), error);
      filled += copied;
      done_ += copied;
      at_ += copied;
      if (at_ < parts_[part_].size()) continue;
      part_++;
      at_ = 0;
    }
    return error;
  }

 private:
  const std::vector<std::span<const std::byte>>& parts_;
  size_t part_ = 0;
  size_t at_ = 0;
  uint64_t done_ = 0;
};

// 0, or the errno of what was refused.
int WriteBlocks(int descriptor, const std::byte* bytes, size_t length, uint64_t offset) {
  for (size_t done = 0; done < length;) {
    const ssize_t written =
        pwrite(descriptor, bytes + done, length - done, static_cast<off_t>(offset + done));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    // A part of a block: the rest of it has no place that may be written to.
    if (static_cast<uint64_t>(written) % DirectOutput::kAlignment != 0) return EINVAL;
    if (written == 0) return EIO;
    done += static_cast<size_t>(written);
  }
  return 0;
}

#ifdef __linux__
bool IsSameFile(int a, int b) {
  struct stat of_a{};
  struct stat of_b{};
  return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
         of_a.st_ino == of_b.st_ino;
}
#endif

}  // namespace

std::unique_ptr<StagingMemory> StagingMemory::Make() {
#ifdef __linux__
  const int descriptor = memfd_create("safetensors-mmap", MFD_CLOEXEC);
  if (descriptor < 0) return nullptr;
  void* const data = ftruncate(descriptor, kBytes) == 0
                         ? mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
                         : MAP_FAILED;
  if (data != MAP_FAILED) {
    return std::unique_ptr<StagingMemory>{
        new StagingMemory(descriptor, static_cast<std::byte*>(data))};
  }
  close(descriptor);
#endif
  return nullptr;
}

StagingMemory::~StagingMemory() {
  munmap(data_, kBytes);
  close(descriptor_);
}

size_t StagingMemory::Fill(size_t at, std::span<const std::byte> bytes, int& error) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t copied = pwrite(descriptor_, bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(at + done));
    if (copied < 0 && errno == EINTR) continue;
    if (copied <= 0) {
      error = copied < 0 ? errno : EIO;
      break;
    }
    done += static_cast<size_t>(copied);
  }
  return done;
}

std::shared_ptr<DirectOutput> DirectOutput::Open(const std::string& path, int descriptor) {
#ifdef __linux__
  const int own = open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW);
  if (own < 0) return nullptr;
  if (IsSameFile(own, descriptor)) return std::shared_ptr<DirectOutput>(new DirectOutput(own));
  close(own);
#else
  static_cast<void>(path);
  static_cast<void>(descriptor);
#endif
  return nullptr;
}

DirectOutput::~DirectOutput() { close(descriptor_); }

Result<bool> DirectOutput::Write(uint64_t offset,
                                 const std::vector<std::span<const std::byte>>& parts) {
  uint64_t length = 0;
  for (const auto& part : parts) length += part.size();
  if (offset % kAlignment != 0 || length % kAlignment != 0) return Status::System(EINVAL, "write");
  std::unique_ptr<StagingMemory> memory = Take();
  if (memory == nullptr) return false;
  PartsReader reader(parts);
  int unread = 0;
  int refused = 0;
  while (unread == 0 && refused == 0 && reader.done() < length) {
    const uint64_t at = reader.done();
    const size_t wanted = std::min<uint64_t>(length - at, StagingMemory::kBytes);
    unread = reader.Fill(*memory, wanted);
    if (unread == 0) refused = WriteBlocks(descriptor_, memory->data(), wanted, offset + at);
  }
  GiveBack(std::move(memory));
  if (unread == EFAULT) {
    Status status = Status::System(EFAULT, "write");
    status.offset = reader.done();
    return status;
  }
  // Staging memory that has no pages left is as none at all.
  if (unread != 0) return false;
  if (refused == 0) return true;
  if (IsOfTheDisk(refused)) return Status::System(refused, "write");
  return false;
}

std::unique_ptr<StagingMemory> DirectOutput::Take() {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      std::unique_ptr<StagingMemory> memory = std::move(free_.back());
      free_.pop_back();
      return memory;
    }
  }
  return StagingMemory::Make();
}

void DirectOutput::GiveBack(std::unique_ptr<StagingMemory> memory) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(memory));
}

}  // namespace safetensors
