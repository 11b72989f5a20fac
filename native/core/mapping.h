// One reserved range of addresses, and the files mapped into it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "core/fault_guard.h"
#include "core/file.h"
#include "core/status.h"

namespace safetensors {

// Owns its address range. Held by the handle that JavaScript has, by every ArrayBuffer made over
// it and by every piece of work in flight, each through its own shared_ptr: when the last holder
// lets go, on whatever thread, the range is unmapped. That touches nothing but the range, so any
// thread will do (unmap.h).
class Mapping {
 public:
  // Reserves `length` bytes of addresses: no memory, and no access until a file is mapped there.
  static Result<std::shared_ptr<Mapping>> Reserve(uint64_t length);

  // A range that is one file, all of it: see MapFile.
  static Result<std::shared_ptr<Mapping>> OfFile(const File& file);

  static uint64_t PageBytes();

  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  // Maps the first `length` bytes of `file` at `offset` (a multiple of the page size) of the range.
  // Copy-on-write: a write to these pages stays in this process and never reaches the file.
  // Threads may map at once where their ranges share no page. EMFILE: the process has as many files
  // mapped as it may.
  Status MapFile(const File& file, uint64_t length, uint64_t offset);

  // Guards all files in the range against the loss of their pages, from when this returns. Once,
  // when all are mapped, and before anybody else has their memory.
  Status Guard();
  // The same, for whoever wants signals left alone.
  void LeaveUnguarded() { guarded_ = false; }

  // KeepFaultHandler, if it is guarded: before many pages are read.
  Status KeepGuard() const;

  // Whether Guard or LeaveUnguarded has been called, as is to be before anybody has the memory.
  bool is_decided() const { return guarded_.has_value() || length_ == 0; }

  // Where a file that has bytes of a part of the range first lost a page, if any has, ever; in
  // bytes of the range. Of guarded files only. Any thread, once they are guarded.
  std::optional<uint64_t> LostFrom(uint64_t offset, uint64_t length) const;

  // Whether the system tells of all files in the range which of their pages are in the page cache.
  bool tells_residency() const { return tells_residency_.load(std::memory_order_relaxed); }

  // What all files in the range are on, as stat(2) numbers it; nothing where they are on several.
  // Any thread, once all are mapped.
  std::optional<uint64_t> device() const { return device_; }

  bool Contains(uint64_t offset, uint64_t length) const {
    return offset <= length_ && length <= length_ - offset;
  }
  std::byte* At(uint64_t offset) const { return base_ + offset; }
  uint64_t length() const { return length_; }

 private:
  Mapping(std::byte* base, uint64_t length) : base_(base), length_(length) {}

  static std::shared_ptr<Mapping> Over(void* base, uint64_t length);
  void Add(const File& file, uint64_t length, uint64_t offset, bool tells_residency);

  struct MappedFile {
    uint64_t offset;
    uint64_t length;
    FaultGuard guard;
  };

  std::byte* const base_;  // nullptr when the range is empty: mmap makes no empty ranges
  const uint64_t length_;
  std::atomic<bool> tells_residency_{true};
  std::mutex mapping_files_;
  std::vector<MappedFile> files_;
  std::optional<uint64_t> device_;
  std::optional<bool> guarded_;
};

}  // namespace safetensors
