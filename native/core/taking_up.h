// Columns of a shard's header put down in those of its model's table.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace safetensors {

// What a table says of each of its tensors.
struct TableColumns {
  std::span<uint8_t> dtypes;
  std::span<double> begins;
  std::span<double> ends;
  std::span<int32_t> shape_starts;

  bool HasAll(size_t count) const {
    return dtypes.size() >= count && begins.size() >= count && ends.size() >= count &&
           shape_starts.size() >= count;
  }
};

// The texts of shapes, each from behind its opening bracket to the closing one. One that repeats
// one of the last two is not kept twice: weights and their scales alternate.
class ShapeText {
 public:
  // Start and length of the shape that was added last, the same of the one before, and how much of
  // the memory is taken: whoever has the memory has these, and they are not known to be right.
  using Kept = std::span<int32_t, 5>;

  ShapeText(std::span<std::byte> memory, Kept kept)
      : memory_(memory.first(std::min<size_t>(memory.size(), INT32_MAX))),
        start_(kept[0]),
        length_(kept[1]),
        before_(kept[2]),
        before_length_(kept[3]),
        taken_(kept[4]) {}

  // Keeps the shape that begins at `start` of a header; where its text is, or nothing when it has
  // no end in the header or there is no room for it.
  std::optional<int32_t> Add(std::span<const std::byte> header, int32_t start);

 private:
  bool Is(int32_t kept, int32_t length, std::span<const std::byte> text) const;
  std::optional<int32_t> Append(std::span<const std::byte> text);

  std::span<std::byte> memory_;
  int32_t& start_;
  int32_t& length_;
  int32_t& before_;
  int32_t& before_length_;
  int32_t& taken_;
};

// A shard's header, and for each of its entries the one of the same name in the model, or -1.
struct ShardHeader {
  std::span<const std::byte> bytes;
  TableColumns columns;
  std::span<int32_t> matches;
  int32_t shard;
  double data_start;
};

// A model's table, and for each of its entries the shard that it must be in, and whether it was
// found.
struct ModelEntries {
  TableColumns table;
  std::span<const int32_t> shards;
  std::span<uint8_t> found;

  bool HasAll(size_t count) const {
    return table.HasAll(count) && shards.size() >= count && found.size() >= count;
  }
};

struct TakenUp {
  size_t count = 0;
  // An entry whose match had been found before: nothing was taken up behind it.
  std::optional<size_t> duplicate;
  // Whether the shape of one could not be kept: nothing was taken up behind that either.
  bool failed = false;
};

// Puts down what the header says of each entry that has a match of its shard, of the first
// `entries` of the model; takes the match from each other.
TakenUp TakeUp(const ShardHeader& header, const ModelEntries& model, size_t entries,
               ShapeText& shapes);

}  // namespace safetensors
