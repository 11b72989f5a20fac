// open, openSync, read, readSync, closeDescriptor, close: the life of a file handle.
#include <string>
#include <utility>

#include "file_handle.h"
#include "promise_work.h"

namespace safetensors {
namespace {

// Random, so that no other addon's externals pass for ours.
constexpr napi_type_tag kFileHandleTag = {0x6d1f9a53c7e84b02, 0xb1c05e2d94f7a386};

// Opens and maps a file, and reads its beginning into `prefix`: with a header that fits there, one
// trip to another thread does for the whole opening.
Result<Opened> Open(const std::string& path, std::span<std::byte> prefix) {
  Result<std::shared_ptr<const File>> file = File::Open(path);
  if (!file.ok()) return file.status;
  const uint64_t size = file.value->identity().size;

  Result<std::shared_ptr<Mapping>> mapping = Mapping::Reserve(size);
  if (!mapping.ok()) return mapping.status;
  if (const Status status = mapping.value->MapFile(*file.value, size, 0); !status.ok()) {
    return status;
  }
  const Result<size_t> read = file.value->Read(0, prefix);
  if (!read.ok()) return read.status;
  Opened opened;
  opened.handle.file = std::move(file.value);
  opened.handle.mapping = std::move(mapping.value);
  opened.prefix_bytes = read.value;
  return opened;
}

bool AreOpenArguments(const Napi::CallbackInfo& info) {
  return info[0].IsString() && IsUint8Array(info[1]);
}

// open(path: string, prefix: Uint8Array): Promise<Opened>
Napi::Value OpenAsync(const Napi::CallbackInfo& info) {
  if (!AreOpenArguments(info)) return ThrowBadArgument(info.Env(), "open(path, prefix)");
  const auto prefix = info[1].As<Napi::Uint8Array>();
  return PromiseWork<Opened>::Start(
      info.Env(), prefix,
      [path = info[0].As<Napi::String>().Utf8Value(), bytes = BytesOf(prefix)] {
        return Open(path, bytes);
      },
      WrapOpened);
}

// openSync(path: string, prefix: Uint8Array): Opened
Napi::Value OpenSync(const Napi::CallbackInfo& info) {
  if (!AreOpenArguments(info)) return ThrowBadArgument(info.Env(), "openSync(path, prefix)");
  Result<Opened> opened =
      Open(info[0].As<Napi::String>().Utf8Value(), BytesOf(info[1].As<Napi::Uint8Array>()));
  if (!opened.ok()) {
    ToError(info.Env(), opened.status).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  return WrapOpened(info.Env(), std::move(opened.value));
}

// What read and readSync are asked for: (handle, offset: number, target: Uint8Array).
struct ReadRequest {
  std::shared_ptr<const File> file;
  uint64_t offset;
  std::span<std::byte> target;

  Result<size_t> Run() const { return file->Read(offset, target); }
};

std::optional<ReadRequest> ToReadRequest(const Napi::CallbackInfo& info) {
  const FileHandle* handle = UnwrapOpenFileHandle(info[0]);
  if (handle == nullptr) return std::nullopt;
  const std::optional<uint64_t> offset = ToByteCount(info[1]);
  if (!offset || !IsUint8Array(info[2]) || handle->file == nullptr) {
    ThrowBadArgument(info.Env(), "read(handle, offset, target)");
    return std::nullopt;
  }
  return ReadRequest{handle->file, *offset, BytesOf(info[2].As<Napi::Uint8Array>())};
}

Napi::Value WrapByteCount(Napi::Env env, size_t bytes) {
  return Napi::Number::New(env, static_cast<double>(bytes));
}

// read(handle, offset, target): Promise<number>, the bytes read; fewer only at the file's end
Napi::Value ReadAsync(const Napi::CallbackInfo& info) {
  const std::optional<ReadRequest> request = ToReadRequest(info);
  if (!request) return info.Env().Undefined();
  return PromiseWork<size_t>::Start(
      info.Env(), info[2].As<Napi::Object>(), [request = *request] { return request.Run(); },
      WrapByteCount);
}

// readSync(handle, offset, target): number
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

Napi::Value WrapOpened(Napi::Env env, Opened opened) {
  const FileIdentity identity = opened.handle.file->identity();
  Napi::Object result = Napi::Object::New(env);
  result.Set("handle", WrapFileHandle(env, std::move(opened.handle)));
  result.Set("prefixBytes", Napi::Number::New(env, static_cast<double>(opened.prefix_bytes)));
  result.Set("size", Napi::Number::New(env, static_cast<double>(identity.size)));
  result.Set("device", Napi::BigInt::New(env, identity.device));
  result.Set("inode", Napi::BigInt::New(env, identity.inode));
  result.Set("modifiedNs", Napi::BigInt::New(env, identity.modified_ns));
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
  exports.Set("read", Napi::Function::New(env, ReadAsync, "read"));
  exports.Set("readSync", Napi::Function::New(env, ReadSync, "readSync"));
  exports.Set("closeDescriptor", Napi::Function::New(env, CloseDescriptor, "closeDescriptor"));
  exports.Set("close", Napi::Function::New(env, Close, "close"));
}

}  // namespace safetensors
