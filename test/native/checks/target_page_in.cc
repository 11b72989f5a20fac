#include <unistd.h>

#include "core/page_in_job.h"
#include "expect.h"
#include "scratch_file.h"
#include "targets.h"

namespace safetensors::test {
namespace {

constexpr uint64_t kJobBytes = uint64_t{40} << 20;  // several pieces

std::shared_ptr<Mapping> MapForJobs() {
  static const ScratchFile* const file = new ScratchFile(kJobBytes);
  auto mapping = Mapping::Reserve(kJobBytes + (1 << 20));  // nothing is mapped at its end
  EXPECT(mapping.ok() && mapping.value->MapFile(file->file(), kJobBytes, 0).ok());
  return mapping.value;
}

}  // namespace

void PagingIn(Input input) {
  static const std::shared_ptr<Mapping> mapping = MapForJobs();
  const bool beyond = input.Below(8) == 0;
  std::vector<ByteRange> ranges;
  uint64_t total = 0;
  bool fails = false;
  for (uint64_t left = input.Below(6); left > 0; left--) {
    const uint64_t most = beyond ? mapping->length() : kJobBytes;
    const uint64_t offset = input.Below(most + 1);
    const uint64_t length = input.Below(most - offset + 1);
    ranges.push_back({offset, length});
    total += length;
    // Of the page that the file ends in, the system says that it is there.
    fails = fails || (length > 0 && offset + length > kJobBytes);
  }
  const auto threads = static_cast<unsigned>(1 + input.Below(6));
  const uint64_t waits = input.Below(4);
  const auto job = PageInJob::Start(mapping, ranges, threads);
  EXPECT(job.ok());
  if (waits == 0) return;  // destroyed while it works
  if (waits == 1) job.value->Cancel();
  while (!job.value->finished()) usleep(50);
  EXPECT(job.value->bytes() <= total);
  if (waits == 1) return;
  EXPECT(job.value->failure().has_value() == fails);
  if (!fails) EXPECT(job.value->bytes() == total);
}

}  // namespace safetensors::test
