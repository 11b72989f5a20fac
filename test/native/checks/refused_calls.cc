#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

#include "alone.h"
#include "core/memory.h"
#include "core/output.h"
#include "core/residency.h"
#include "expect.h"
#include "random.h"
#include "scratch_file.h"

#ifdef __linux__
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

namespace safetensors::test {

#ifdef __linux__
namespace {

constexpr uint32_t kPopulateRead = 22;   // MADV_POPULATE_READ
constexpr uint32_t kPopulateWrite = 23;  // MADV_POPULATE_WRITE
constexpr uint64_t kFilePages = 64;

constexpr sock_filter Load(size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
}
// The lower half of an argument of a call: of processors whose lower half comes first.
constexpr sock_filter LoadArgument(size_t number) {
  return Load(offsetof(seccomp_data, args) + 8 * number);
}
constexpr sock_filter SkipUnless(uint32_t value, uint8_t count) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count);
}
constexpr sock_filter Refuse(int error) {
  return BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error));
}
constexpr sock_filter kAllow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
constexpr sock_filter kLoadCall = Load(offsetof(seccomp_data, nr));

// From now on, for good: of filters that refuse a call, the last that was installed says how.
template <size_t kLength>
bool Filter(sock_filter (&&filter)[kLength]) {
  const sock_fprog program{static_cast<unsigned short>(kLength), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool RefuseCall(uint32_t call, int error) {
  return Filter({kLoadCall, SkipUnless(call, 1), Refuse(error), kAllow});
}

bool RefuseAdvice(uint32_t advice, int error) {
  return Filter({kLoadCall, SkipUnless(SYS_madvise, 3), LoadArgument(2), SkipUnless(advice, 1),
                 Refuse(error), kAllow});
}

// Of fewer bytes than `length`.
bool RefuseShortAdvice(uint32_t advice, uint32_t length, int error) {
  return Filter({kLoadCall, SkipUnless(SYS_madvise, 5), LoadArgument(2), SkipUnless(advice, 3),
                 LoadArgument(1), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, length, 1, 0), Refuse(error),
                 kAllow});
}

// A mapped file that has been cut to some of its pages.
class CutFile {
 public:
  explicit CutFile(uint64_t pages) : file_(kFilePages * Mapping::PageBytes()) {
    auto mapping = Mapping::Reserve(file_.size());
    EXPECT(mapping.ok() && mapping.value->MapFile(file_.file(), file_.size(), 0).ok());
    mapping_ = std::move(mapping.value);
    EXPECT(mapping_->Guard().ok());
    file_.Resize(pages * Mapping::PageBytes());
  }

  const Mapping& mapping() const { return *mapping_; }

 private:
  ScratchFile file_;
  std::shared_ptr<Mapping> mapping_;
};

// Pages come in up to where the file ends, and what is behind is known to be lost.
void PagesComeIn(uint64_t rounds, uint64_t seed) {
  const uint64_t page = Mapping::PageBytes();
  Random random(seed);
  for (uint64_t round = 0; round < rounds; round++) {
    const uint64_t pages = random.Below(kFilePages + 1);
    const CutFile cut(pages);
    const Mapping& mapping = cut.mapping();
    const uint64_t offset = random.Below(mapping.length());
    const ByteRange range{offset, 1 + random.Below(mapping.length() - offset)};
    const bool lost = range.offset + range.length > pages * page;
    const uint64_t first_lost = std::max(pages * page, range.offset / page * page);
    const Status status = PageIn(mapping, range);
    EXPECT(status.error == (lost ? EFAULT : 0));
    if (lost) EXPECT(status.offset == first_lost);
    EXPECT(mapping.LostFrom(0, mapping.length()).has_value() == lost);
    EXPECT(CheckEndReadable({mapping.At(offset), range.length}).error == (lost ? EFAULT : 0));
    if (lost) continue;
    const Result<uint64_t> resident = ResidentBytes(mapping, range);
    EXPECT(resident.ok() && resident.value == range.length);
  }
}

void CopiesAreWhole() {
  const ScratchFile from(3 * 4096 + 5);
  const ScratchFile to(0);
  EXPECT(Copy({from.descriptor(), 5, to.descriptor(), 0, from.size() - 5}).ok());
  std::vector<uint8_t> bytes(from.size() - 5);
  EXPECT(pread(to.descriptor(), bytes.data(), bytes.size(), 0) ==
         static_cast<ssize_t>(bytes.size()));
  for (size_t i = 0; i < bytes.size(); i++) EXPECT(bytes[i] == PatternAt(i + 5));
}

// Whatever refuses it, but the disk.
void NothingIsPreallocated() {
  const ScratchFile file(0);
  for (const int error : {EPERM, EACCES, ENOSYS, EOPNOTSUPP}) {
    EXPECT(RefuseCall(SYS_fallocate, error));
    EXPECT(Preallocate(file.descriptor(), 4096).ok());
  }
  for (const int error : {ENOSPC, EDQUOT, EFBIG, EIO}) {
    EXPECT(RefuseCall(SYS_fallocate, error));
    EXPECT(Preallocate(file.descriptor(), 4096).error == error);
  }
}

void MemoryIsPopulated() {
  const std::unique_ptr<std::byte[]> memory{new std::byte[size_t{5} << 20]};
  PopulatePages({memory.get(), size_t{5} << 20}, 0, size_t{5} << 20);
}

void All(uint64_t rounds, uint64_t seed) {
  PagesComeIn(rounds, seed);
  CopiesAreWhole();
  MemoryIsPopulated();
}

}  // namespace

void RefusedCalls(uint64_t rounds, uint64_t seed) {
  // What refuses a part of a range says nothing of where the file ends.
  {
    const CutFile cut(kFilePages / 2 + 5);
    const Mapping& mapping = cut.mapping();
    const auto least = static_cast<uint32_t>(8 * Mapping::PageBytes());
    if (!RefuseShortAdvice(kPopulateRead, least, ENOMEM)) {
      std::printf("LEFT OUT: this system lets no process filter its calls\n");
      return;
    }
    const Status status = PageIn(mapping, {0, mapping.length()});
    EXPECT(status.error == ENOMEM && !mapping.LostFrom(0, mapping.length()));
  }
  // Linux before 5.14, in a container whose processes may not look into others.
  EXPECT(RefuseCall(SYS_process_vm_readv, EPERM));
  EXPECT(RefuseAdvice(kPopulateWrite, EINVAL) && RefuseAdvice(kPopulateRead, EINVAL));
  All(rounds, seed);
  // Sandboxes that do not know the calls.
  EXPECT(RefuseAdvice(kPopulateRead, EPERM) && RefuseCall(SYS_copy_file_range, EPERM));
  All(rounds, seed);
  EXPECT(RefuseCall(SYS_madvise, ENOSYS) && RefuseCall(SYS_copy_file_range, ENOSYS));
  All(rounds, seed);
  NothingIsPreallocated();
}

#else

void RefusedCalls(uint64_t, uint64_t) {
  std::printf("LEFT OUT: refused calls: written for the filters of Linux\n");
}

#endif

}  // namespace safetensors::test
