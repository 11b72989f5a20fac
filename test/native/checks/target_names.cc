#include <algorithm>
#include <set>
#include <string_view>

#include "core/name_index.h"
#include "exact.h"
#include "expect.h"
#include "targets.h"

namespace safetensors::test {
namespace {

constexpr uint64_t kMostNames = 40;

// A place in the bytes, or anything.
int32_t TakePlace(Input& input, size_t bytes) {
  if (input.Below(32) == 0) return input.Take<int32_t>();
  return static_cast<int32_t>(input.Below(bytes + 1));
}

}  // namespace

void Names(Input input) {
  const size_t count = input.Below(kMostNames);
  const size_t length = input.Below(400);
  size_t pairs = 1;
  while (pairs <= count || (pairs < 1 << 12 && input.Below(4) == 1)) pairs *= 2;
  const Exact<int32_t> starts(count);
  const Exact<int32_t> ends(count);
  const Exact<int32_t> slots(2 * pairs);
  for (size_t i = 0; i < count; i++) {
    const int32_t one = TakePlace(input, length);
    const int32_t other = TakePlace(input, length);
    const bool ordered = input.Below(32) != 0;
    starts.data()[i] = ordered ? std::min(one, other) : one;
    ends.data()[i] = ordered ? std::max(one, other) : other;
  }
  const auto key0 = input.Take<uint32_t>();
  const auto key1 = input.Take<uint32_t>();
  const Exact<std::byte> bytes(length);
  bytes.FillFrom(input.Rest());
  const safetensors::Names names{bytes.span(), starts.span(), ends.span()};
  const NameIndex index{names, slots.span(), key0, key1};
  const size_t added = index.InsertDistinct();

  std::set<std::string_view> seen;
  size_t expected = 0;
  for (; expected < count; expected++) {
    const int32_t start = starts.data()[expected];
    const int32_t end = ends.data()[expected];
    if (start < 0 || end < start || static_cast<size_t>(end) > length) break;
    const auto* const text = reinterpret_cast<const char*>(bytes.data());
    if (!seen.insert(std::string_view(text + start, text + end)).second) break;
  }
  EXPECT(added == expected);
  std::set<int32_t> found;
  for (size_t pair = 0; pair < pairs; pair++) {
    const int32_t number = slots.data()[2 * pair];
    if (number != 0) EXPECT(found.insert(number).second);
  }
  for (size_t i = 0; i < added; i++) EXPECT(found.contains(static_cast<int32_t>(i + 1)));

  // Those that were added are found, and so is one that is the same as one of them; then whatever
  // the slots hold.
  const Exact<int32_t> places(count);
  index.Find(names, places.span());
  for (size_t i = 0; i < added; i++) EXPECT(places.data()[i] == static_cast<int32_t>(i));
  if (added < count && names.Has(added)) {
    const int32_t same = places.data()[added];
    EXPECT(same >= 0 && std::ranges::equal(names.At(static_cast<size_t>(same)), names.At(added)));
  }
  for (int32_t& slot : slots.span()) slot = static_cast<int32_t>(key0 * 31 + key1) >> (slot & 31);
  index.Find(names, places.span());
  for (const int32_t place : places.span()) EXPECT(place < static_cast<int32_t>(count));
}

}  // namespace safetensors::test
