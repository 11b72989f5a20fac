#include <setjmp.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "alone.h"
#include "core/fault_guard.h"
#include "core/mapping.h"
#include "expect.h"
#include "random.h"
#include "scratch_file.h"

namespace safetensors::test {
namespace {

using Handler = void (*)(int, siginfo_t*, void*);

thread_local sigjmp_buf here;
std::atomic<uint64_t> first_calls{0};
std::atomic<uint64_t> second_calls{0};
std::atomic<uint64_t> looping_calls{0};
Handler before_looping = nullptr;

void First(int, siginfo_t*, void*) {
  first_calls++;
  siglongjmp(here, 1);
}

void Second(int, siginfo_t*, void*) {
  second_calls++;
  siglongjmp(here, 1);
}

// As another copy of the addon does, whose handler passes on to ours, as ours does to that.
void Looping(int signal, siginfo_t* info, void* context) {
  looping_calls++;
  before_looping(signal, info, context);
}

// The handler that it takes the place of.
Handler Install(Handler handler) {
  struct sigaction action{};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  struct sigaction replaced{};
  EXPECT(sigaction(SIGBUS, &action, &replaced) == 0);
  return replaced.sa_sigaction;
}

// Raises SIGBUS, deeper or less deep in the stack, and goes on where the handler leaves to.
void Fault(const volatile std::byte* lost, uint64_t depth) {
  if (depth > 0) {
    volatile uint64_t room[16] = {depth};
    Fault(lost, room[0] - 1);
    return;
  }
  if (sigsetjmp(here, 1) != 0) return;
  static_cast<void>(*lost);
  EXPECT(false);
}

void Faults(const std::byte* lost, uint64_t count, uint64_t seed) {
  Random random(seed);
  for (uint64_t i = 0; i < count; i++) Fault(lost, random.Below(8));
}

}  // namespace

void HandlersThatLeave(uint64_t rounds, uint64_t seed) {
  const uint64_t page = Mapping::PageBytes();
  const ScratchFile file(page);
  const auto mapping = Mapping::Reserve(page);
  EXPECT(mapping.ok() && mapping.value->MapFile(file.file(), page, 0).ok());
  file.Resize(0);
  const std::byte* const lost = mapping.value->At(0);  // and not guarded

  Install(First);
  EXPECT(KeepFaultHandler().ok());
  Faults(lost, rounds, seed);
  EXPECT(first_calls == rounds);

  // Each signal goes to the last that took the place of ours, however many went there before: of
  // this thread, and of others that have ended.
  Install(Second);
  EXPECT(KeepFaultHandler().ok());
  Faults(lost, rounds, seed);
  for (uint64_t thread = 0; thread < 100; thread++) {
    std::thread(Faults, lost, 10, seed + thread).join();
  }
  EXPECT(first_calls == rounds && second_calls == rounds + 1000);

  // Where it comes back to ours, it goes to the first.
  before_looping = Install(Looping);
  EXPECT(KeepFaultHandler().ok());
  Faults(lost, rounds, seed);
  EXPECT(looping_calls == rounds && first_calls == 2 * rounds && second_calls == rounds + 1000);
}

}  // namespace safetensors::test
