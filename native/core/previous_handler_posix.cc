#ifdef __APPLE__
#include <sys/ucontext.h>
#else
#include <ucontext.h>
#endif

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

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

// A signal that is being passed on. Noted in its ucontext_t, by a chain that begins at `uc_link`:
// the system writes that anew for each signal (nullptr) and does not read it again, so that nothing
// is left of a signal whose handler does not return (siglongjmp), nor of a thread that ends.
//
// The handler that took the place of ours may pass on to ours (another copy of this addon does),
// and ours to that one, for ever. Whoever is passed the same signal again finds its own note, and
// goes to the handler that was there first.
class PassingOn {
 public:
  explicit PassingOn(ucontext_t& context)
      : note_{kMark, &records, context.uc_link}, context_(context) {
    Link(&note_);
  }
  ~PassingOn() { Link(note_.before); }
  PassingOn(const PassingOn&) = delete;
  PassingOn& operator=(const PassingOn&) = delete;

  // Whether this copy of the addon is passing it on already.
  static bool IsNoted(const ucontext_t& context) {
    for (const ucontext_t* link = context.uc_link; link != nullptr;) {
      // What others put there is a ucontext_t, of which a note is the size of a part.
      Note note;
      std::memcpy(&note, link, sizeof note);
      if (note.mark != kMark) return false;
      if (note.owner == &records) return true;
      link = note.before;
    }
    return false;
  }

 private:
  // Of every copy, of every version: what it looks like never changes.
  struct Note {
    uint64_t mark;
    const void* owner;
    ucontext_t* before;
  };
  static_assert(sizeof(Note) <= sizeof(ucontext_t));

  // By way of an integer: compilers warn of addresses that outlive what is there, which these do
  // not.
  void Link(const void* link) {
    const volatile auto address = reinterpret_cast<uintptr_t>(link);
    context_.uc_link = reinterpret_cast<ucontext_t*>(address);
  }

  static constexpr uint64_t kMark = 0x7361666574656e73;

  Note note_;
  ucontext_t& context_;
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
  auto& interrupted = *static_cast<ucontext_t*>(context);
  const size_t record =
      PassingOn::IsNoted(interrupted) ? 0 : current.load(std::memory_order_acquire);
  const PassingOn passing(interrupted);
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
