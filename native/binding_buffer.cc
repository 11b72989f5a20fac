// mapBuffer, detach, noteCopy: ArrayBuffers over mapped bytes, and copies of them.
#include <algorithm>

#include "file_handle.h"

namespace safetensors {
namespace {

// The finalizer's share of a lease.
using LeaseShare = std::shared_ptr<Lease>;

void FinalizeBuffer(napi_env, void*, void* data) {
  const std::unique_ptr<LeaseShare> share{static_cast<LeaseShare*>(data)};
  (*share)->mapping.reset();
}

// mapBuffer(handle, offset: number, byteLength: number): ArrayBuffer | undefined
// An ArrayBuffer over bytes [offset, offset + byteLength) of the mapping, without copying; it keeps
// the mapping alive. Undefined where the runtime allows no external buffers.
Napi::Value MapBuffer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  FileHandle* const handle = UnwrapDecidedFileHandle(info[0]);
  if (handle == nullptr) return env.Undefined();
  const std::optional<uint64_t> offset = ToByteCount(info[1]);
  const std::optional<uint64_t> length = ToByteCount(info[2]);
  if (!offset || !length || !handle->mapping->Contains(*offset, *length)) {
    return ThrowBadArgument(env, "mapBuffer: range outside the mapping");
  }
  if (*length == 0) return Napi::ArrayBuffer::New(env, 0);

  std::byte* const bytes = handle->mapping->At(*offset);
  LeaseShare& lease = handle->leases[bytes];
  if (lease != nullptr && lease->mapping != nullptr) {
    return ThrowBadArgument(env, "mapBuffer: there is a buffer at this offset");
  }
  lease = std::make_shared<Lease>(handle->mapping);
  // When making the buffer fails, Node 20 has run the finalizer already and other runtimes never
  // will: so its share is not ours to delete in either case. The lease is released instead, and
  // what may stay behind is a few bytes, never the mapping.
  auto* const share = std::make_unique<LeaseShare>(lease).release();
  napi_value buffer = nullptr;
  const napi_status status =
      napi_create_external_arraybuffer(env, bytes, *length, FinalizeBuffer, share, &buffer);
  if (status == napi_ok) return {env, buffer};
  lease->mapping.reset();
  if (status == napi_no_external_buffers_allowed) return env.Undefined();
  if (!env.IsExceptionPending()) {
    Napi::RangeError::New(env, "the runtime refused an ArrayBuffer of this length")
        .ThrowAsJavaScriptException();
  }
  return env.Undefined();
}

// detach(handle, buffer: ArrayBuffer): boolean
// Empties the buffer and every view of it at once; one over the mapping gives up its hold on it.
// Waiting for its finalizer instead, which Node runs from a later turn of the event loop, would let
// a loop that opens and closes files run out of mappings. A buffer whose memory JavaScript has
// moved to another one after all is detached already: its lease is left to the finalizer. So it is
// when the runtime refuses, as Bun does while it writes to a file from the buffer: then this is
// false, and views keep their bytes for as long as there are any.
Napi::Value Detach(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  FileHandle* const handle = UnwrapOpenFileHandle(info[0]);
  if (handle == nullptr) return env.Undefined();
  if (!info[1].IsArrayBuffer()) return ThrowBadArgument(env, "detach(handle, buffer)");
  auto buffer = info[1].As<Napi::ArrayBuffer>();
  if (buffer.IsDetached()) return Napi::Boolean::New(env, true);

  const auto lease = handle->leases.find(buffer.Data());
  if (napi_detach_arraybuffer(env, buffer) != napi_ok) return Napi::Boolean::New(env, false);
  if (lease != handle->leases.end()) {
    lease->second->mapping.reset();
    handle->leases.erase(lease);
  }
  return Napi::Boolean::New(env, true);
}

// noteCopy(handle, copy: ArrayBuffer): void
// Holds a copy of some of the file's bytes weakly, for `close` to detach. A WeakRef would not do:
// it keeps its target until the end of the job that made it, and a loop over misaligned tensors
// would hold a copy of the whole file.
Napi::Value NoteCopy(const Napi::CallbackInfo& info) {
  FileHandle* const handle = UnwrapOpenFileHandle(info[0]);
  if (handle == nullptr) return info.Env().Undefined();
  if (!info[1].IsArrayBuffer()) return ThrowBadArgument(info.Env(), "noteCopy(handle, copy)");
  handle->NoteCopy(info[1].As<Napi::ArrayBuffer>());
  return info.Env().Undefined();
}

}  // namespace

void FileHandle::NoteCopy(Napi::ArrayBuffer copy) {
  if (copies.size() >= copies_before_pruning) {
    const Napi::HandleScope scope(copy.Env());
    std::erase_if(copies, [](const WeakBuffer& weak) { return weak.Value().IsEmpty(); });
    copies_before_pruning = std::max(kFewCopies, 2 * copies.size());
  }
  copies.push_back(WeakBuffer::New(copy));
}

void FileHandle::DetachCopies() {
  for (const WeakBuffer& weak : copies) {
    Napi::ArrayBuffer copy = weak.Value();
    // As for Detach, a refusal leaves it as it is.
    if (!copy.IsEmpty() && !copy.IsDetached()) napi_detach_arraybuffer(copy.Env(), copy);
  }
  copies.clear();
}

void RegisterBuffer(Napi::Env env, Napi::Object exports) {
  exports.Set("mapBuffer", Napi::Function::New(env, MapBuffer, "mapBuffer"));
  exports.Set("noteCopy", Napi::Function::New(env, NoteCopy, "noteCopy"));
  exports.Set("detach", Napi::Function::New(env, Detach, "detach"));
}

}  // namespace safetensors
