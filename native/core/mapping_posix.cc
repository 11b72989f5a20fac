#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

#include "core/mapping.h"

namespace safetensors {

Result<std::shared_ptr<Mapping>> Mapping::Reserve(uint64_t length) {
  struct Reserved : Mapping {  // lets make_shared reach the private constructor
    Reserved(std::byte* base, uint64_t length) : Mapping(base, length) {}
  };
  if (length > std::numeric_limits<size_t>::max()) return Status::System(ENOMEM, "mmap");
  if (length == 0) return std::shared_ptr<Mapping>(std::make_shared<Reserved>(nullptr, 0));

  // NORESERVE: a private writable mapping counts against the overcommit limit otherwise, and a
  // model larger than memory could not be opened.
  void* const base =
      mmap(nullptr, length, PROT_NONE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return Status::System(errno, "mmap");
  return std::shared_ptr<Mapping>(
      std::make_shared<Reserved>(static_cast<std::byte*>(base), length));
}

uint64_t Mapping::PageBytes() { return static_cast<uint64_t>(sysconf(_SC_PAGESIZE)); }

Mapping::~Mapping() {
  if (length_ > 0) munmap(base_, length_);
}

Status Mapping::MapFile(const File& file, uint64_t length, uint64_t offset) {
  if (!Contains(offset, length)) return Status::System(EINVAL, "mmap");
  if (length == 0) return Status::Ok();

  // Readable and writable, but private: a stray write from JavaScript makes a private copy of its
  // page; with PROT_READ alone it would kill the process.
  void* const mapped = mmap(At(offset), length, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file.descriptor(), 0);
  return mapped == MAP_FAILED ? Status::System(errno, "mmap") : Status::Ok();
}

}  // namespace safetensors
