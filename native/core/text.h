// Text by its bytes. What it means is not decided here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace safetensors {

// Where the first byte stands that is over 0x7f; the size of the text when there is none.
size_t AsciiEnd(std::span<const std::byte> text);

// Notes where bytes of a text stand that can end a piece of it: quotes, backslashes, and those
// under 0x20. All of them in order, up to where `marks` is full.
class TextMarker {
 public:
  explicit TextMarker(std::span<int32_t> marks) : marks_(marks) {}

  // Goes on with the text, up to its byte `end`; that is at most 2^31 - 1.
  void MarkUpTo(std::span<const std::byte> text, size_t end);

  size_t count() const { return count_; }
  // Whether no byte so far is over 0x7f.
  bool is_ascii() const { return is_ascii_; }

 private:
  void Mark(uint64_t bits, size_t position);

  std::span<int32_t> marks_;
  size_t count_ = 0;
  size_t position_ = 0;
  bool is_ascii_ = true;
};

}  // namespace safetensors
