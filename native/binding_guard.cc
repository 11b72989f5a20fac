// guard, keepGuard, lostIn, anyLost, lostAt, noteLost: pages that mapped files lose.
#include "file_handle.h"

namespace safetensors {
namespace {

Napi::Value WrapPlace(Napi::Env env, std::optional<uint64_t> place) {
  return place ? Napi::Number::New(env, static_cast<double>(*place)) : env.Undefined();
}

// guard(handle, guarded: boolean): void
Napi::Value Guard(const Napi::CallbackInfo& info) {
  const FileHandle* const handle = UnwrapOpenFileHandle(info[0]);
  if (handle == nullptr) return info.Env().Undefined();
  if (!info[1].IsBoolean() || handle->mapping->is_decided()) {
    return ThrowBadArgument(info.Env(), "guard(handle, guarded), once");
  }
  if (!info[1].As<Napi::Boolean>().Value()) {
    handle->mapping->LeaveUnguarded();
    return info.Env().Undefined();
  }
  const Status status = handle->mapping->Guard();
  if (!status.ok()) ToError(info.Env(), status).ThrowAsJavaScriptException();
  return info.Env().Undefined();
}

// keepGuard(): void
Napi::Value KeepGuard(const Napi::CallbackInfo& info) {
  const Status status = KeepFaultHandler();
  if (!status.ok()) ToError(info.Env(), status).ThrowAsJavaScriptException();
  return info.Env().Undefined();
}

// lostIn(source: Handle | Hold, begin: number, end: number): number | undefined
Napi::Value LostIn(const Napi::CallbackInfo& info) {
  const Mapping* const mapping = UnwrapMapping(info[0]);
  if (mapping == nullptr) return info.Env().Undefined();
  const std::optional<uint64_t> begin = ToByteCount(info[1]);
  const std::optional<uint64_t> end = ToByteCount(info[2]);
  if (!begin || !end || *begin > *end || !mapping->Contains(*begin, *end - *begin)) {
    return ThrowBadArgument(info.Env(), "lostIn: range outside the mapping");
  }
  return WrapPlace(info.Env(), mapping->LostFrom(*begin, *end - *begin));
}

// anyLost(): boolean
Napi::Value AnyLost(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), AnyFaults());
}

// lostAt(memory: Uint8Array): number | undefined
Napi::Value LostAt(const Napi::CallbackInfo& info) {
  if (!IsUint8Array(info[0])) return ThrowBadArgument(info.Env(), "lostAt(memory)");
  return WrapPlace(info.Env(), LostFrom(BytesOf(info[0].As<Napi::Uint8Array>())));
}

// noteLost(memory: Uint8Array): void
Napi::Value NoteLostAt(const Napi::CallbackInfo& info) {
  if (!IsUint8Array(info[0])) return ThrowBadArgument(info.Env(), "noteLost(memory)");
  const std::span<std::byte> memory = BytesOf(info[0].As<Napi::Uint8Array>());
  if (!memory.empty()) NoteLost(memory.data());
  return info.Env().Undefined();
}

}  // namespace

FileHandle* UnwrapDecidedFileHandle(const Napi::Value& value) {
  FileHandle* const handle = UnwrapOpenFileHandle(value);
  if (handle == nullptr || handle->mapping->is_decided()) return handle;
  ThrowBadArgument(value.Env(), "nobody has said whether the mapping is guarded");
  return nullptr;
}

void RegisterGuard(Napi::Env env, Napi::Object exports) {
  exports.Set("guard", Napi::Function::New(env, Guard, "guard"));
  exports.Set("keepGuard", Napi::Function::New(env, KeepGuard, "keepGuard"));
  exports.Set("lostIn", Napi::Function::New(env, LostIn, "lostIn"));
  exports.Set("anyLost", Napi::Function::New(env, AnyLost, "anyLost"));
  exports.Set("lostAt", Napi::Function::New(env, LostAt, "lostAt"));
  exports.Set("noteLost", Napi::Function::New(env, NoteLostAt, "noteLost"));
}

}  // namespace safetensors
