// The handlers that were there before ours, and to which it passes on what is not its own.
#pragma once

#include <signal.h>

namespace safetensors {

// From now on the one that CallPreviousHandler calls. May be called again, when another handler has
// taken the place of ours and ours takes it back; false when that has been done by too many others,
// and the last one stays. Any thread.
bool SetPreviousHandler(const struct sigaction& action);

// Whether the system raised a signal, for an instruction that cannot go on; else a process sent it.
inline bool IsFault(const siginfo_t& info) {
#ifdef __APPLE__
  return info.si_code != SI_USER && info.si_code != SI_QUEUE;
#else
  return info.si_code > 0;
#endif
}

// In a handler: does what the system would have done without it; but the other handler runs with
// the signals blocked that ours blocks, whatever its sa_mask and SA_NODEFER say, and stays for the
// next signal, whatever SA_RESETHAND says: to take it out again would be a write to what other
// threads read.
void CallPreviousHandler(int signal, siginfo_t* info, void* context);

}  // namespace safetensors
