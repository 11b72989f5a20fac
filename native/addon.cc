// Registration. Everything the addon makes belongs to a JavaScript value (a handle or an
// ArrayBuffer), whose finalizer Node runs at the latest when the environment ends. A thread may
// thus load the addon, be terminated at any moment, and leave nothing behind; but the fault handler
// stays, which is the process's, and for its sake the addon is never unloaded (binding.gyp).
#include "binding.h"

namespace safetensors {

Napi::Error ToError(Napi::Env env, const Status& status) {
  Napi::Error error = Napi::Error::New(env, status.syscall);
  error.Set("syscall", Napi::String::New(env, status.syscall));
  if (status.not_a_file != nullptr) {
    error.Set("notAFile", Napi::String::New(env, status.not_a_file));
  } else {
    error.Set("errno", Napi::Number::New(env, -status.error));
  }
  if (status.offset) {
    error.Set("offset", Napi::Number::New(env, static_cast<double>(*status.offset)));
  }
  return error;
}

std::optional<uint64_t> ToByteCount(const Napi::Value& value) {
  if (!value.IsNumber()) return std::nullopt;
  return ToByteCount(value.As<Napi::Number>().DoubleValue());
}

std::optional<uint64_t> ToByteCount(double number) {
  constexpr double kMaxSafeInteger = 9007199254740991.0;  // 2^53 - 1
  if (!(number >= 0 && number <= kMaxSafeInteger)) return std::nullopt;
  const auto count = static_cast<uint64_t>(number);
  if (static_cast<double>(count) != number) return std::nullopt;
  return count;
}

bool IsUint8Array(const Napi::Value& value) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
}

std::span<std::byte> BytesOf(Napi::Uint8Array array) {
  return {reinterpret_cast<std::byte*>(array.Data()), array.ByteLength()};
}

Napi::Value ThrowBadArgument(Napi::Env env, const char* message) {
  Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace safetensors

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  safetensors::RegisterFile(env, exports);
  safetensors::RegisterRange(env, exports);
  safetensors::RegisterBuffer(env, exports);
  safetensors::RegisterHold(env, exports);
  safetensors::RegisterWeak(env, exports);
  safetensors::RegisterGuard(env, exports);
  safetensors::RegisterNames(env, exports);
  safetensors::RegisterPages(env, exports);
  safetensors::RegisterGather(env, exports);
  safetensors::RegisterKernels(env, exports);
  safetensors::RegisterOutput(env, exports);
  safetensors::RegisterDirect(env, exports);
  return exports;
}

NODE_API_MODULE(safetensors_mmap, Init)
