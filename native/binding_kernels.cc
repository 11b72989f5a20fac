// kernelSets, kernelFormats; decode, decodeTiles, decodeMxfp4, encode, each with a form that works
// on another thread and returns a promise; preferHugePages.
#include <string_view>

#include "core/fault_guard.h"
#include "core/memory.h"
#include "kernels/blocks.h"
#include "promise_work.h"

namespace safetensors {
namespace {

// What a call is to do, its arguments checked; it runs on any thread. Empty for bad arguments.
// It has raw addresses: the arrays are kept reachable by whoever runs it. What JavaScript does to
// their memory meanwhile (moving or resizing it) src/ tells callers not to; closing a mapped file
// is taken care of there, by a hold on the mapping.
using Job = std::function<Status()>;

// Memory is there, as far as its end tells, and what it loses meanwhile will not end the process.
Status BeginReading(std::span<const std::byte> memory) {
  const Status status = KeepFaultHandlerOf(memory);
  return status.ok() ? CheckEndReadable(memory) : status;
}

// Whether what has been read is what the file has, where the memory is mapped from one.
Status CheckIntact(std::span<const std::byte> memory) {
  const std::optional<uint64_t> lost = LostFrom(memory);
  return lost ? Status::Lost(*lost) : Status::Ok();
}

template <typename T>
struct Array {
  T* data;
  size_t length;

  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(data, length)); }
};

std::optional<Array<std::byte>> ToBytes(const Napi::Value& value) {
  if (!IsUint8Array(value)) return std::nullopt;
  const std::span<std::byte> bytes = BytesOf(value.As<Napi::Uint8Array>());
  return Array<std::byte>{bytes.data(), bytes.size()};
}

std::optional<Array<float>> ToFloats(const Napi::Value& value) {
  if (!value.IsTypedArray() ||
      value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    return std::nullopt;
  }
  auto array = value.As<Napi::Float32Array>();
  return Array<float>{array.Data(), array.ElementLength()};
}

const KernelSet* ToKernels(const Napi::Value& value) {
  const std::optional<uint64_t> index = ToByteCount(value);
  const auto sets = AvailableKernels();
  return index && *index < sets.size() ? sets[*index] : nullptr;
}

std::optional<Format> ToFormat(const Napi::Value& value) {
  const std::optional<uint64_t> index = ToByteCount(value);
  if (!index || *index >= kFormatCount) return std::nullopt;
  return static_cast<Format>(*index);
}

std::optional<bool> ToBool(const Napi::Value& value) {
  if (!value.IsBoolean()) return std::nullopt;
  return value.As<Napi::Boolean>().Value();
}

bool Fits(Format format, size_t count, size_t bytes) {
  const FormatInfo& info = InfoOf(format);
  return count % info.group() == 0 && info.bytes(count) == bytes;
}

// Around the caches only what they could not keep, and where the pages are there already.
Stores StoresTo(const Array<float>& target, bool large) {
  return large && IsTouched(target.bytes()) ? Stores::kStreaming : Stores::kCached;
}

// decode(kernels, format, source: Uint8Array, target: Float32Array, large: boolean)
Job DecodeJob(const Napi::CallbackInfo& info) {
  const KernelSet* const kernels = ToKernels(info[0]);
  const auto format = ToFormat(info[1]);
  const auto source = ToBytes(info[2]);
  const auto target = ToFloats(info[3]);
  const auto large = ToBool(info[4]);
  if (kernels == nullptr || !format || !source || !target || !large) return {};
  if (!Fits(*format, target->length, source->length)) return {};
  const DecodeKernel decode = kernels->decode[static_cast<size_t>(*format)];
  return [=, source = *source, target = *target, large = *large] {
    const Status status = BeginReading(source.bytes());
    if (!status.ok()) return status;
    const Stores stores = StoresTo(target, large);
    decode(source.data, target.data, target.length, stores);
    FinishStores(stores);
    return CheckIntact(source.bytes());
  };
}

// decodeTiles(kernels, format, weights: Uint8Array, scales, target: Float32Array, columns,
// tileRows,
//             tileColumns: number, large: boolean)
Job DecodeTilesJob(const Napi::CallbackInfo& info) {
  const KernelSet* const kernels = ToKernels(info[0]);
  const auto format = ToFormat(info[1]);
  const auto weights = ToBytes(info[2]);
  const auto scales = ToFloats(info[3]);
  const auto target = ToFloats(info[4]);
  const auto columns = ToByteCount(info[5]);
  const auto tile_rows = ToByteCount(info[6]);
  const auto tile_columns = ToByteCount(info[7]);
  const auto large = ToBool(info[8]);
  if (kernels == nullptr || !format || !weights || !scales || !target) return {};
  if (kernels->scaled[static_cast<size_t>(*format)] == nullptr) return {};
  if (!columns || !tile_rows || !tile_columns || !large) return {};
  if (*columns == 0 || *tile_rows == 0 || *tile_columns == 0) return {};
  if (target->length % *columns != 0 || *columns % InfoOf(*format).group() != 0) return {};
  if (!Fits(*format, target->length, weights->length)) return {};
  const Tiles tiles{*columns, *tile_rows, *tile_columns};
  const size_t rows = target->length / *columns;
  const size_t down = rows / *tile_rows + (rows % *tile_rows != 0);
  if (scales->length % tiles.across() != 0 || scales->length / tiles.across() != down) return {};
  return [=, format = *format, weights = *weights, scales = *scales, target = *target,
          large = *large] {
    const Status status = BeginReading(weights.bytes());
    if (!status.ok()) return status;
    const Stores stores = StoresTo(target, large);
    DecodeTiles(*kernels, format, weights.data, scales.data, target.data, rows, tiles, stores);
    FinishStores(stores);
    return CheckIntact(weights.bytes());
  };
}

