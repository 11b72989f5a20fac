// indexNames, indexNamesAsync, findNames: the names of a header, which TypeScript has found there,
// into a hash index, and to their places in one. takeUp: what it says of them, to those places.
#include <bit>

#include "binding.h"
#include "core/name_index.h"
#include "core/taking_up.h"
#include "promise_work.h"

namespace safetensors {
namespace {

// Nothing when the value is no array of the type.
template <typename T, napi_typedarray_type kType>
std::optional<std::span<T>> ToArray(const Napi::Value& value) {
  if (!value.IsTypedArray()) return std::nullopt;
  if (value.As<Napi::TypedArray>().TypedArrayType() != kType) return std::nullopt;
  auto array = value.As<Napi::TypedArrayOf<T>>();
  return std::span<T>{array.Data(), array.ElementLength()};
}

std::optional<std::span<int32_t>> ToInt32s(const Napi::Value& value) {
  return ToArray<int32_t, napi_int32_array>(value);
}

std::optional<std::span<double>> ToDoubles(const Napi::Value& value) {
  return ToArray<double, napi_float64_array>(value);
}

std::optional<std::span<uint8_t>> ToUint8s(const Napi::Value& value) {
  return ToArray<uint8_t, napi_uint8_array>(value);
}

// Nothing when they are not (bytes, starts, ends, count), from argument `first` on.
std::optional<Names> ToNames(const Napi::CallbackInfo& info, size_t first) {
  const auto starts = ToInt32s(info[first + 1]);
  const auto ends = ToInt32s(info[first + 2]);
  const std::optional<uint64_t> count = ToByteCount(info[first + 3]);
  if (!IsUint8Array(info[first]) || !starts || !ends || !count || *count > starts->size() ||
      *count > ends->size()) {
    return std::nullopt;
  }
  return Names{
      .bytes = BytesOf(info[first].As<Napi::Uint8Array>()),
      .starts = starts->first(*count),
      .ends = ends->first(*count),
  };
}

// Nothing when they are not (bytes, starts, ends, count, slots, keys).
std::optional<NameIndex> ToNameIndex(const Napi::CallbackInfo& info) {
  const std::optional<Names> names = ToNames(info, 0);
  const auto slots = ToInt32s(info[4]);
  const auto keys = ToInt32s(info[5]);
  if (!names || !slots || !keys || keys->size() != 2 || slots->size() < 2 ||
      !std::has_single_bit(slots->size()) || names->starts.size() >= slots->size() / 2) {
    return std::nullopt;
  }
  return NameIndex{
      .names = *names,
      .slots = *slots,
      .key0 = static_cast<uint32_t>((*keys)[0]),
      .key1 = static_cast<uint32_t>((*keys)[1]),
  };
}

Napi::Value WrapCount(Napi::Env env, size_t count) {
  return Napi::Number::New(env, static_cast<double>(count));
}

// indexNames(bytes: Uint8Array, starts: Int32Array, ends: Int32Array, count: number,
//     slots: Int32Array, keys: Int32Array): number
// How many names were added, up to the first that is there twice.
Napi::Value IndexNames(const Napi::CallbackInfo& info) {
  const std::optional<NameIndex> index = ToNameIndex(info);
  if (!index) {
    return ThrowBadArgument(info.Env(), "indexNames(bytes, starts, ends, count, slots, keys)");
  }
  return WrapCount(info.Env(), index->InsertDistinct());
}

// indexNamesAsync(bytes, starts, ends, count, slots, keys): Promise<number>
// The arrays stay reachable until the work is done, and so does their memory, which nobody else
// detaches or moves: they are this package's own.
Napi::Value IndexNamesAsync(const Napi::CallbackInfo& info) {
  const std::optional<NameIndex> index = ToNameIndex(info);
  if (!index) {
    return ThrowBadArgument(info.Env(), "indexNamesAsync(bytes, starts, ends, count, slots, keys)");
  }
  Napi::Array arrays = Napi::Array::New(info.Env(), 4);
  uint32_t kept = 0;
  for (const size_t argument : {0, 1, 2, 4}) arrays.Set(kept++, info[argument]);
  return PromiseWork<size_t>::Start(
      info.Env(), arrays, [index = *index]() -> Result<size_t> { return index.InsertDistinct(); },
      WrapCount);
}

// findNames(bytes, starts, ends, count, slots, keys, others: Uint8Array, otherStarts: Int32Array,
//     otherEnds: Int32Array, otherCount: number, found: Int32Array): void
Napi::Value FindNames(const Napi::CallbackInfo& info) {
  const std::optional<NameIndex> index = ToNameIndex(info);
  const std::optional<Names> others = ToNames(info, 6);
  const auto found = ToInt32s(info[10]);
  if (!index || !others || !found || found->size() < others->starts.size()) {
    return ThrowBadArgument(info.Env(),
                            "findNames(bytes, starts, ends, count, slots, keys, others, "
                            "otherStarts, otherEnds, otherCount, found)");
  }
  index->Find(*others, found->first(others->starts.size()));
  return info.Env().Undefined();
}

// Nothing when they are not (dtypes, begins, ends, shapeStarts), from argument `first` on.
std::optional<TableColumns> ToColumns(const Napi::CallbackInfo& info, size_t first) {
  const auto dtypes = ToUint8s(info[first]);
  const auto begins = ToDoubles(info[first + 1]);
  const auto ends = ToDoubles(info[first + 2]);
  const auto shape_starts = ToInt32s(info[first + 3]);
  if (!dtypes || !begins || !ends || !shape_starts) return std::nullopt;
  return TableColumns{*dtypes, *begins, *ends, *shape_starts};
}

// Nothing when they are not (header, count, matches, shard, dataStart, ...columns).
std::optional<ShardHeader> ToShardHeader(const Napi::CallbackInfo& info) {
  const std::optional<uint64_t> count = ToByteCount(info[1]);
  const auto matches = ToInt32s(info[2]);
  const std::optional<uint64_t> shard = ToByteCount(info[3]);
  const std::optional<uint64_t> data_start = ToByteCount(info[4]);
  const std::optional<TableColumns> columns = ToColumns(info, 5);
  if (!IsUint8Array(info[0]) || !count || !matches || *count > matches->size() || !shard ||
      *shard > INT32_MAX || !data_start || !columns || !columns->HasAll(*count)) {
    return std::nullopt;
  }
  return ShardHeader{
      .bytes = BytesOf(info[0].As<Napi::Uint8Array>()),
      .columns = *columns,
      .matches = matches->first(*count),
      .shard = static_cast<int32_t>(*shard),
      .data_start = static_cast<double>(*data_start),
  };
}

// takeUp(header: Uint8Array, count: number, matches: Int32Array, shard: number, dataStart: number,
//     dtypes: Uint8Array, begins: Float64Array, ends: Float64Array, shapeStarts: Int32Array,
//     modelCount: number, modelDtypes, modelBegins, modelEnds, modelShapeStarts, shards:
//     Int32Array, found: Uint8Array, shapes: Uint8Array, kept: Int32Array): number
// How many entries were taken up, or -1 - the first that had been found before.
// Done when it returns, on the JavaScript thread, and no argument is anything but a number or an
// array of numbers: nothing runs meanwhile that could detach one, and no pointer is kept.
Napi::Value TakeUpEntries(const Napi::CallbackInfo& info) {
  constexpr size_t kKept = ShapeText::Kept::extent;
  const std::optional<ShardHeader> header = ToShardHeader(info);
  const std::optional<uint64_t> entries = ToByteCount(info[9]);
  const std::optional<TableColumns> table = ToColumns(info, 10);
  const auto shards = ToInt32s(info[14]);
  const auto found = ToUint8s(info[15]);
  const auto kept = ToInt32s(info[17]);
  if (header && entries && table && shards && found && IsUint8Array(info[16]) && kept &&
      kept->size() == kKept) {
    const ModelEntries model{.table = *table, .shards = *shards, .found = *found};
    ShapeText shapes(BytesOf(info[16].As<Napi::Uint8Array>()), kept->first<kKept>());
    if (model.HasAll(*entries)) {
      const TakenUp taken = TakeUp(*header, model, *entries, shapes);
      if (!taken.failed) {
        const auto count = static_cast<double>(taken.duplicate.value_or(taken.count));
        return Napi::Number::New(info.Env(), taken.duplicate ? -1 - count : count);
      }
    }
  }
  return ThrowBadArgument(info.Env(),
                          "takeUp(header, count, matches, shard, dataStart, dtypes, begins, ends, "
                          "shapeStarts, modelCount, modelDtypes, modelBegins, modelEnds, "
                          "modelShapeStarts, shards, found, shapes, kept)");
}

}  // namespace

void RegisterNames(Napi::Env env, Napi::Object exports) {
  exports.Set("indexNames", Napi::Function::New(env, IndexNames, "indexNames"));
  exports.Set("indexNamesAsync", Napi::Function::New(env, IndexNamesAsync, "indexNamesAsync"));
  exports.Set("findNames", Napi::Function::New(env, FindNames, "findNames"));
  exports.Set("takeUp", Napi::Function::New(env, TakeUpEntries, "takeUp"));
}

}  // namespace safetensors
