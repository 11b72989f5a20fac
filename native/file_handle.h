// The handle JavaScript has of an open, mapped file.
#pragma once

#include <memory>
#include <unordered_map>

#include "binding.h"
#include "core/file.h"
#include "core/mapping.h"

namespace safetensors {

// What one ArrayBuffer holds of a mapping. Emptied when nothing can reach the mapping through the
// buffer any more: by its finalizer, or at once when the buffer is detached.
struct Lease {
  std::shared_ptr<Mapping> mapping;
};

// Owned by a type-tagged External, whose finalizer deletes it; used on the JavaScript thread only.
// `close` empties it earlier. Work in flight takes copies of the pointers, never the handle itself.
struct FileHandle {
  std::shared_ptr<const File> file;
  std::shared_ptr<Mapping> mapping;
  // By the address where their buffers begin. Shared with the buffers' finalizers, which may run
  // before or after this handle is gone.
  std::unordered_map<const void*, std::shared_ptr<Lease>> leases;

  bool closed() const { return file == nullptr; }
};

Napi::Value WrapFileHandle(Napi::Env env, FileHandle handle);

// nullptr, with a TypeError pending, when the value is no handle of this addon or is closed.
FileHandle* UnwrapOpenFileHandle(const Napi::Value& value);

}  // namespace safetensors
