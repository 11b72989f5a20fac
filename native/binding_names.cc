// indexNames, indexNamesAsync, findNames: the names of a header, which TypeScript has found there,
// into a hash index, and to their places in one.
#include <bit>

#include "binding.h"
#include "core/name_index.h"
#include "promise_work.h"

namespace safetensors {
namespace {

// Nothing when the value is no Int32Array.
std::optional<std::span<int32_t>> ToInt32s(const Napi::Value& value) {
  if (!value.IsTypedArray()) return std::nullopt;
  if (value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) return std::nullopt;
  auto array = value.As<Napi::Int32Array>();
  return std::span<int32_t>{array.Data(), array.ElementLength()};
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

}  // namespace

void RegisterNames(Napi::Env env, Napi::Object exports) {
  exports.Set("indexNames", Napi::Function::New(env, IndexNames, "indexNames"));
  exports.Set("indexNamesAsync", Napi::Function::New(env, IndexNamesAsync, "indexNamesAsync"));
  exports.Set("findNames", Napi::Function::New(env, FindNames, "findNames"));
}

}  // namespace safetensors
