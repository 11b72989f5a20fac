// open, openSync, look, read, readSync, closeDescriptor, close: the life of a file handle.
#include <string>
#include <utility>

#include "core/file_system.h"
#include "file_handle.h"
#include "promise_work.h"

namespace safetensors {
namespace {

// Random, so that no other addon's externals pass for ours.
constexpr napi_type_tag kFileHandleTag = {0x6d1f9a53c7e84b02, 0xb1c05e2d94f7a386};

// Opens and maps a file, and reads its beginning into `prefix`: with a header that fits there, one
// trip to another thread does for the whole opening.
Result<Opened> Open(const std::string& path, std::span<std::byte> prefix, Backend backend) {
  Result<std::shared_ptr<const File>> file = File::Open(path);
  if (!file.ok()) return file.status;
  Opened opened;
  opened.mapped =
      backend == Backend::kMmap || (backend == Backend::kAuto && !IsRiskyToMap(*file.value));
  Result<std::shared_ptr<Mapping>> mapping =
      opened.mapped ? Mapping::OfFile(*file.value) : Mapping::Reserve(0);
  if (backend == Backend::kAuto && opened.mapped && IsMapRefusal(mapping.status.error)) {
    opened.mapped = false;
    mapping = Mapping::Reserve(0);
  }
  if (!mapping.ok()) return mapping.status;
  const Result<size_t> read = file.value->Read(0, prefix, File::ReadAhead::kNone);
  if (!read.ok()) return read.status;
  opened.handle.file = std::move(file.value);
  opened.handle.mapping = std::move(mapping.value);
  opened.prefix_bytes = read.value;
  return opened;
}

// What open and openSync are asked for: (path: string, prefix: Uint8Array, backend: string).
struct OpenRequest {
  std::string path;
  std::span<std::byte> prefix;
  Backend backend;

