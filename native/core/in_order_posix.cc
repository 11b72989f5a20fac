#include <sys/mman.h>

#include "core/in_order.h"
#include "core/system_number.h"

#ifdef __linux__
#include <sys/sysmacros.h>
#endif

#include <string>

namespace safetensors {
namespace {

constexpr uint64_t kLeastReadAhead = uint64_t{4} << 20;
// Of its read-ahead a range has at least so many: what is read beyond its end is 4 % then.
constexpr uint64_t kLeastReads = 48;

// The read-ahead of a device's disk, in bytes; 0 where the system does not tell.
uint64_t DiskReadAhead(uint64_t device) {
#ifdef __linux__
  const auto number = static_cast<dev_t>(device);
  const std::string name = std::to_string(major(number)) + ":" + std::to_string(minor(number));
  // The second is for partitions, whose disk has it. Of network file systems there is neither.
  for (const char* const place : {"/queue", "/../queue"}) {
    const std::string path = "/sys/dev/block/" + name + place + "/read_ahead_kb";
    if (const auto kilobytes = SystemNumber(path)) return *kilobytes << 10;
  }
#else
  static_cast<void>(device);
#endif
  return 0;
}

void Advise(const Mapping& mapping, const ByteRange& range, int advice) {
  if (range.length == 0 || !mapping.Contains(range.offset, range.length)) return;
  const uint64_t before = range.offset % Mapping::PageBytes();
  madvise(mapping.At(range.offset - before), range.length + before, advice);
}

}  // namespace

bool IsFasterInOrder(const Mapping& mapping, ByteRange range) {
  // Most ranges are too short for any disk, of which the system need not be asked.
  if (range.length < kLeastReads * kLeastReadAhead || !mapping.device()) return false;
  const uint64_t read_ahead = DiskReadAhead(*mapping.device());
  return read_ahead >= kLeastReadAhead && range.length / kLeastReads >= read_ahead;
}

InOrder::InOrder(const Mapping& mapping, std::vector<ByteRange> ranges)
    : mapping_(mapping), ranges_(std::move(ranges)) {
  for (const ByteRange& range : ranges_) Advise(mapping_, range, MADV_SEQUENTIAL);
}

InOrder::~InOrder() {
  for (const ByteRange& range : ranges_) Advise(mapping_, range, MADV_NORMAL);
}

Status InOrder::PageIn(ByteRange part) const {
  Advise(mapping_, part, MADV_SEQUENTIAL);
  return safetensors::PageIn(mapping_, part);
}

}  // namespace safetensors
