#include <array>
#include <atomic>
#include <cstddef>

#include "core/previous_handler.h"

namespace safetensors {
namespace {

// A record is written once, before it is the current one, and never changes: a handler may be
// reading it on another thread.
constexpr size_t kMostRecords = 64;
std::array<struct sigaction, kMostRecords> records;
std::atomic<size_t> record_count{0};
std::atomic<size_t> current{0};
std::atomic_flag writing;

// One thread at a time. Trivially destroyed: threads may outlive the end of `main`.
class Writing {
 public:
  Writing() {
    while (writing.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~Writing() { writing.clear(std::memory_order_release); }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;
};

bool IsSame(const struct sigaction& a, const struct sigaction& b) {
  if (a.sa_flags != b.sa_flags) return false;
  return (a.sa_flags & SA_SIGINFO) != 0 ? a.sa_sigaction == b.sa_sigaction
                                        : a.sa_handler == b.sa_handler;
}

// Signals that are being passed on, by where their siginfo_t is: on the stack of their thread.
//
// The handler that took the place of ours may pass on to ours (another copy of this addon does),
// and ours to that one, for ever. Whoever is passed the same signal again knows of that, and goes
// to the handler that was there first.
constexpr size_t kMostAtOnce = 64;
std::array<std::atomic<const siginfo_t*>, kMostAtOnce> passed_on;

bool IsPassedOn(const siginfo_t* info) {
  for (const auto& other : passed_on) {
    if (other.load(std::memory_order_relaxed) == info) return true;
  }
  return false;
}

class PassingOn {
 public:
  explicit PassingOn(const siginfo_t* info) {
    for (auto& place : passed_on) {
      const siginfo_t* free = nullptr;
      if (!place.compare_exchange_strong(free, info, std::memory_order_relaxed)) continue;
      place_ = &place;
      return;
    }
  }
  ~PassingOn() {
    if (place_ != nullptr) place_->store(nullptr, std::memory_order_relaxed);
  }
  PassingOn(const PassingOn&) = delete;
  PassingOn& operator=(const PassingOn&) = delete;

  // Otherwise more threads pass on at once than there are places.
  bool noted() const { return place_ != nullptr; }

 private:
  std::atomic<const siginfo_t*>* place_ = nullptr;
};

// What the system does without a handler: it ends the process, as soon as this one returns, which
// is when the signal is no longer blocked; at the instruction that it was raised for.
void DoDefault(int signal) {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
  raise(signal);
}

}  // namespace

bool SetPreviousHandler(const struct sigaction& action) {
  const Writing one_at_a_time;
  const size_t count = record_count.load(std::memory_order_relaxed);
  size_t record = 0;
  while (record < count && !IsSame(records[record], action)) ++record;
  if (record == kMostRecords) return false;
  if (record == count) {
    records[record] = action;
    record_count.store(count + 1, std::memory_order_relaxed);
  }
  current.store(record, std::memory_order_release);
  return true;
}

void CallPreviousHandler(int signal, siginfo_t* info, void* context) {
  const bool again = IsPassedOn(info);
  const PassingOn passing(info);
  const size_t record = again || !passing.noted() ? 0 : current.load(std::memory_order_acquire);
  const struct sigaction& action = records[record];
  if (action.sa_handler == SIG_DFL) return DoDefault(signal);
  if (action.sa_handler == SIG_IGN) {
    if (IsFault(*info)) DoDefault(signal);  // cannot be ignored
    return;
  }
  if ((action.sa_flags & SA_SIGINFO) == 0) return action.sa_handler(signal);
  action.sa_sigaction(signal, info, context);
}

}  // namespace safetensors
