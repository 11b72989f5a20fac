// startPageIn, pageInBytes, pageInFinished, cancelPageIn, residentBytes, dropPages: the pages of a
// mapping.
#include <utility>
#include <vector>

#include "core/page_in_job.h"
#include "file_handle.h"
#include "promise_work.h"

namespace safetensors {
namespace {

constexpr napi_type_tag kPageInTag = {0x94d27c1be05a4f83, 0xa6e3f80b5d1c2947};

// The most that JavaScript may ask for: beyond it threads only wait for each other.
constexpr double kMostThreads = 64;

struct RangesOf {
  std::shared_ptr<Mapping> mapping;
  std::vector<ByteRange> ranges;
};

// (handle, ranges: Float64Array of offset and length in turn). Nothing, with a TypeError pending,
// when a range is not in the mapping.
std::optional<RangesOf> ToRanges(const Napi::CallbackInfo& info) {
  const FileHandle* const handle = UnwrapDecidedFileHandle(info[0]);
  if (handle == nullptr) return std::nullopt;
  RangesOf result{handle->mapping, {}};
  bool ok = info[1].IsTypedArray() &&
            info[1].As<Napi::TypedArray>().TypedArrayType() == napi_float64_array;
  if (ok) {
    const auto numbers = info[1].As<Napi::Float64Array>();
    const std::span<const double> pairs{numbers.Data(), numbers.ElementLength()};
    for (size_t i = 0; ok && i + 1 < pairs.size(); i += 2) {
      const std::optional<uint64_t> offset = ToByteCount(pairs[i]);
      const std::optional<uint64_t> length = ToByteCount(pairs[i + 1]);
      ok = offset && length && result.mapping->Contains(*offset, *length);
      if (ok) result.ranges.push_back({*offset, *length});
    }
  }
  if (ok) return result;
  ThrowBadArgument(info.Env(), "ranges outside the mapping");
  return std::nullopt;
}

PageInJob* UnwrapJob(const Napi::Value& value) {
  if (value.IsExternal()) {
    const auto external = value.As<Napi::External<PageInJob>>();
    if (external.CheckTypeTag(&kPageInTag)) return external.Data();
  }
  ThrowBadArgument(value.Env(), "not a page-in job");
  return nullptr;
}

// startPageIn(handle, ranges, threads: number): Job
// The job shares the mapping: closing the handle does not end it. Its finalizer cancels what is
// left and waits for the pieces in hand, also when the environment ends: no thread runs on in code
// that Node unloads then.
Napi::Value StartPageIn(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::optional<RangesOf> work = ToRanges(info);
  if (!work) return env.Undefined();
  const double threads = info[2].IsNumber() ? info[2].As<Napi::Number>().DoubleValue() : 0;
  if (!(threads >= 1 && threads <= kMostThreads)) {
    return ThrowBadArgument(env, "startPageIn(handle, ranges, threads)");
  }
  Result<std::unique_ptr<PageInJob>> job = PageInJob::Start(
      std::move(work->mapping), std::move(work->ranges), static_cast<unsigned>(threads));
  if (!job.ok()) {
    ToError(env, job.status).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto external = Napi::External<PageInJob>::New(
      env, job.value.get(), [](Napi::Env, PageInJob* dying) { std::unique_ptr<PageInJob>{dying}; });
  if (external.IsEmpty())
    return env.Undefined();  // an exception is pending; `job` ends and frees it
  job.value.release();
  external.TypeTag(&kPageInTag);
  return external;
}

// pageInBytes(job): number
Napi::Value PageInBytes(const Napi::CallbackInfo& info) {
  const PageInJob* const job = UnwrapJob(info[0]);
  if (job == nullptr) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), static_cast<double>(job->bytes()));
}

// pageInFinished(job): boolean
// Throws what the job failed of.
Napi::Value PageInFinished(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const PageInJob* const job = UnwrapJob(info[0]);
  if (job == nullptr) return env.Undefined();
  if (!job->finished()) return Napi::Boolean::New(env, false);
  if (!job->failure()) return Napi::Boolean::New(env, true);
  ToError(env, *job->failure()).ThrowAsJavaScriptException();
  return env.Undefined();
}

// cancelPageIn(job): void
Napi::Value CancelPageIn(const Napi::CallbackInfo& info) {
  if (PageInJob* const job = UnwrapJob(info[0])) job->Cancel();
  return info.Env().Undefined();
}

// residentBytes(handle, ranges): Promise<number>
Napi::Value CountResident(const Napi::CallbackInfo& info) {
  std::optional<RangesOf> work = ToRanges(info);
  if (!work) return info.Env().Undefined();
  return PromiseWork<uint64_t>::Start(
      info.Env(), info[1].As<Napi::Object>(),
      [work = std::move(*work)]() -> Result<uint64_t> {
        uint64_t resident = 0;
        for (const ByteRange& range : work.ranges) {
          const Result<uint64_t> bytes = ResidentBytes(*work.mapping, range);
          if (!bytes.ok()) return bytes.status;
          resident += bytes.value;
        }
        return resident;
      },
      [](Napi::Env env, uint64_t bytes) -> Napi::Value {
        return Napi::Number::New(env, static_cast<double>(bytes));
      });
}

// dropPages(handle, ranges): Promise<void>
Napi::Value Drop(const Napi::CallbackInfo& info) {
  std::optional<RangesOf> work = ToRanges(info);
  if (!work) return info.Env().Undefined();
  return PromiseWork<bool>::Start(
      info.Env(), info[1].As<Napi::Object>(),
      [work = std::move(*work)]() -> Result<bool> {
        for (const ByteRange& range : work.ranges) {
          const Status status = DropPages(*work.mapping, range);
          if (!status.ok()) return status;
        }
        return true;
      },
      [](Napi::Env env, bool) { return env.Undefined(); });
}

}  // namespace

void RegisterPages(Napi::Env env, Napi::Object exports) {
  exports.Set("startPageIn", Napi::Function::New(env, StartPageIn, "startPageIn"));
  exports.Set("pageInBytes", Napi::Function::New(env, PageInBytes, "pageInBytes"));
  exports.Set("pageInFinished", Napi::Function::New(env, PageInFinished, "pageInFinished"));
  exports.Set("cancelPageIn", Napi::Function::New(env, CancelPageIn, "cancelPageIn"));
  exports.Set("residentBytes", Napi::Function::New(env, CountResident, "residentBytes"));
  exports.Set("dropPages", Napi::Function::New(env, Drop, "dropPages"));
}

}  // namespace safetensors
