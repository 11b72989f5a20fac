// mapBuffer, detach: ArrayBuffers over mapped bytes.
#include "file_handle.h"

namespace safetensors {
namespace {

// What keeps a mapping alive for one ArrayBuffer. It has two holders: V8, which gives its share up
// through the buffer's finalizer, and the call that makes the buffer. When making it fails, Node 20
// has already run the finalizer and other runtimes never do; with a share of its own the call may
// empty the lease in either case, and at worst these few bytes stay behind, never the mapping.
// Both run on the JavaScript thread, so that a plain count does.
class Lease {
 public:
  explicit Lease(std::shared_ptr<Mapping> mapping) : mapping_(std::move(mapping)) {}

  void GiveUpMapping() { mapping_.reset(); }
  void GiveUpShare() {
    if (--holders_ == 0) std::unique_ptr<Lease>{this};
  }

 private:
  std::shared_ptr<Mapping> mapping_;
  int holders_ = 2;
};

void FinalizeBuffer(napi_env, void*, void* lease) { static_cast<Lease*>(lease)->GiveUpShare(); }

// mapBuffer(handle, offset: number, byteLength: number): ArrayBuffer | undefined
// An ArrayBuffer over bytes [offset, offset + byteLength) of the mapping, without copying; it keeps
// the mapping alive. Undefined where the runtime allows no external buffers.
Napi::Value MapBuffer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const FileHandle* handle = UnwrapOpenFileHandle(info[0]);
  if (handle == nullptr) return env.Undefined();
  const std::optional<uint64_t> offset = ToByteCount(info[1]);
  const std::optional<uint64_t> length = ToByteCount(info[2]);
  if (!offset || !length || !handle->mapping->Contains(*offset, *length)) {
    return ThrowBadArgument(env, "mapBuffer: range outside the mapping");
  }
  if (*length == 0) return Napi::ArrayBuffer::New(env, 0);

  Lease* const lease = std::make_unique<Lease>(handle->mapping).release();
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, handle->mapping->At(*offset), *length, FinalizeBuffer, lease, &buffer);
  if (status != napi_ok) lease->GiveUpMapping();
  lease->GiveUpShare();
  if (status == napi_ok) return {env, buffer};
  if (status == napi_no_external_buffers_allowed) return env.Undefined();
  if (!env.IsExceptionPending()) {
    Napi::RangeError::New(env, "the runtime refused an ArrayBuffer of this length")
        .ThrowAsJavaScriptException();
  }
  return env.Undefined();
}

// detach(buffer: ArrayBuffer): void
// Empties the buffer and every view of it at once. The memory stays mapped until V8 runs the
// buffer's finalizer, so that nothing can reach memory that is gone.
Napi::Value Detach(const Napi::CallbackInfo& info) {
  if (!info[0].IsArrayBuffer()) return ThrowBadArgument(info.Env(), "detach(buffer)");
  info[0].As<Napi::ArrayBuffer>().Detach();
  return info.Env().Undefined();
}

}  // namespace

void RegisterBuffer(Napi::Env env, Napi::Object exports) {
  exports.Set("mapBuffer", Napi::Function::New(env, MapBuffer, "mapBuffer"));
  exports.Set("detach", Napi::Function::New(env, Detach, "detach"));
}

}  // namespace safetensors
