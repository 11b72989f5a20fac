#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/taking_up.h"
#include "exact.h"
#include "expect.h"
#include "targets.h"

namespace safetensors::test {
namespace {

constexpr uint64_t kMostEntries = 24;

// Memory of a table's columns.
struct Columns {
  explicit Columns(size_t count) : dtypes(count), begins(count), ends(count), shapes(count) {}

  TableColumns parts() const { return {dtypes.span(), begins.span(), ends.span(), shapes.span()}; }

  Exact<uint8_t> dtypes;
  Exact<double> begins;
  Exact<double> ends;
  Exact<int32_t> shapes;
};

// A place under `below`, or now and then anything.
int32_t TakePlace(Input& input, uint64_t below) {
  if (below == 0 || input.Below(32) == 0) return input.Take<int32_t>();
  return static_cast<int32_t>(input.Below(below));
}

// From a place of `bytes` to the bracket behind it.
std::optional<std::string> TextAt(std::span<const std::byte> bytes, int32_t start) {
  std::string text;
  for (size_t i = static_cast<size_t>(start); start >= 0 && i < bytes.size(); i++) {
    text += static_cast<char>(bytes[i]);
    if (text.back() == ']') return text;
  }
  return std::nullopt;
}

}  // namespace

void Entries(Input input) {
  const size_t count = input.Below(kMostEntries);
  const size_t model_count = input.Below(kMostEntries);
  const Exact<std::byte> header(input.Below(200));
  const Exact<std::byte> texts(input.Below(400));
  const Exact<int32_t> kept(5);
  std::ranges::fill(kept.span(), 0);
  // Whatever is kept must be looked through in its bounds; most of the time it is as it should be.
  const bool known = input.Below(8) != 0;
  if (!known) kept.FillFrom(input.Rest());
  const Columns columns(count);
  const Columns table(model_count);
  const Exact<int32_t> matches(count);
  const Exact<int32_t> shards(model_count);
  const Exact<uint8_t> found(model_count);
  for (size_t i = 0; i < count; i++) {
    // Mostly different ones: one that is found twice is the last that is looked at.
    const bool any = input.Below(8) == 0;
    matches.data()[i] = any ? TakePlace(input, model_count) : static_cast<int32_t>(i);
    columns.shapes.data()[i] = TakePlace(input, header.size());
    columns.dtypes.data()[i] = static_cast<uint8_t>(37 * i);
    columns.begins.data()[i] = input.Take<uint8_t>();
    columns.ends.data()[i] = static_cast<double>(1000 + i);
  }
  for (size_t i = 0; i < model_count; i++) {
    shards.data()[i] = input.Below(8) == 0 ? 0 : 1;
    found.data()[i] = input.Below(32) == 0 ? 1 : 0;
  }
  const double data_start = input.Take<uint32_t>();
  header.FillFrom(input.Rest());
  for (std::byte& byte : header.span()) byte = std::byte(std::string("0],12]")[size_t(byte) % 6]);

  const std::vector<int32_t> wanted(matches.span().begin(), matches.span().end());
  std::vector<uint8_t> before(found.span().begin(), found.span().end());
  ShapeText shapes(texts.span(), kept.span().first<5>());
  const ShardHeader shard{.bytes = header.span(),
                          .columns = columns.parts(),
                          .matches = matches.span(),
                          .shard = 1,
                          .data_start = data_start};
  const ModelEntries model{.table = table.parts(), .shards = shards.span(), .found = found.span()};
  const TakenUp taken = TakeUp(shard, model, model_count, shapes);

  size_t taken_up = 0;
  // What must have been kept: a text again only when it was neither of the last two.
  std::string last;
  std::string before_last;
  size_t kept_bytes = 0;
  for (size_t i = 0; i < count; i++) {
    const auto match = static_cast<size_t>(wanted[i]);
    const bool served = match < model_count && shards.data()[match] == 1;
    if (!served) {
      EXPECT(matches.data()[i] == -1);
      continue;
    }
    if (before[match] != 0) {
      EXPECT(taken.duplicate == i);
      break;
    }
    const std::optional<std::string> text = TextAt(header.span(), columns.shapes.data()[i]);
    if (taken.failed && taken_up == taken.count) {
      // The first that could not be kept: it has no end, or there was no room.
      const size_t room = texts.size() - std::min<size_t>(texts.size(), kept.data()[4]);
      if (known) EXPECT(!text || text->size() > room);
      break;
    }
    before[match] = 1;
    taken_up++;
    if (text && *text != last) {
      if (*text != before_last) kept_bytes += text->size();
      before_last = last;
      last = *text;
    }
    EXPECT(found.data()[match] == 1);
    EXPECT(table.dtypes.data()[match] == columns.dtypes.data()[i]);
    EXPECT(table.begins.data()[match] == data_start + columns.begins.data()[i]);
    EXPECT(table.ends.data()[match] == data_start + columns.ends.data()[i]);
    if (known) EXPECT(TextAt(texts.span(), table.shapes.data()[match]) == text);
  }
  EXPECT(taken.count == taken_up);
  if (known) EXPECT(kept.data()[4] == static_cast<int32_t>(kept_bytes));
}

}  // namespace safetensors::test
