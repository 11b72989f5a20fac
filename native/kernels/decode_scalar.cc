// The set that runs everywhere, and that the others are held against.
#include "kernels/scalar.h"
#include "kernels/sets.h"

namespace safetensors {
namespace {

template <Format kFormat>
void Decode(const std::byte* source, float* target, size_t count, Stores) {
  DecodeScalar<kFormat>(source, target, count);
}

template <Format kFormat>
void DecodeScaled(const std::byte* source, const float* factors, float* target, size_t count,
                  Stores) {
  DecodeScaledScalar<kFormat>(source, factors, target, count);
}

void DecodeMxfp4(const std::byte* source, const float* factors, float* target, size_t blocks,
                 Stores) {
  DecodeMxfp4Scalar(source, factors, target, blocks);
}

constexpr auto kEncoders = ForEachFormat<EncodeKernel>([]<Format kFormat>() -> EncodeKernel {
  if constexpr (HasEncode(kFormat)) return EncodeScalar<kFormat>;
  return nullptr;
});

}  // namespace

const KernelSet kScalarKernels = {
    .name = "scalar",
    .decode = ForEachFormat<DecodeKernel>(
        []<Format kFormat>() -> DecodeKernel { return Decode<kFormat>; }),
    .scaled = ForEachFormat<ScaledKernel>([]<Format kFormat>() -> ScaledKernel {
      if constexpr (HasScaled(kFormat)) return DecodeScaled<kFormat>;
      return nullptr;
    }),
    .mxfp4 = DecodeMxfp4,
    .encode = kEncoders,
};

}  // namespace safetensors
