// openDirect, writeDirect, closeDirect: a file written past the page cache.
#include <limits>
#include <memory>

#include "core/direct_output.h"
#include "promise_work.h"

namespace safetensors {
namespace {

constexpr napi_type_tag kDirectTag = {0x51c9e0b7d42f4a86, 0x97d3b60e1fa8c254};

// What JavaScript has of it, until `closeDirect` or the finalizer; work in flight has a share of
// its own, so that the descriptor it writes to stays open, and stays that of this file.
struct DirectHandle {
  std::shared_ptr<DirectOutput> output;
};

DirectHandle* UnwrapOpen(const Napi::Value& value) {
  if (value.IsExternal()) {
    const auto external = value.As<Napi::External<DirectHandle>>();
    if (external.CheckTypeTag(&kDirectTag) && external.Data()->output != nullptr) {
      return external.Data();
    }
  }
  ThrowBadArgument(value.Env(), "not a direct output that is open");
  return nullptr;
}

// openDirect(path: string, descriptor: number): Direct | undefined
Napi::Value OpenDirect(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::optional<uint64_t> descriptor = ToByteCount(info[1]);
  if (!info[0].IsString() || !descriptor || *descriptor > std::numeric_limits<int>::max()) {
    return ThrowBadArgument(env, "openDirect(path, descriptor)");
  }
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  auto owned = std::make_unique<DirectHandle>(
      DirectHandle{DirectOutput::Open(path, static_cast<int>(*descriptor))});
  if (owned->output == nullptr) return env.Undefined();
  const auto external = Napi::External<DirectHandle>::New(
      env, owned.get(),
      [](Napi::Env, DirectHandle* dying) { std::unique_ptr<DirectHandle>{dying}; });
  if (external.IsEmpty()) return env.Undefined();  // an exception is pending; `owned` frees it
  owned.release();
  external.TypeTag(&kDirectTag);
  return external;
}

// The memory of an array of Uint8Arrays; nothing for any other value.
std::optional<std::vector<std::span<const std::byte>>> ToParts(const Napi::Value& value) {
  if (!value.IsArray()) return std::nullopt;
  const auto array = value.As<Napi::Array>();
  std::vector<std::span<const std::byte>> parts;
  parts.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value part = array[i];
    if (!IsUint8Array(part)) return std::nullopt;
    parts.push_back(BytesOf(part.As<Napi::Uint8Array>()));
  }
  return parts;
}

// writeDirect(direct, offset: number, parts: Uint8Array[]): Promise<boolean>
// The array of parts keeps their buffers; whoever takes the memory away from these meanwhile has
// the system say EFAULT, or whatever is there now be written.
Napi::Value WriteDirect(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const DirectHandle* const handle = UnwrapOpen(info[0]);
  if (handle == nullptr) return env.Undefined();
  // Its own share: a getter of the parts may close the handle.
  const std::shared_ptr<DirectOutput> output = handle->output;
  const std::optional<uint64_t> offset = ToByteCount(info[1]);
  auto parts = ToParts(info[2]);
  if (!offset || !parts) return ThrowBadArgument(env, "writeDirect(direct, offset, parts)");
  return PromiseWork<bool>::Start(
      env, info[2].As<Napi::Object>(),
      [output, offset = *offset, parts = std::move(*parts)] {
        return output->Write(offset, parts);
      },
      [](Napi::Env env, bool written) -> Napi::Value { return Napi::Boolean::New(env, written); });
}

// closeDirect(direct): void
Napi::Value CloseDirect(const Napi::CallbackInfo& info) {
  if (DirectHandle* const handle = UnwrapOpen(info[0])) handle->output.reset();
  return info.Env().Undefined();
}

}  // namespace

void RegisterDirect(Napi::Env env, Napi::Object exports) {
  exports.Set("openDirect", Napi::Function::New(env, OpenDirect, "openDirect"));
  exports.Set("writeDirect", Napi::Function::New(env, WriteDirect, "writeDirect"));
  exports.Set("closeDirect", Napi::Function::New(env, CloseDirect, "closeDirect"));
}

}  // namespace safetensors
