// indexNames: the names of a header, which TypeScript has found there, into a hash index.
#include <bit>

#include "binding.h"
#include "core/name_index.h"

namespace safetensors {
namespace {

// Nothing when the value is no Int32Array.
std::optional<std::span<int32_t>> ToInt32s(const Napi::Value& value) {
  if (!value.IsTypedArray()) return std::nullopt;
  if (value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) return std::nullopt;
  auto array = value.As<Napi::Int32Array>();
  return std::span<int32_t>{array.Data(), array.ElementLength()};
}

// indexNames(bytes: Uint8Array, starts: Int32Array, ends: Int32Array, count: number,
//     slots: Int32Array, keys: Int32Array): number
// How many names were added, up to the first that is there twice.
Napi::Value IndexNames(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  constexpr const char* kUsage = "indexNames(bytes, starts, ends, count, slots, keys)";
  if (!IsUint8Array(info[0])) return ThrowBadArgument(env, kUsage);
  const auto starts = ToInt32s(info[1]);
  const auto ends = ToInt32s(info[2]);
  const std::optional<uint64_t> count = ToByteCount(info[3]);
  const auto slots = ToInt32s(info[4]);
  const auto keys = ToInt32s(info[5]);
  if (!starts || !ends || !count || !slots || !keys || *count > starts->size() ||
      *count > ends->size() || keys->size() != 2 || slots->size() < 2 ||
      !std::has_single_bit(slots->size()) || *count >= slots->size() / 2) {
    return ThrowBadArgument(env, kUsage);
  }
  const NameIndex index{
      .bytes = BytesOf(info[0].As<Napi::Uint8Array>()),
      .starts = starts->first(*count),
      .ends = ends->first(*count),
      .slots = *slots,
      .key0 = static_cast<uint32_t>((*keys)[0]),
      .key1 = static_cast<uint32_t>((*keys)[1]),
  };
  return Napi::Number::New(env, static_cast<double>(index.InsertDistinct()));
}

}  // namespace

void RegisterNames(Napi::Env env, Napi::Object exports) {
  exports.Set("indexNames", Napi::Function::New(env, IndexNames, "indexNames"));
}

}  // namespace safetensors