// decodeMxfp4(kernels, blocks, scales: Uint8Array, target: Float32Array, large: boolean)
Job DecodeMxfp4Job(const Napi::CallbackInfo& info) {
  const KernelSet* const kernels = ToKernels(info[0]);
  const auto blocks = ToBytes(info[1]);
  const auto scales = ToBytes(info[2]);
  const auto target = ToFloats(info[3]);
  const auto large = ToBool(info[4]);
  if (kernels == nullptr || !blocks || !scales || !target || !large) return {};
  const size_t count = scales->length;
  if (blocks->length % kMxfp4BlockBytes != 0 || blocks->length / kMxfp4BlockBytes != count ||
      target->length % kMxBlockElements != 0 || target->length / kMxBlockElements != count) {
    return {};
  }
  return [=, blocks = *blocks, scales = *scales, target = *target, large = *large] {
    for (const auto& memory : {blocks.bytes(), scales.bytes()}) {
      const Status status = BeginReading(memory);
      if (!status.ok()) return status;
    }
    const Stores stores = StoresTo(target, large);
    DecodeMxfp4(*kernels, blocks.data, scales.data, target.data, count, stores);
    FinishStores(stores);
    const Status status = CheckIntact(blocks.bytes());
    return status.ok() ? CheckIntact(scales.bytes()) : status;
  };
}

// encode(kernels, format, source: Float32Array, target: Uint8Array, saturate: boolean)
Job EncodeJob(const Napi::CallbackInfo& info) {
  const KernelSet* const kernels = ToKernels(info[0]);
  const auto format = ToFormat(info[1]);
  const auto source = ToFloats(info[2]);
  const auto target = ToBytes(info[3]);
  const auto saturate = ToBool(info[4]);
  if (kernels == nullptr || !format || !source || !target || !saturate) return {};
  const EncodeKernel encode = kernels->encode[static_cast<size_t>(*format)];
  if (encode == nullptr || !Fits(*format, source->length, target->length)) return {};
  return [=, source = *source, target = *target, saturate = *saturate] {
    const Status status = BeginReading(source.bytes());
    if (!status.ok()) return status;
    encode(source.data, target.data, source.length, saturate);
    return CheckIntact(source.bytes());
  };
}

using MakeJob = Job (*)(const Napi::CallbackInfo&);

template <MakeJob kMakeJob>
Napi::Value Run(const Napi::CallbackInfo& info) {
  const Job job = kMakeJob(info);
  if (!job) return ThrowBadArgument(info.Env(), "kernels: arguments that do not fit together");
  const Status status = job();
  if (!status.ok()) ToError(info.Env(), status).ThrowAsJavaScriptException();
  return info.Env().Undefined();
}

template <MakeJob kMakeJob>
Napi::Value RunAsync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Job job = kMakeJob(info);
  if (!job) return ThrowBadArgument(env, "kernels: arguments that do not fit together");
  Napi::Array arguments = Napi::Array::New(env, info.Length());
  for (uint32_t i = 0; i < info.Length(); i++) arguments.Set(i, info[i]);
  return PromiseWork<Nothing>::Start(
      env, arguments,
      [job = std::move(job)]() -> Result<Nothing> {
        const Status status = job();
        if (!status.ok()) return status;
        return Nothing{};
      },
      WrapNothing);
}

template <MakeJob kMakeJob>
void Register(Napi::Env env, Napi::Object exports, const std::string& name) {
  exports.Set(name, Napi::Function::New(env, Run<kMakeJob>, name));
  exports.Set(name + "Async", Napi::Function::New(env, RunAsync<kMakeJob>, name + "Async"));
}

// preferHugePages(memory: Float32Array): void
Napi::Value PreferHugePagesIn(const Napi::CallbackInfo& info) {
  const auto memory = ToFloats(info[0]);
  if (!memory) return ThrowBadArgument(info.Env(), "preferHugePages(memory)");
  PreferHugePages(std::as_writable_bytes(std::span(memory->data, memory->length)));
  return info.Env().Undefined();
}

}  // namespace

void RegisterKernels(Napi::Env env, Napi::Object exports) {
  Napi::Array sets = Napi::Array::New(env);
  for (const KernelSet* set : AvailableKernels()) sets.Set(sets.Length(), set->name);
  exports.Set("kernelSets", sets);
  Napi::Array formats = Napi::Array::New(env);
  for (const FormatInfo& format : kFormats) formats.Set(formats.Length(), format.dtype);
  exports.Set("kernelFormats", formats);
  Register<DecodeJob>(env, exports, "decode");
  Register<DecodeTilesJob>(env, exports, "decodeTiles");
  Register<DecodeMxfp4Job>(env, exports, "decodeMxfp4");
  Register<EncodeJob>(env, exports, "encode");
  exports.Set("preferHugePages", Napi::Function::New(env, PreferHugePagesIn, "preferHugePages"));
}

}  // namespace safetensors
