// hold, release: keeping a mapping alive while other threads read from it.
#include "file_handle.h"

namespace safetensors {
namespace {

constexpr napi_type_tag kHoldTag = {0x3be0a7d2914c58f6, 0x8a25f1c7603ed9b4};

// Writing to a file hands addresses of the mapping to libuv's threads, which `close` knows nothing
// of: so whoever writes takes a share of the mapping, and drops it when no write is under way. When
// the environment ends first, Node waits for such writes before it runs the finalizer.
struct Hold {
  std::shared_ptr<Mapping> mapping;
};

// hold(handle): Hold
Napi::Value MakeHold(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const FileHandle* const handle = UnwrapOpenFileHandle(info[0]);
  if (handle == nullptr) return env.Undefined();
  if (const Status status = handle->mapping->KeepGuard(); !status.ok()) {
    ToError(env, status).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto owned = std::make_unique<Hold>(Hold{handle->mapping});
  const auto external = Napi::External<Hold>::New(
      env, owned.get(), [](Napi::Env, Hold* dying) { std::unique_ptr<Hold>{dying}; });
  if (external.IsEmpty()) return env.Undefined();  // an exception is pending; `owned` frees it
  owned.release();
  external.TypeTag(&kHoldTag);
  return external;
}

// release(hold): void
Napi::Value Release(const Napi::CallbackInfo& info) {
  if (info[0].IsExternal()) {
    const auto external = info[0].As<Napi::External<Hold>>();
    if (external.CheckTypeTag(&kHoldTag)) {
      external.Data()->mapping.reset();
      return info.Env().Undefined();
    }
  }
  return ThrowBadArgument(info.Env(), "release(hold)");
}

}  // namespace

const Mapping* UnwrapMapping(const Napi::Value& value) {
  if (value.IsExternal()) {
    const auto external = value.As<Napi::External<Hold>>();
    if (external.CheckTypeTag(&kHoldTag) && external.Data()->mapping != nullptr) {
      return external.Data()->mapping.get();
    }
  }
  const FileHandle* const handle = UnwrapOpenFileHandle(value);
  return handle == nullptr ? nullptr : handle->mapping.get();
}

void RegisterHold(Napi::Env env, Napi::Object exports) {
  exports.Set("hold", Napi::Function::New(env, MakeHold, "hold"));
  exports.Set("release", Napi::Function::New(env, Release, "release"));
}

}  // namespace safetensors
