// gather, gatherAsync: bytes that lie apart, copied into memory of JavaScript's own.
#include <utility>

#include "core/gather.h"
#include "file_handle.h"
#include "promise_work.h"

namespace safetensors {
namespace {

bool IsFloat64Array(const Napi::Value& value) {
  return value.IsTypedArray() &&
         value.As<Napi::TypedArray>().TypedArrayType() == napi_float64_array;
}

// Whether a double holds an integer exactly, as every number of a plan does.
bool IsExact(double number) {
  constexpr double kMaxSafeInteger = 9007199254740991.0;  // 2^53 - 1
  return number >= -kMaxSafeInteger && number <= kMaxSafeInteger &&
         static_cast<double>(static_cast<int64_t>(number)) == number;
}

// runs: Float64Array of begin, runBytes, then count and stride of each axis, the innermost last.
std::optional<Runs> ToRuns(const Napi::Value& value) {
  if (!IsFloat64Array(value)) return std::nullopt;
  const auto numbers = value.As<Napi::Float64Array>();
  const size_t length = numbers.ElementLength();
  if (length < 2 || length % 2 != 0) return std::nullopt;
  for (size_t i = 0; i < length; ++i) {
    const bool is_stride = i >= 3 && i % 2 == 1;
    if (!IsExact(numbers[i]) || (numbers[i] < 0 && !is_stride)) return std::nullopt;
  }
  Runs runs{static_cast<uint64_t>(numbers[0]), static_cast<uint64_t>(numbers[1]), {}};
  for (size_t i = 2; i < length; i += 2) {
    runs.axes.push_back({static_cast<uint64_t>(numbers[i]), static_cast<int64_t>(numbers[i + 1])});
  }
  return runs;
}

// gather(source: Handle | Uint8Array, runs: Float64Array, target: Uint8Array): void
Napi::Value GatherSync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::optional<Runs> runs = ToRuns(info[1]);
  if (!runs || !IsUint8Array(info[2])) {
    return ThrowBadArgument(env, "gather(source, runs, target)");
  }
  const std::span<std::byte> target = BytesOf(info[2].As<Napi::Uint8Array>());
  if (IsUint8Array(info[0])) {
    const std::span<std::byte> source = BytesOf(info[0].As<Napi::Uint8Array>());
    if (!AreWithin(*runs, source.size(), target.size())) {
      return ThrowBadArgument(env, "gather: runs outside the bytes");
    }
    Gather(*runs, source.data(), target.data(), 0, target.size());
    return env.Undefined();
  }
  const FileHandle* const handle = UnwrapOpenFileHandle(info[0]);
  if (handle == nullptr) return env.Undefined();
  if (!AreWithin(*runs, handle->mapping->length(), target.size())) {
    return ThrowBadArgument(env, "gather: runs outside the mapping");
  }
  GatherMapped(*runs, handle->mapping->At(0), target.data(), 0, target.size());
  return env.Undefined();
}

// gatherAsync(handle, runs: Float64Array, target: Uint8Array, begin: number, end: number):
//     Promise<void>
// Bytes [begin, end) of the target. The work has its own share of the mapping, so that `close` may
// come at any moment, and keeps the target, which nobody else knows of until it is done.
Napi::Value GatherAsync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const FileHandle* const handle = UnwrapOpenFileHandle(info[0]);
  if (handle == nullptr) return env.Undefined();
  std::optional<Runs> runs = ToRuns(info[1]);
  const std::optional<uint64_t> begin = ToByteCount(info[3]);
  const std::optional<uint64_t> end = ToByteCount(info[4]);
  if (!runs || !IsUint8Array(info[2]) || !begin || !end) {
    return ThrowBadArgument(env, "gatherAsync(handle, runs, target, begin, end)");
  }
  const auto array = info[2].As<Napi::Uint8Array>();
  const std::span<std::byte> target = BytesOf(array);
  if (!AreWithin(*runs, handle->mapping->length(), target.size()) || *begin > *end ||
      *end > target.size()) {
    return ThrowBadArgument(env, "gatherAsync: runs outside the mapping");
  }
  return PromiseWork<Nothing>::Start(
      env, array,
      [mapping = handle->mapping, runs = std::move(*runs), target = target.data(), begin = *begin,
       end = *end]() -> Result<Nothing> {
        GatherMapped(runs, mapping->At(0), target, begin, end);
        return Nothing{};
      },
      WrapNothing);
}

}  // namespace

void RegisterGather(Napi::Env env, Napi::Object exports) {
  exports.Set("gather", Napi::Function::New(env, GatherSync, "gather"));
  exports.Set("gatherAsync", Napi::Function::New(env, GatherAsync, "gatherAsync"));
}

}  // namespace safetensors
