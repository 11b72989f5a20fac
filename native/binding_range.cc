// fileSizes, reserve, openInto: many files in one range of addresses.
#include <string>
#include <utility>
#include <vector>

#include "core/file_system.h"
#include "core/text.h"
#include "file_handle.h"
#include "promise_work.h"

namespace safetensors {
namespace {

// The sizes of files up to the first that has none, and why it has none.
struct Sizes {
  std::vector<uint64_t> known;
  Status failure;
  bool risky = false;  // to map, at least one of them
};

Result<Sizes> SizesOf(const std::vector<std::string>& paths) {
  Sizes sizes;
  std::optional<uint64_t> device;
  for (const std::string& path : paths) {
    const Result<FileIdentity> file = File::Look(path);
    sizes.failure = file.status;
    if (!file.ok()) break;
    sizes.known.push_back(file.value.size);
    // The shards of a model are on one file system, mostly: it is asked once.
    if (device != file.value.device) sizes.risky = sizes.risky || IsRiskyToMap(path);
    device = file.value.device;
  }
  return sizes;
}

// {sizes: number[], risky: boolean, failure?: Error}
Napi::Value WrapSizes(Napi::Env env, const Sizes& sizes) {
  Napi::Array known = Napi::Array::New(env, sizes.known.size());
  for (size_t i = 0; i < sizes.known.size(); ++i) {
    known.Set(static_cast<uint32_t>(i), static_cast<double>(sizes.known[i]));
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("sizes", known);
  result.Set("risky", Napi::Boolean::New(env, sizes.risky));
  if (!sizes.failure.ok()) result.Set("failure", ToError(env, sizes.failure).Value());
  return result;
}

// fileSizes(paths: string[]): Promise<{sizes, risky, failure?}>
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

// A file that openInto is asked for.
struct WantedFile {
  std::string path;
  uint64_t offset;
  uint64_t length;
  std::span<std::byte> prefix;
  uint64_t text_start;
};

// Nothing when it is not {path: string, offset: number, byteLength: number, prefix: Uint8Array,
// textStart: number} in the range.
std::optional<WantedFile> ToWantedFile(const Napi::Value& value, const Mapping& range, bool map) {
  if (!value.IsObject()) return std::nullopt;
  const auto file = value.As<Napi::Object>();
  const Napi::Value path = file.Get("path");
  const Napi::Value prefix = file.Get("prefix");
  const std::optional<uint64_t> offset = ToByteCount(file.Get("offset"));
  const std::optional<uint64_t> length = ToByteCount(file.Get("byteLength"));
  const std::optional<uint64_t> text_start = ToByteCount(file.Get("textStart"));
  if (!path.IsString() || !IsUint8Array(prefix)) return std::nullopt;
  if (!offset || !length || !text_start || *offset % Mapping::PageBytes() != 0) return std::nullopt;
  if (map && !range.Contains(*offset, *length)) return std::nullopt;
  return WantedFile{path.As<Napi::String>().Utf8Value(), *offset, *length,
                    BytesOf(prefix.As<Napi::Uint8Array>()), *text_start};
}

Result<Opened> OpenWanted(const WantedFile& wanted, const std::shared_ptr<Mapping>& range,
                          bool map) {
  Result<std::shared_ptr<const File>> file = File::Open(wanted.path);
  if (!file.ok()) return file.status;
  Opened opened;
  opened.mapped = map;
  // Of another length than the range was planned with: the caller sees that in the identity.
  if (file.value->identity().size == wanted.length) {
    const Status status =
        map ? range->MapFile(*file.value, wanted.length, wanted.offset) : Status::Ok();
    if (!status.ok()) return status;
    const Result<size_t> read = file.value->Read(0, wanted.prefix, File::ReadAhead::kNone);
    if (!read.ok()) return read.status;
    opened.prefix_bytes = read.value;
    if (wanted.text_start < read.value) {
      const std::span<const std::byte> text = wanted.prefix.first(read.value);
      opened.ascii_end = wanted.text_start + AsciiEnd(text.subspan(wanted.text_start));
    }
  }
  opened.handle.file = std::move(file.value);
  opened.handle.mapping = range;
  return opened;
}

using OpenedFiles = std::vector<Result<Opened>>;

// Shares the range, so that it lives until the work is done even if its handle is closed meanwhile.
Result<OpenedFiles> OpenAll(const std::vector<WantedFile>& wanted,
                            const std::shared_ptr<Mapping>& range, bool map) {
  OpenedFiles opened;
  for (const WantedFile& file : wanted) opened.push_back(OpenWanted(file, range, map));
  return opened;
}

// (Opened | Error)[]
Napi::Value WrapAllOpened(Napi::Env env, OpenedFiles files) {
  Napi::Array result = Napi::Array::New(env, files.size());
  for (uint32_t i = 0; i < files.size(); ++i) {
    const Napi::HandleScope scope(env);
    result.Set(i, files[i].ok() ? WrapOpened(env, std::move(files[i].value))
                                : ToError(env, files[i].status).Value());
  }
  return result;
}

// openInto(range: Handle, files: {path, offset, byteLength, prefix, textStart}[], map: boolean):
//   Promise<(Opened | Error)[]>
Napi::Value OpenInto(const Napi::CallbackInfo& info) {
  const FileHandle* const range = UnwrapOpenFileHandle(info[0]);
  if (range == nullptr) return info.Env().Undefined();
  if (!info[1].IsArray() || !info[2].IsBoolean()) {
    return ThrowBadArgument(info.Env(), "openInto(range, files, map)");
  }
  const auto array = info[1].As<Napi::Array>();
  const bool map = info[2].As<Napi::Boolean>().Value();
  // Its own share: a getter of the files may close the handle.
  const std::shared_ptr<Mapping> mapping = range->mapping;
  std::vector<WantedFile> wanted;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::HandleScope scope(info.Env());
    std::optional<WantedFile> file = ToWantedFile(array.Get(i), *mapping, map);
    if (!file) return ThrowBadArgument(info.Env(), "openInto: a file outside of the range");
    wanted.push_back(std::move(*file));
  }
  return PromiseWork<OpenedFiles>::Start(
      info.Env(), array,
      [wanted = std::move(wanted), mapping, map] { return OpenAll(wanted, mapping, map); },
      WrapAllOpened);
}

}  // namespace

void RegisterRange(Napi::Env env, Napi::Object exports) {
  exports.Set("pageBytes", Napi::Number::New(env, static_cast<double>(Mapping::PageBytes())));
  exports.Set("fileSizes", Napi::Function::New(env, FileSizes, "fileSizes"));
  exports.Set("reserve", Napi::Function::New(env, Reserve, "reserve"));
  exports.Set("openInto", Napi::Function::New(env, OpenInto, "openInto"));
}

}  // namespace safetensors
