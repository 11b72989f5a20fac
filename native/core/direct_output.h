// Writing past the page cache: the disk gets a file at its own speed, and pages that others have in
// memory stay there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"

namespace safetensors {

// Memory that a disk can take from, whose bytes come from anywhere. It is that of a file in memory:
// so the system copies them, which says EFAULT of what cannot be read, and raises no signal.
class StagingMemory {
 public:
  // Bytes that a disk is given at once. Of three threads, one may copy while it is at work for two.
  static constexpr size_t kBytes = size_t{2} << 20;

  // nullptr where the system has no such memory, or none left.
  static std::unique_ptr<StagingMemory> Make();

  StagingMemory(const StagingMemory&) = delete;
  StagingMemory& operator=(const StagingMemory&) = delete;
  ~StagingMemory();

  // Copies `bytes` to `at`, as far as that goes; returns how many. `error` is why not all of them.
  size_t Fill(size_t at, std::span<const std::byte> bytes, int& error);

  const std::byte* data() const { return data_; }

 private:
  StagingMemory(int descriptor, std::byte* data) : descriptor_(descriptor), data_(data) {}

  const int descriptor_;
  std::byte* const data_;
};

// A file that is open for writing past the page cache. It owns its descriptor, and is itself shared
// by JavaScript's handle and by each piece of work in flight: the last of them closes it. Any
// thread, several at once.
class DirectOutput {
 public:
  // What places and lengths are multiples of: the block of every usual disk.
  static constexpr uint64_t kAlignment = 4096;

  // Opens for writing the file that `descriptor` is open for and that has this path. nullptr where
  // that is not to be had: then it must be written as usual.
  static std::shared_ptr<DirectOutput> Open(const std::string& path, int descriptor);

  DirectOutput(const DirectOutput&) = delete;
  DirectOutput& operator=(const DirectOutput&) = delete;
  ~DirectOutput();

  // Writes parts, one behind the other, from `offset` on; that and their bytes in all are multiples
  // of kAlignment, EINVAL otherwise. False: this file takes nothing in this way, or there is no
  // memory for it, and all of it must be written as usual. EFAULT: memory that cannot be read, with
  // its place in the parts.
  Result<bool> Write(uint64_t offset, const std::vector<std::span<const std::byte>>& parts);

 private:
  explicit DirectOutput(int descriptor) : descriptor_(descriptor) {}

  std::unique_ptr<StagingMemory> Take();
  void GiveBack(std::unique_ptr<StagingMemory> memory);

  const int descriptor_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<StagingMemory>> free_;  // guarded by mutex_
};

}  // namespace safetensors
