#include "core/mapping.h"
#include "core/memory.h"
#include "exact.h"
#include "expect.h"
#include "targets.h"

namespace safetensors::test {

void LargeMemory(Input input) {
  // Up to two huge pages and what lies around them; mostly small.
  const size_t length = input.Below(16) == 0 ? input.Below(uint64_t{5} << 20) : input.Below(20000);
  const Exact<std::byte> memory(length, input.Below(64));
  size_t begin = input.Below(length + 1);
  size_t end = input.Below(length + 1);
  if (begin > end) std::swap(begin, end);
  PopulatePages(memory.span(), begin, end);
  PreferHugePages(memory.span());
  EXPECT(IsTouched(memory.span()) || length == 0);
  EXPECT(CheckEndReadable(memory.span()).ok());
  if (length > 0) {
    // Of the last byte: the one behind it may begin a page that nothing is mapped to.
    const uintptr_t last = reinterpret_cast<uintptr_t>(memory.data() + length - 1);
    EXPECT(IsReadable(last / Mapping::PageBytes() * Mapping::PageBytes()));
  }
  for (size_t i = 0; i < length; i += 61) EXPECT(memory.data()[i] == std::byte{0xa5});
}

}  // namespace safetensors::test
