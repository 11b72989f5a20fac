#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#include "core/direct_output.h"
#include "exact.h"
#include "expect.h"
#include "scratch_file.h"
#include "targets.h"

namespace safetensors::test {
namespace {

constexpr uint64_t kBlock = DirectOutput::kAlignment;
constexpr uint64_t kMostBlocks = 6;

// A new file that is open for writing past the page cache, if the system has that; its name is
// gone.
struct DirectFile {
  DirectFile() {
    std::string path = ScratchName();
    descriptor = mkstemp(path.data());
    EXPECT(descriptor >= 0);
    output = DirectOutput::Open(path, descriptor);
    EXPECT(DirectOutput::Open(path, STDERR_FILENO) == nullptr);  // another file
    unlink(path.c_str());
  }
  ~DirectFile() { close(descriptor); }
  DirectFile(const DirectFile&) = delete;
  DirectFile& operator=(const DirectFile&) = delete;

  int descriptor;
  std::shared_ptr<DirectOutput> output;
};

// A page that nobody may read.
std::span<const std::byte> Forbidden() {
  static void* const page = mmap(nullptr, kBlock, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT(page != MAP_FAILED);
  return {static_cast<const std::byte*>(page), kBlock};
}

}  // namespace

void Directs(Input input) {
  static thread_local const DirectFile file;
  if (file.output == nullptr) return;
  // Now and then more than is staged at once.
  const uint64_t more = input.Below(256) == 1 ? StagingMemory::kBytes : 0;
  const uint64_t length = more + kBlock * input.Below(kMostBlocks);
  const uint64_t offset = input.Chance() ? kBlock * input.Below(kMostBlocks) : input.Below(kBlock);
  std::vector<Exact<uint8_t>> memories;
  std::vector<std::span<const std::byte>> parts;
  uint64_t done = 0;
  while (done < length) {
    const uint64_t bytes = std::min(length - done, length - input.Below(length));
    const Exact<uint8_t>& memory = memories.emplace_back(bytes, input.Below(16));
    for (uint64_t i = 0; i < bytes; i++) memory.data()[i] = PatternAt(offset + done + i);
    parts.push_back(std::as_bytes(memory.span()));
    if (input.Below(8) == 0) parts.emplace_back();
    done += bytes;
  }
  const bool is_whole = input.Below(4) != 0;
  if (!is_whole) parts.push_back(Forbidden());
  const Result<bool> written = file.output->Write(offset, parts);
  if (offset % kBlock != 0) {
    EXPECT(written.status.error == EINVAL);
  } else if (!is_whole) {
    EXPECT(written.status.error == EFAULT && written.status.offset == length);
  } else {
    EXPECT(written.ok());
    if (!written.value) return;  // a file system that refuses it only now
    const Exact<uint8_t> there(length);
    EXPECT(pread(file.descriptor, there.data(), length, static_cast<off_t>(offset)) ==
           static_cast<ssize_t>(length));
    for (uint64_t i = 0; i < length; i++) EXPECT(there.data()[i] == PatternAt(offset + i));
  }
}

}  // namespace safetensors::test
