// The handle JavaScript has of an open, mapped file.
#pragma once

#include <memory>

#include "binding.h"
#include "core/file.h"
#include "core/mapping.h"

namespace safetensors {

// Owned by a type-tagged External, whose finalizer deletes it on the JavaScript thread. `close`
// empties it earlier. Work in flight takes copies of the pointers, never the handle itself.
struct FileHandle {
  std::shared_ptr<const File> file;
  std::shared_ptr<Mapping> mapping;

  bool closed() const { return file == nullptr; }
};

Napi::Value WrapFileHandle(Napi::Env env, FileHandle handle);

// nullptr, with a TypeError pending, when the value is no handle of this addon or is closed.
FileHandle* UnwrapOpenFileHandle(const Napi::Value& value);

}  // namespace safetensors