  Result<Opened> Run() const { return Open(path, prefix, backend); }
};

std::optional<OpenRequest> ToOpenRequest(const Napi::CallbackInfo& info) {
  const std::optional<Backend> backend = ToBackend(info[2]);
  if (!info[0].IsString() || !IsUint8Array(info[1]) || !backend) {
    ThrowBadArgument(info.Env(), "open(path, prefix, backend)");
    return std::nullopt;
  }
  return OpenRequest{info[0].As<Napi::String>().Utf8Value(),
                     BytesOf(info[1].As<Napi::Uint8Array>()), *backend};
}

// open(path, prefix, backend): Promise<Opened>
Napi::Value OpenAsync(const Napi::CallbackInfo& info) {
  std::optional<OpenRequest> request = ToOpenRequest(info);
  if (!request) return info.Env().Undefined();
  return PromiseWork<Opened>::Start(
      info.Env(), info[1].As<Napi::Object>(),
      [request = std::move(*request)] { return request.Run(); }, WrapOpened);
}

// openSync(path, prefix, backend): Opened
Napi::Value OpenSync(const Napi::CallbackInfo& info) {
  const std::optional<OpenRequest> request = ToOpenRequest(info);
  if (!request) return info.Env().Undefined();
  Result<Opened> opened = request->Run();
  if (!opened.ok()) {
    ToError(info.Env(), opened.status).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  return WrapOpened(info.Env(), std::move(opened.value));
}

void SetIdentity(Napi::Env env, Napi::Object object, const FileIdentity& identity) {
  object.Set("size", Napi::Number::New(env, static_cast<double>(identity.size)));
  object.Set("device", Napi::BigInt::New(env, identity.device));
  object.Set("inode", Napi::BigInt::New(env, identity.inode));
  object.Set("modifiedNs", Napi::BigInt::New(env, identity.modified_ns));
}

// look(path: string): {size, device, inode, modifiedNs}
// Not node:fs, whose times are rounded to milliseconds in Deno.
Napi::Value Look(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString()) return ThrowBadArgument(env, "look(path)");
  const Result<FileIdentity> found = File::Look(info[0].As<Napi::String>().Utf8Value());
  if (!found.ok()) {
    ToError(env, found.status).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::Object result = Napi::Object::New(env);
  SetIdentity(env, result, found.value);
  return result;
}

// What read and readSync are asked for: (handle, offset: number, target: Uint8Array, ahead:
// boolean).
struct ReadRequest {
  std::shared_ptr<const File> file;
  uint64_t offset;
  std::span<std::byte> target;
  File::ReadAhead ahead;

  Result<size_t> Run() const { return file->Read(offset, target, ahead); }
};

std::optional<ReadRequest> ToReadRequest(const Napi::CallbackInfo& info) {
  const FileHandle* handle = UnwrapOpenFileHandle(info[0]);
  if (handle == nullptr) return std::nullopt;
  const std::optional<uint64_t> offset = ToByteCount(info[1]);
  if (!offset || !IsUint8Array(info[2]) || !info[3].IsBoolean() || handle->file == nullptr) {
    ThrowBadArgument(info.Env(), "read(handle, offset, target, ahead)");
    return std::nullopt;
  }
  const bool ahead = info[3].As<Napi::Boolean>().Value();
  return ReadRequest{handle->file, *offset, BytesOf(info[2].As<Napi::Uint8Array>()),
                     ahead ? File::ReadAhead::kUsual : File::ReadAhead::kNone};
}

Napi::Value WrapByteCount(Napi::Env env, size_t bytes) {
  return Napi::Number::New(env, static_cast<double>(bytes));
}

// read(handle, offset, target, ahead): Promise<number>, the bytes read; fewer only at the file's
// end
Napi::Value ReadAsync(const Napi::CallbackInfo& info) {
  const std::optional<ReadRequest> request = ToReadRequest(info);
  if (!request) return info.Env().Undefined();
  return PromiseWork<size_t>::Start(
      info.Env(), info[2].As<Napi::Object>(), [request = *request] { return request.Run(); },
      WrapByteCount);
}

// readSync(handle, offset, target, ahead): number
Napi::Value ReadSync(const Napi::CallbackInfo& info) {
  const std::optional<ReadRequest> request = ToReadRequest(info);
  if (!request) return info.Env().Undefined();
  const Result<size_t> read = request->Run();
  if (!read.ok()) {
    ToError(info.Env(), read.status).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  return WrapByteCount(info.Env(), read.value);
}

// closeDescriptor(handle): void
// The mapping stays; nothing can be read through the descriptor any more.
Napi::Value CloseDescriptor(const Napi::CallbackInfo& info) {
  if (FileHandle* handle = UnwrapOpenFileHandle(info[0])) handle->file.reset();
  return info.Env().Undefined();
}

// close(handle): void
// Detaches the copies, and gives up this handle's hold on the mapping and on the descriptor.
// Buffers that are not detached keep the mapping.
Napi::Value Close(const Napi::CallbackInfo& info) {
  if (FileHandle* handle = UnwrapOpenFileHandle(info[0])) {
    handle->DetachCopies();
    *handle = FileHandle{};
  }
  return info.Env().Undefined();
}

}  // namespace

std::optional<Backend> ToBackend(const Napi::Value& value) {
  if (!value.IsString()) return std::nullopt;
  const std::string name = value.As<Napi::String>().Utf8Value();
  if (name == "auto") return Backend::kAuto;
  if (name == "mmap") return Backend::kMmap;
  if (name == "read") return Backend::kRead;
  return std::nullopt;
}

Napi::Value WrapOpened(Napi::Env env, Opened opened) {
  const FileIdentity identity = opened.handle.file->identity();
  Napi::Object result = Napi::Object::New(env);
  result.Set("handle", WrapFileHandle(env, std::move(opened.handle)));
  result.Set("prefixBytes", Napi::Number::New(env, static_cast<double>(opened.prefix_bytes)));
  result.Set("mapped", Napi::Boolean::New(env, opened.mapped));
  result.Set("asciiEnd", Napi::Number::New(env, static_cast<double>(opened.ascii_end)));
  SetIdentity(env, result, identity);
  return result;
}

Napi::Value WrapFileHandle(Napi::Env env, FileHandle handle) {
  auto owned = std::make_unique<FileHandle>(std::move(handle));
  const auto external = Napi::External<FileHandle>::New(
      env, owned.get(), [](Napi::Env, FileHandle* dying) { std::unique_ptr<FileHandle>{dying}; });
  if (external.IsEmpty()) return env.Undefined();  // an exception is pending; `owned` frees it
  owned.release();
  external.TypeTag(&kFileHandleTag);
  return external;
}

FileHandle* UnwrapOpenFileHandle(const Napi::Value& value) {
  if (value.IsExternal()) {
    const auto external = value.As<Napi::External<FileHandle>>();
    if (external.CheckTypeTag(&kFileHandleTag) && !external.Data()->closed()) {
      return external.Data();
    }
  }
  ThrowBadArgument(value.Env(), "not an open file handle");
  return nullptr;
}

void RegisterFile(Napi::Env env, Napi::Object exports) {
  exports.Set("open", Napi::Function::New(env, OpenAsync, "open"));
  exports.Set("openSync", Napi::Function::New(env, OpenSync, "openSync"));
  exports.Set("look", Napi::Function::New(env, Look, "look"));
  exports.Set("read", Napi::Function::New(env, ReadAsync, "read"));
  exports.Set("readSync", Napi::Function::New(env, ReadSync, "readSync"));
  exports.Set("closeDescriptor", Napi::Function::New(env, CloseDescriptor, "closeDescriptor"));
  exports.Set("close", Napi::Function::New(env, Close, "close"));
}

}  // namespace safetensors
