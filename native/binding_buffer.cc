// mapBuffer, detach: ArrayBuffers over mapped bytes.
#include "file_handle.h"

namespace safetensors {
namespace {

void FinalizeBuffer(napi_env, void*, void* share) {
  const std::unique_ptr<std::shared_ptr<Lease>> lease{static_cast<std::shared_ptr<Lease>*>(share)};
  (*lease)->mapping.reset();
}

// mapBuffer(handle, offset: number, byteLength: number): ArrayBuffer | undefined
// An ArrayBuffer over bytes [offset, offset + byteLength) of the mapping, without copying; it keeps
// the mapping alive. Undefined where the runtime allows no external buffers.
Napi::Value MapBuffer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  FileHandle* const handle = UnwrapOpenFileHandle(info[0]);
  if (handle == nullptr) return env.Undefined();
  const std::optional<uint64_t> offset = ToByteCount(info[1]);
  const std::optional<uint64_t> length = ToByteCount(info[2]);
  if (!offset || !length || !handle->mapping->Contains(*offset, *length)) {
    return ThrowBadArgument(env, "mapBuffer: range outside the mapping");
  }
  if (*length == 0) return Napi::ArrayBuffer::New(env, 0);

  std::byte* const bytes = handle->mapping->At(*offset);
  const auto lease = std::make_shared<Lease>(handle->mapping);
  // The finalizer's share of the lease. When making the buffer fails, Node 20 has run the finalizer
  // already and other runtimes never will: so the share is not ours to delete in either case. The
  // lease is emptied instead, and what may stay behind is two pointers, never the mapping.
  auto* const share = std::make_unique<std::shared_ptr<Lease>>(lease).release();
  napi_value buffer = nullptr;
  const napi_status status =
      napi_create_external_arraybuffer(env, bytes, *length, FinalizeBuffer, share, &buffer);
  if (status == napi_ok) {
    handle->leases[bytes] = lease;
    return {env, buffer};
  }
  lease->mapping.reset();
  if (status == napi_no_external_buffers_allowed) return env.Undefined();
  if (!env.IsExceptionPending()) {
    Napi::RangeError::New(env, "the runtime refused an ArrayBuffer of this length")
        .ThrowAsJavaScriptException();
  }
  return env.Undefined();
}

// detach(handle, buffer: ArrayBuffer): void
// Empties the buffer and every view of it at once; one over the mapping gives up its hold on it.
// Waiting for its finalizer instead, which Node runs from a later turn of the event loop, would let
// a loop that opens and closes files run out of mappings. A buffer whose memory JavaScript has
// moved to another one (ArrayBuffer.prototype.transfer) is detached already: its lease is left to
// the other's finalizer.
Napi::Value Detach(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  FileHandle* const handle = UnwrapOpenFileHandle(info[0]);
  if (handle == nullptr) return env.Undefined();
  if (!info[1].IsArrayBuffer()) return ThrowBadArgument(env, "detach(handle, buffer)");
  auto buffer = info[1].As<Napi::ArrayBuffer>();
  if (buffer.IsDetached()) return env.Undefined();

  const auto lease = handle->leases.find(buffer.Data());
  if (napi_detach_arraybuffer(env, buffer) != napi_ok) {
    return ThrowBadArgument(env, "detach: the buffer cannot be detached");
  }
  if (lease != handle->leases.end()) {
    lease->second->mapping.reset();
    handle->leases.erase(lease);
  }
  return env.Undefined();
}

}  // namespace

void RegisterBuffer(Napi::Env env, Napi::Object exports) {
  exports.Set("mapBuffer", Napi::Function::New(env, MapBuffer, "mapBuffer"));
  exports.Set("detach", Napi::Function::New(env, Detach, "detach"));
}

}  // namespace safetensors
