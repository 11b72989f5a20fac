// weakBuffer, derefBuffer, allowsExternalBuffers: ArrayBuffers of JavaScript's own.
#include <memory>

#include "binding.h"

namespace safetensors {
namespace {

constexpr napi_type_tag kWeakTag = {0x52e90d6b8a3f4c17, 0x9fb6042ec851d73a};

// Owned by a type-tagged External; used on the JavaScript thread only.
using WeakBuffer = Napi::Reference<Napi::ArrayBuffer>;

// weakBuffer(buffer: ArrayBuffer): Weak
// A buffer that this does not keep alive. A WeakRef would not do: it keeps its target until the end
// of the job that made it or asked for it, and a loop over tensors would hold the whole file.
Napi::Value MakeWeak(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsArrayBuffer()) return ThrowBadArgument(env, "weakBuffer(buffer)");
  auto owned = std::make_unique<WeakBuffer>(WeakBuffer::New(info[0].As<Napi::ArrayBuffer>()));
  const auto external = Napi::External<WeakBuffer>::New(
      env, owned.get(), [](Napi::Env, WeakBuffer* dying) { std::unique_ptr<WeakBuffer>{dying}; });
  if (external.IsEmpty()) return env.Undefined();  // an exception is pending; `owned` frees it
  owned.release();
  external.TypeTag(&kWeakTag);
  return external;
}

// derefBuffer(weak): ArrayBuffer | undefined
Napi::Value Deref(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info[0].IsExternal()) {
    const auto external = info[0].As<Napi::External<WeakBuffer>>();
    if (external.CheckTypeTag(&kWeakTag)) {
      const Napi::ArrayBuffer buffer = external.Data()->Value();
      if (buffer.IsEmpty()) return env.Undefined();
      return buffer;
    }
  }
  return ThrowBadArgument(env, "derefBuffer(weak)");
}

// allowsExternalBuffers(): boolean
// Whether the runtime lets JavaScript see memory that is not its own. Electron does not, since V8's
// memory cage (https://www.electronjs.org/blog/v8-memory-cage).
Napi::Value AllowsExternalBuffers(const Napi::CallbackInfo& info) {
  static std::byte byte{};  // for the life of the process: the buffer may outlive its environment
  napi_value buffer = nullptr;
  const napi_status status =
      napi_create_external_arraybuffer(info.Env(), &byte, 1, nullptr, nullptr, &buffer);
  return Napi::Boolean::New(info.Env(), status != napi_no_external_buffers_allowed);
}

}  // namespace

void RegisterWeak(Napi::Env env, Napi::Object exports) {
  exports.Set("weakBuffer", Napi::Function::New(env, MakeWeak, "weakBuffer"));
  exports.Set("derefBuffer", Napi::Function::New(env, Deref, "derefBuffer"));
  exports.Set("allowsExternalBuffers",
              Napi::Function::New(env, AllowsExternalBuffers, "allowsExternalBuffers"));
}

}  // namespace safetensors
