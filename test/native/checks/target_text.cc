#include <algorithm>
#include <vector>

#include "core/text.h"
#include "exact.h"
#include "expect.h"
#include "targets.h"

namespace safetensors::test {
namespace {

constexpr uint64_t kMostText = 1000;  // many blocks, and what lies around them

bool IsMarked(uint8_t byte) { return byte == '"' || byte == '\\' || byte < 0x20; }

// Any bytes, or mostly such as stand in a text, of which few are noted.
void Fill(const Exact<std::byte>& text, Input& input) {
  const bool plain = input.Chance();
  text.FillFrom(input.Rest());
  if (!plain) return;
  constexpr uint8_t kOthers[] = {'"', '\\', 0x1f, 0x20, 0x21, 0x5b, 0x7f, 0x80};
  for (std::byte& byte : text.span()) {
    const auto value = std::to_integer<uint8_t>(byte);
    byte = std::byte{value < 200 ? static_cast<uint8_t>('a') : kOthers[value % 8]};
  }
}

}  // namespace

void Texts(Input input) {
  const Exact<std::byte> text(input.Below(kMostText), input.Below(64));
  const Exact<int32_t> marks(input.Chance() ? text.size() : input.Below(40));
  std::vector<size_t> ends(input.Below(6));
  for (size_t& end : ends) end = input.Below(text.size() + 1);
  std::ranges::sort(ends);
  Fill(text, input);

  const auto* const bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto is_high = [](uint8_t byte) { return byte > 0x7f; };
  const uint8_t* const first_high = std::find_if(bytes, bytes + text.size(), is_high);
  EXPECT(AsciiEnd(text.span()) == static_cast<size_t>(first_high - bytes));

  TextMarker marker(marks.span());
  std::vector<size_t> expected;
  size_t at = 0;
  for (const size_t end : ends) {
    marker.MarkUpTo(text.span(), end);
    for (; at < end; at++) {
      if (IsMarked(bytes[at]) && expected.size() < marks.size()) expected.push_back(at);
    }
    EXPECT(marker.count() == expected.size());
    EXPECT(marker.is_ascii() == (first_high >= bytes + end));
    for (size_t i = 0; i < expected.size(); i++) {
      EXPECT(marks.data()[i] == static_cast<int32_t>(expected[i]));
    }
  }
}

}  // namespace safetensors::test
