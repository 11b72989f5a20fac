// An open weight file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/status.h"

namespace safetensors {

// What tells one state of one file from another.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;        // bytes
  int64_t modified_ns = 0;  // nanoseconds since 1970
};

// Owns the descriptor. Immutable, so that threads may share one; the last holder closes it.
class File {
 public:
  // Opens a regular file for reading. A FIFO without a writer is refused, not awaited; another
  // process that has a lease on the file is.
  static Result<std::shared_ptr<const File>> Open(const std::string& path);

  // What regular file the path leads to, without opening it.
  static Result<FileIdentity> Look(const std::string& path);

  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  // What lies behind the bytes that are read: whether the system may read on.
  enum class ReadAhead { kNone, kUsual };

  // Reads from `offset` until `target` is full or the file ends; returns the bytes read.
  Result<size_t> Read(uint64_t offset, std::span<std::byte> target, ReadAhead ahead) const;

  // As it was when the file was opened.
  const FileIdentity& identity() const { return identity_; }
  int descriptor() const { return descriptor_; }

 private:
  File(int descriptor, const FileIdentity& identity)
      : descriptor_(descriptor), identity_(identity) {}

  const int descriptor_;
  const FileIdentity identity_;
};

}  // namespace safetensors
