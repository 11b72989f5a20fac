// The prebuilt binary loads wherever Node itself does, which is glibc 2.28, though it is linked on
// a newer system. These functions got a newer symbol version in glibc 2.32 to 2.34, when they
// moved into libc.so.6; what stands here takes their place inside the addon and calls the old
// version. No system header declares them here, because their prototypes would clash.
// test/tools/tarball.ts checks the versions that the binary asks for.

#include <cstddef>  // defines __GLIBC__ where there is one

#if defined(__linux__) && defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))

#ifdef __x86_64__
#define SAFETENSORS_OLD_GLIBC "GLIBC_2.2.5"
constexpr int kStatVersion = 1;  // _STAT_VER, as glibc 2.28 has it
#else
#define SAFETENSORS_OLD_GLIBC "GLIBC_2.17"
constexpr int kStatVersion = 0;
#endif
#define SAFETENSORS_OLD(name) __asm__(".symver Old_" #name "," #name "@" SAFETENSORS_OLD_GLIBC)

extern "C" {

// libstdc++ asks it whether reference counts may do without atomic instructions: never here.
char __libc_single_threaded = 0;

int __xstat64(int version, const char* path, void* info);
int __fxstat64(int version, int descriptor, void* info);
int stat64(const char* path, void* info) { return __xstat64(kStatVersion, path, info); }
int fstat64(int descriptor, void* info) { return __fxstat64(kStatVersion, descriptor, info); }

using Thread = unsigned long;  // pthread_t
SAFETENSORS_OLD(pthread_create);
SAFETENSORS_OLD(pthread_join);
SAFETENSORS_OLD(pthread_detach);
SAFETENSORS_OLD(pthread_sigmask);
int Old_pthread_create(Thread*, const void*, void* (*)(void*), void*);
int Old_pthread_join(Thread, void**);
int Old_pthread_detach(Thread);
int Old_pthread_sigmask(int, const void*, void*);
int pthread_create(Thread* thread, const void* attributes, void* (*start)(void*), void* argument) {
  return Old_pthread_create(thread, attributes, start, argument);
}
int pthread_join(Thread thread, void** result) { return Old_pthread_join(thread, result); }
int pthread_detach(Thread thread) { return Old_pthread_detach(thread); }
int pthread_sigmask(int how, const void* signals, void* before) {
  return Old_pthread_sigmask(how, signals, before);
}
}

#endif
