// fileSizes, reserve, openInto: many files in one range of addresses.
#include <string>
#include <utility>
#include <vector>

#include "file_handle.h"
#include "promise_work.h"

namespace safetensors {
namespace {

// The sizes of files up to the first that has none, and why it has none.
struct Sizes {
  std::vector<uint64_t> known;
  Status failure;
};

Result<Sizes> SizesOf(const std::vector<std::string>& paths) {
  Sizes sizes;
  for (const std::string& path : paths) {
    const Result<uint64_t> size = File::Size(path);
    sizes.failure = size.status;
    if (!size.ok()) break;
    sizes.known.push_back(size.value);
  }
  return sizes;
}

// {sizes: number[], failure?: Error}
Napi::Value WrapSizes(Napi::Env env, const Sizes& sizes) {
  Napi::Array known = Napi::Array::New(env, sizes.known.size());
  for (size_t i = 0; i < sizes.known.size(); ++i) {
    known.Set(static_cast<uint32_t>(i), static_cast<double>(sizes.known[i]));
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("sizes", known);
  if (!sizes.failure.ok()) result.Set("failure", ToError(env, sizes.failure).Value());
  return result;
}

// fileSizes(paths: string[]): Promise<{sizes, failure?}>
Napi::Value FileSizes(const Napi::CallbackInfo& info) {
  if (!info[0].IsArray()) return ThrowBadArgument(info.Env(), "fileSizes(paths)");
  const auto array = info[0].As<Napi::Array>();
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::HandleScope scope(info.Env());
    const Napi::Value path = array.Get(i);
    if (!path.IsString()) return ThrowBadArgument(info.Env(), "fileSizes(paths)");
    paths.push_back(path.As<Napi::String>().Utf8Value());
  }
  return PromiseWork<Sizes>::Start(
      info.Env(), array, [paths = std::move(paths)] { return SizesOf(paths); }, WrapSizes);
}

// reserve(byteLength: number): Handle
// A range of addresses without a file: openInto maps files there. A page that no file was mapped to
// must not be touched, so that JavaScript may have buffers over it only when the range is full.
Napi::Value Reserve(const Napi::CallbackInfo& info) {
  const std::optional<uint64_t> length = ToByteCount(info[0]);
  if (!length) return ThrowBadArgument(info.Env(), "reserve(byteLength)");
  Result<std::shared_ptr<Mapping>> mapping = Mapping::Reserve(*length);
  if (!mapping.ok()) {
    ToError(info.Env(), mapping.status).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  FileHandle handle;
  handle.mapping = std::move(mapping.value);
  return WrapFileHandle(info.Env(), std::move(handle));
}

// What openInto is asked for. It shares the range, so that it lives until the work is done even if
// its handle is closed meanwhile.
struct OpenRequest {
  std::shared_ptr<Mapping> range;
  std::string path;
  uint64_t offset;
  uint64_t length;
  std::span<std::byte> prefix;

  Result<Opened> Run() const {
    Result<std::shared_ptr<const File>> file = File::Open(path);
    if (!file.ok()) return file.status;
    Opened opened;
    // Of another length than the range was planned with: the caller sees that in the identity.
    if (file.value->identity().size == length) {
      if (const Status status = range->MapFile(*file.value, length, offset); !status.ok()) {
        return status;
      }
      const Result<size_t> read = file.value->Read(0, prefix);
      if (!read.ok()) return read.status;
      opened.prefix_bytes = read.value;
    }
    opened.handle.file = std::move(file.value);
    opened.handle.mapping = range;
    return opened;
  }
};

// openInto(range: Handle, path: string, offset: number, byteLength: number, prefix: Uint8Array):
//     Promise<Opened>
Napi::Value OpenInto(const Napi::CallbackInfo& info) {
  const FileHandle* const range = UnwrapOpenFileHandle(info[0]);
  if (range == nullptr) return info.Env().Undefined();
  const std::optional<uint64_t> offset = ToByteCount(info[2]);
  const std::optional<uint64_t> length = ToByteCount(info[3]);
  if (!info[1].IsString() || !offset || !length || !IsUint8Array(info[4]) ||
      *offset % Mapping::PageBytes() != 0 || !range->mapping->Contains(*offset, *length)) {
    return ThrowBadArgument(info.Env(), "openInto(range, path, offset, byteLength, prefix)");
  }
  const auto prefix = info[4].As<Napi::Uint8Array>();
  OpenRequest request{range->mapping, info[1].As<Napi::String>().Utf8Value(), *offset, *length,
                      BytesOf(prefix)};
  return PromiseWork<Opened>::Start(
      info.Env(), prefix, [request = std::move(request)] { return request.Run(); }, WrapOpened);
}

}  // namespace

void RegisterRange(Napi::Env env, Napi::Object exports) {
  exports.Set("pageBytes", Napi::Number::New(env, static_cast<double>(Mapping::PageBytes())));
  exports.Set("fileSizes", Napi::Function::New(env, FileSizes, "fileSizes"));
  exports.Set("reserve", Napi::Function::New(env, Reserve, "reserve"));
  exports.Set("openInto", Napi::Function::New(env, OpenInto, "openInto"));
}

}  // namespace safetensors
