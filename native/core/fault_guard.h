// Keeps the process alive when a mapped file loses pages: because it was cut short, or its disk
// cannot be read. The system says so by SIGBUS, to whoever touches such a page.
//
// One handler for the process puts pages of zeros in their place, and takes a note: what has read
// from the file asks afterwards whether anything was lost. All other faults, and signals that were
// sent, go on to the handler that was there before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "core/guarded_ranges.h"
#include "core/status.h"

namespace safetensors {

// Guards the pages of one mapped file. Must begin before anybody else has the memory, and end
// before it is unmapped: the handler never touches memory that may be another's.
class FaultGuard {
 public:
  // `memory` begins with a page. ENOMEM: there is no place to note it.
  static Result<FaultGuard> Watch(std::span<std::byte> memory);

  FaultGuard() = default;
  FaultGuard(FaultGuard&& other) noexcept : range_(std::exchange(other.range_, nullptr)) {}
  FaultGuard& operator=(FaultGuard&& other) noexcept {
    std::swap(range_, other.range_);
    return *this;
  }
  ~FaultGuard();

  // Bytes from the start of the file to the first page that was ever lost.
  std::optional<uint64_t> lost_from() const;

 private:
  explicit FaultGuard(GuardedRange* range) : range_(range) {}

  GuardedRange* range_ = nullptr;
};

// Sees to it that the handler is there, also when someone else has put theirs in its place: that
// one is then where other faults go on to. Any thread; costs a system call.
Status KeepFaultHandler();

// The same where memory is mapped from a guarded file, before much of it is read.
Status KeepFaultHandlerOf(std::span<const std::byte> memory);

// Whether a file has lost pages that memory is mapped from: FaultGuard::lost_from of that file, for
// memory that nobody knows more of than its address. Guarded files only.
std::optional<uint64_t> LostFrom(std::span<const std::byte> memory);

// Whether any guarded file of the process has ever lost a page; for whoever has read from one and
// asks whether it was all there.
bool AnyFaults();

// Takes note of a page that the system refused to read (EFAULT), of which no signal tells: it is
// lost from then on, whatever becomes of the file, and with it all that was cut off. Does nothing
// to memory that is not guarded.
void NoteLost(const std::byte* place);

}  // namespace safetensors
