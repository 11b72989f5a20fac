// take(bytes: number): takes memory from the system, until the process ends.
//
// In huge pages where there are any: memory that is asked for so comes from other free memory than
// single pages do, and page caches are served from both. For benchmarks only: no part of the
// package.
#include <node_api.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace {

// Of the smallest page that there is.
constexpr size_t kStep = 4096;

napi_value Take(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr;
  int64_t bytes = 0;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  if (napi_get_value_int64(env, argument, &bytes) != napi_ok || bytes <= 0) {
    napi_throw_type_error(env, nullptr, "take(bytes)");
    return nullptr;
  }
  const auto length = static_cast<size_t>(bytes);
  void* const memory =
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    napi_throw_error(env, nullptr, "no memory");
    return nullptr;
  }
#ifdef MADV_HUGEPAGE
  madvise(memory, length, MADV_HUGEPAGE);
#endif
  auto* const pages = static_cast<volatile uint8_t*>(memory);
  for (size_t at = 0; at < length; at += kStep) pages[at] = 1;
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value take = nullptr;
  napi_create_function(env, "take", NAPI_AUTO_LENGTH, Take, nullptr, &take);
  napi_set_named_property(env, exports, "take", take);
  return exports;
}
