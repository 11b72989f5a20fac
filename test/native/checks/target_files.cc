#include <unistd.h>

#include "core/output.h"
#include "exact.h"
#include "expect.h"
#include "scratch_file.h"
#include "targets.h"

namespace safetensors::test {
namespace {

constexpr uint64_t kFileBytes = 3 * 4096 + 77;
}  // namespace

void Files(Input input) {
  static const ScratchFile* const file = new ScratchFile(kFileBytes);
  const uint64_t offset = input.Size(kFileBytes);
  const Exact<std::byte> target(input.Below(2 * kFileBytes));
  const auto ahead = input.Chance() ? File::ReadAhead::kNone : File::ReadAhead::kUsual;
  const Result<size_t> got = file->file().Read(offset, target.span(), ahead);
  EXPECT(got.ok());
  const uint64_t left = kFileBytes - std::min(offset, kFileBytes);
  EXPECT(got.value == std::min<uint64_t>(left, target.size()));
  for (size_t i = 0; i < got.value; i++) {
    EXPECT(std::to_integer<uint8_t>(target.data()[i]) == PatternAt(offset + i));
  }
}

void Outputs(Input input) {
  const ScratchFile source(input.Below(kFileBytes));
  const ScratchFile target(input.Below(kFileBytes));
  const bool same = input.Below(16) == 0;
  const uint64_t source_offset = input.Size(source.size());
  const uint64_t target_offset = input.Below(2 * kFileBytes);
  // A copy within a file goes on for as long as it makes the file longer.
  const uint64_t length = same ? input.Below(kFileBytes) : input.Size(source.size());
  if (input.Chance()) {
    const uint64_t reserved = input.Below(4 * kFileBytes);
    EXPECT(Preallocate(target.descriptor(), reserved).ok());
  }
  const int into = same ? source.descriptor() : target.descriptor();
  const Status status = Copy({source.descriptor(), source_offset, into, target_offset, length});
  if (same) return;  // may overlap, and grow while it is read
  const bool there = static_cast<__int128>(source_offset) + length <= source.size();
  EXPECT(status.ok() == (length == 0 || there));
  if (!status.ok() || length == 0) return;
  const Exact<uint8_t> copied(length);
  EXPECT(pread(into, copied.data(), length, static_cast<off_t>(target_offset)) ==
         static_cast<ssize_t>(length));
  for (uint64_t i = 0; i < length; i++) EXPECT(copied.data()[i] == PatternAt(source_offset + i));
}

}  // namespace safetensors::test
