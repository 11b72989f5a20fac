#include "core/taking_up.h"

#include <algorithm>
#include <cstring>

namespace safetensors {
namespace {

constexpr int kCloseBracket = ']';

bool Has(std::span<const std::byte> bytes, int32_t start, int32_t length) {
  return start >= 0 && length >= 0 && static_cast<size_t>(start) <= bytes.size() &&
         static_cast<size_t>(length) <= bytes.size() - static_cast<size_t>(start);
}

}  // namespace

std::optional<int32_t> ShapeText::Add(std::span<const std::byte> header, int32_t start) {
  if (!Has(header, start, 0)) return std::nullopt;
  const std::span<const std::byte> text = header.subspan(static_cast<size_t>(start));
  if (Is(start_, length_, text)) return start_;
  const bool found = Is(before_, before_length_, text);
  const int32_t place = found ? before_ : taken_;
  const std::optional<int32_t> length = found ? before_length_ : Append(text);
  if (!length) return std::nullopt;
  before_ = start_;
  before_length_ = length_;
  start_ = place;
  length_ = *length;
  return place;
}

// Whether the kept shape, which has one bracket at its end, is the one that `text` begins with.
bool ShapeText::Is(int32_t kept, int32_t length, std::span<const std::byte> text) const {
  if (length == 0 || !Has(memory_, kept, length) || text.size() < static_cast<size_t>(length)) {
    return false;
  }
  return std::memcmp(&memory_[static_cast<size_t>(kept)], text.data(),
                     static_cast<size_t>(length)) == 0;
}

// Puts down a shape behind the others; how long it is.
std::optional<int32_t> ShapeText::Append(std::span<const std::byte> text) {
  if (text.empty()) return std::nullopt;
  const size_t most = std::min(text.size(), memory_.size());
  const void* const end = std::memchr(text.data(), kCloseBracket, most);
  if (end == nullptr) return std::nullopt;
  const auto length = static_cast<int32_t>(static_cast<const std::byte*>(end) + 1 - text.data());
  const int32_t place = taken_;
  if (!Has(memory_, place, length)) return std::nullopt;
  std::memmove(&memory_[static_cast<size_t>(place)], text.data(), static_cast<size_t>(length));
  taken_ = place + length;
  return length;
}

TakenUp TakeUp(const ShardHeader& header, const ModelEntries& model, size_t entries,
               ShapeText& shapes) {
  const TableColumns& from = header.columns;
  const TableColumns& to = model.table;
  TakenUp taken;
  for (size_t i = 0; i < header.matches.size(); ++i) {
    const auto match = static_cast<size_t>(header.matches[i]);
    if (match >= entries || model.shards[match] != header.shard) {
      header.matches[i] = -1;
      continue;
    }
    if (model.found[match] != 0) {
      taken.duplicate = i;
      return taken;
    }
    const std::optional<int32_t> shape = shapes.Add(header.bytes, from.shape_starts[i]);
    taken.failed = !shape.has_value();
    if (taken.failed) return taken;
    model.found[match] = 1;
    to.dtypes[match] = from.dtypes[i];
    to.begins[match] = header.data_start + from.begins[i];
    to.ends[match] = header.data_start + from.ends[i];
    to.shape_starts[match] = *shape;
    ++taken.count;
  }
  return taken;
}

}  // namespace safetensors
