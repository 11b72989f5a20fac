// A thread of the core's own.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <optional>

namespace safetensors {

// Runs a function on a thread that takes no signals: those are for the threads of Node. But the
// fault of a thread that blocks it ends the process. Nothing: the system has no thread left.
inline std::optional<pthread_t> StartThread(void* (*run)(void*), void* argument) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  for (const int fault : {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP}) sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread{};
  const int error = pthread_create(&thread, nullptr, run, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return std::nullopt;
  return thread;
}

}  // namespace safetensors
