#include <algorithm>

#include "core/text.h"
#include "exact.h"
#include "expect.h"
#include "targets.h"

namespace safetensors::test {
namespace {

constexpr uint64_t kMostText = 1000;  // many blocks, and what lies around them

// Any bytes, or mostly ASCII.
void Fill(const Exact<std::byte>& text, Input& input) {
  const bool plain = input.Chance();
  text.FillFrom(input.Rest());
  if (!plain) return;
  constexpr uint8_t kOthers[] = {0, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x80};
  for (std::byte& byte : text.span()) {
    const auto value = std::to_integer<uint8_t>(byte);
    byte = std::byte{value < 200 ? static_cast<uint8_t>('a') : kOthers[value % 8]};
  }
}

}  // namespace

void Texts(Input input) {
  const Exact<std::byte> text(input.Below(kMostText), input.Below(64));
  Fill(text, input);

  const auto* const bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto is_high = [](uint8_t byte) { return byte > 0x7f; };
  const uint8_t* const first_high = std::find_if(bytes, bytes + text.size(), is_high);
  EXPECT(AsciiEnd(text.span()) == static_cast<size_t>(first_high - bytes));
}

}  // namespace safetensors::test
