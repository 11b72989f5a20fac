// Failures as data: the core throws nothing and knows nothing of JavaScript.
#pragma once

#include <cerrno>
#include <cstdint>
#include <optional>
#include <utility>

namespace safetensors {

struct Status {
  int error = 0;             // errno; 0 when there is none
  const char* syscall = "";  // the call that failed, as Node names it
  // What the path leads to when it is no regular file ("a FIFO"); nullptr otherwise.
  const char* not_a_file = nullptr;
  std::optional<uint64_t> offset{};  // where in the file or the mapping, if that is known

  static Status Ok() { return {}; }
  static Status System(int error, const char* syscall) { return {error, syscall}; }
  static Status NotAFile(const char* what) { return {0, "open", what}; }
  // Pages are lost, or zeros have taken their place.
  static Status Lost(uint64_t offset) { return {EFAULT, "read", nullptr, offset}; }

  bool ok() const { return error == 0 && not_a_file == nullptr; }
};

// A value, or the reason why there is none; `value` is meaningful only when `status.ok()`.
template <typename T>
struct Result {
  Status status;
  T value{};

  Result(Status failure) : status(failure) {}
  Result(T result) : value(std::move(result)) {}

  bool ok() const { return status.ok(); }
};

}  // namespace safetensors
