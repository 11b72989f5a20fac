// Reading long ranges from front to back, by the system's own read-ahead.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/mapping.h"
#include "core/residency.h"
#include "core/status.h"

namespace safetensors {

// Whether a range is brought in faster by page faults in their order, on one thread (PageIn alone),
// than by asking for it (ReadAhead) on several. So it is where the read-ahead of the disk has
// megabytes: the system's requests are as long, made of large pages, where those that it makes of
// advice are of small ones, and half as long at most. Measured on a virtual disk with ext4 of Linux
// 6.18, 2.0 GB, cold: with a read-ahead of 4 or 8 MiB 0.9 s instead of 1.1 to 1.2; of 512 KiB to
// 2 MiB about the same; of 128 KiB 1.4 s instead of 1.0. In the page cache already: 0.07 s both.
//
// Faults read beyond the end of a range, up to twice the read-ahead: only for ranges of which that
// is little.
bool IsFasterInOrder(const Mapping& mapping, ByteRange range);

// For as long as it lives, the system takes it that ranges are read from front to back, whatever it
// has seen of their files before: it stops to read ahead where many faults were far apart.
// The mapping must live as long.
class InOrder {
 public:
  InOrder(const Mapping& mapping, std::vector<ByteRange> ranges);
  InOrder(const InOrder&) = delete;
  InOrder& operator=(const InOrder&) = delete;
  ~InOrder();

  // PageIn of a part of them, which another that has ended meanwhile may have been over too.
  Status PageIn(ByteRange part) const;

 private:
  const Mapping& mapping_;
  const std::vector<ByteRange> ranges_;
};

}  // namespace safetensors
