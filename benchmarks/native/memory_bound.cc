// expand(source: Uint8Array, target: Float32Array): what decoding costs when nothing is computed.
//
// Every byte of the source is read and every byte of the target written, in step, 32 bytes at a
// time and around the caches: the bound that kernels are held against. memcpy is none, since it
// reads as much as it writes. For benchmarks only: no part of the package, and it trusts its
// arguments.
#include <immintrin.h>
#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

constexpr size_t kVector = 32;

__attribute__((target("avx2"))) void Expand(const uint8_t* source, size_t source_bytes,
                                            uint8_t* target, size_t target_bytes) {
  // Up to the first multiple of a vector, as kernels do.
  const size_t head = (kVector - reinterpret_cast<uintptr_t>(target) % kVector) % kVector;
  std::memcpy(target, source, head);
  // Bytes of the source for each vector of the target: 4 for F4, 6 for F6, up to 64 for F64.
  const size_t step = kVector * source_bytes / target_bytes;
  const size_t vectors = (target_bytes - head) / kVector;
  for (size_t i = 0; i < vectors; i++) {
    auto* const to = reinterpret_cast<__m256i*>(target + head + i * kVector);
    // The last vectors would read past the end.
    const size_t from = i * step + kVector <= source_bytes ? i * step : source_bytes - kVector;
    _mm256_stream_si256(to, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source + from)));
  }
  _mm_sfence();
}

struct Memory {
  uint8_t* data = nullptr;
  size_t bytes = 0;
};

Memory MemoryOf(napi_env env, napi_value array) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, array, &type, &length, &data, nullptr, nullptr) != napi_ok) {
    return {};
  }
  return {static_cast<uint8_t*>(data), length * (type == napi_float32_array ? 4 : 1)};
}

napi_value ExpandIn(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  const Memory source = MemoryOf(env, arguments[0]);
  const Memory target = MemoryOf(env, arguments[1]);
  if (source.bytes < kVector || target.bytes < kVector) {
    napi_throw_type_error(env, nullptr, "expand(source, target)");
    return nullptr;
  }
  Expand(source.data, source.bytes, target.data, target.bytes);
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value expand = nullptr;
  napi_create_function(env, "expand", NAPI_AUTO_LENGTH, ExpandIn, nullptr, &expand);
  napi_set_named_property(env, exports, "expand", expand);
  return exports;
}
