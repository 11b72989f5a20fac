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

// What both are asked for: (source, runs: Float64Array, target: Uint8Array, begin: number,
// end: number).
struct GatherRequest {
  Runs runs;
  std::span<std::byte> target;
  uint64_t begin;
  uint64_t end;
};

// Nothing, with a TypeError pending, unless all runs are within the source, and the part within the
// target.
std::optional<GatherRequest> ToRequest(const Napi::CallbackInfo& info, uint64_t source_bytes) {
  std::optional<Runs> runs = ToRuns(info[1]);
  const std::optional<uint64_t> begin = ToByteCount(info[3]);
  const std::optional<uint64_t> end = ToByteCount(info[4]);
  if (runs && IsUint8Array(info[2]) && begin && end) {
    const std::span<std::byte> target = BytesOf(info[2].As<Napi::Uint8Array>());
    if (AreWithin(*runs, source_bytes, target.size()) && *begin <= *end && *end <= target.size()) {
      return GatherRequest{std::move(*runs), target, *begin, *end};
    }
  }
  ThrowBadArgument(info.Env(), "gather: runs outside the memory");
  return std::nullopt;
}

// gather(source: Handle | Uint8Array, runs, target, begin, end): void
Napi::Value GatherSync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (IsUint8Array(info[0])) {
    const std::span<const std::byte> source = BytesOf(info[0].As<Napi::Uint8Array>());
    if (const auto request = ToRequest(info, source.size())) {
      Gather(request->runs, source.data(), request->target, request->begin, request->end);
    }
    return env.Undefined();
  }
  const FileHandle* const handle = UnwrapDecidedFileHandle(info[0]);
  if (handle == nullptr) return env.Undefined();
  const auto request = ToRequest(info, handle->mapping->length());
  if (!request) return env.Undefined();
  const Status status =
      GatherMapped(request->runs, *handle->mapping, request->target, request->begin, request->end);
  if (!status.ok()) ToError(env, status).ThrowAsJavaScriptException();
  return env.Undefined();
}

// gatherAsync(handle, runs, target, begin, end): Promise<void>
// The work has its own share of the mapping, so that `close` may come at any moment, and keeps the
// target, which nobody else knows of until it is done.
Napi::Value GatherAsync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const FileHandle* const handle = UnwrapDecidedFileHandle(info[0]);
  if (handle == nullptr) return env.Undefined();
  auto request = ToRequest(info, handle->mapping->length());
  if (!request) return env.Undefined();
  return PromiseWork<Nothing>::Start(
      env, info[2].As<Napi::Object>(),
      [mapping = handle->mapping, request = std::move(*request)]() -> Result<Nothing> {
        const auto& [runs, target, begin, end] = request;
        const Status status = GatherMapped(runs, *mapping, target, begin, end);
        if (!status.ok()) return status;
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
