// The handle JavaScript has of an open, mapped file, or of a range that files are mapped into.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "binding.h"
#include "core/file.h"
#include "core/mapping.h"

namespace safetensors {

// What one ArrayBuffer holds of a mapping. Emptied when nothing can reach the mapping through the
// buffer any more: by its finalizer, or at once when the buffer is detached. Node runs the
// finalizer on the JavaScript thread, at the latest when the environment ends. No other environment
// is to have the memory by then: Node refuses to transfer external buffers, and
// src/storage/mapped-storage.ts takes `transfer` from ours. What goes around that on purpose
// (ArrayBuffer.prototype.transfer.call, then a message to a thread that lives longer) is not
// caught.
struct Lease {
  std::shared_ptr<Mapping> mapping;
};

// Owned by a type-tagged External, whose finalizer deletes it; used on the JavaScript thread only.
// `close` empties it earlier. Work in flight takes copies of the pointers, never the handle itself.
struct FileHandle {
  // Of a mapped file until its header is read, since a mapping needs no descriptor; of one that is
  // not mapped until `close`. None for a range.
  std::shared_ptr<const File> file;
  std::shared_ptr<Mapping> mapping;  // until `close`; empty where no file is mapped
  // By the address where their buffers begin. Shared with the buffers' finalizers, which may run
  // before or after this handle is gone.
  std::unordered_map<const void*, std::shared_ptr<Lease>> leases;

  // ArrayBuffers with copies of misaligned tensors, held weakly.
  using WeakBuffer = Napi::Reference<Napi::ArrayBuffer>;
  static constexpr size_t kFewCopies = 16;
  std::vector<WeakBuffer> copies;
  size_t copies_before_pruning = kFewCopies;

  bool closed() const { return mapping == nullptr; }
  void NoteCopy(Napi::ArrayBuffer copy);
  void DetachCopies();
};

// How a file's bytes are to be had. By itself (kAuto), a file is mapped, unless that is risky or
// refused: then it is read.
enum class Backend { kAuto, kMmap, kRead };

// 'auto', 'mmap', 'read'; nothing for any other value.
std::optional<Backend> ToBackend(const Napi::Value& value);

struct Opened {
  FileHandle handle;
  size_t prefix_bytes = 0;
  bool mapped = false;  // otherwise its bytes are read through the descriptor
  // Where in the prefix the first byte of a text stands that is not ASCII; 0 when nobody has
  // looked.
  size_t ascii_end = 0;
};

// {handle, prefixBytes, mapped, asciiEnd, size, device, inode, modifiedNs}
Napi::Value WrapOpened(Napi::Env env, Opened opened);

Napi::Value WrapFileHandle(Napi::Env env, FileHandle handle);

// nullptr, with a TypeError pending, when the value is no handle of this addon or is closed.
FileHandle* UnwrapOpenFileHandle(const Napi::Value& value);

// The same of a mapping that is not guarded, unless that is wanted: for all that reads its pages,
// or hands them out.
FileHandle* UnwrapDecidedFileHandle(const Napi::Value& value);  // binding_guard.cc

// The mapping of an open handle or of a hold; nullptr, with a TypeError pending, for anything else.
const Mapping* UnwrapMapping(const Napi::Value& value);  // binding_hold.cc

}  // namespace safetensors
