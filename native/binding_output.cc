// preallocate, copyRange: what node:fs has no call for when a file is written.
#include <limits>

#include "core/output.h"
#include "promise_work.h"

namespace safetensors {
namespace {

Result<Nothing> ToResult(const Status& status) {
  if (!status.ok()) return status;
  return Nothing{};
}

// Descriptors stay open until the promise is settled: whoever calls sees to it.
std::optional<int> ToDescriptor(const Napi::Value& value) {
  const std::optional<uint64_t> number = ToByteCount(value);
  if (!number || *number > std::numeric_limits<int>::max()) return std::nullopt;
  return static_cast<int>(*number);
}

// preallocate(descriptor: number, length: number): Promise<void>
Napi::Value PreallocateAsync(const Napi::CallbackInfo& info) {
  const std::optional<int> descriptor = ToDescriptor(info[0]);
  const std::optional<uint64_t> length = ToByteCount(info[1]);
  if (!descriptor || !length) {
    return ThrowBadArgument(info.Env(), "preallocate(descriptor, length)");
  }
  return PromiseWork<Nothing>::Start(
      info.Env(), Napi::Object::New(info.Env()),
      [descriptor = *descriptor, length = *length] {
        return ToResult(Preallocate(descriptor, length));
      },
      WrapNothing);
}

// copyRange(source, sourceOffset, target, targetOffset, length: number): Promise<void>
Napi::Value CopyRangeAsync(const Napi::CallbackInfo& info) {
  const std::optional<int> source = ToDescriptor(info[0]);
  const std::optional<uint64_t> source_offset = ToByteCount(info[1]);
  const std::optional<int> target = ToDescriptor(info[2]);
  const std::optional<uint64_t> target_offset = ToByteCount(info[3]);
  const std::optional<uint64_t> length = ToByteCount(info[4]);
  if (!source || !source_offset || !target || !target_offset || !length) {
    return ThrowBadArgument(info.Env(),
                            "copyRange(source, sourceOffset, target, targetOffset, length)");
  }
  const CopyRange range{*source, *source_offset, *target, *target_offset, *length};
  return PromiseWork<Nothing>::Start(
      info.Env(), Napi::Object::New(info.Env()), [range] { return ToResult(Copy(range)); },
      WrapNothing);
}

}  // namespace

void RegisterOutput(Napi::Env env, Napi::Object exports) {
  exports.Set("preallocate", Napi::Function::New(env, PreallocateAsync, "preallocate"));
  exports.Set("copyRange", Napi::Function::New(env, CopyRangeAsync, "copyRange"));
}

}  // namespace safetensors
