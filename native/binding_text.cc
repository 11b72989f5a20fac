// readText: a text file into memory, and where in it TypeScript has to look.
#include <algorithm>
#include <limits>

#include "core/memory.h"
#include "core/text.h"
#include "file_handle.h"
#include "promise_work.h"

namespace safetensors {
namespace {

struct TextRead {
  size_t bytes = 0;
  size_t marks = 0;
  bool is_ascii = true;
};

Result<TextRead> ReadText(const File& file, std::span<std::byte> target, std::span<int32_t> marks) {
  // What was read is looked at while it is in the processor's cache.
  constexpr size_t kPiece = size_t{512} << 10;
  PopulatePages(target, 0, target.size());
  TextMarker marker(marks);
  TextRead text;
  while (text.bytes < target.size()) {
    const size_t wanted = std::min(kPiece, target.size() - text.bytes);
    const Result<size_t> read =
        file.Read(text.bytes, target.subspan(text.bytes, wanted), File::ReadAhead::kUsual);
    if (!read.ok()) return read.status;
    text.bytes += read.value;
    marker.MarkUpTo(target, text.bytes);
    if (read.value < wanted) break;
  }
  text.marks = marker.count();
  text.is_ascii = marker.is_ascii();
  return text;
}

Napi::Value WrapTextRead(Napi::Env env, TextRead text) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("bytes", Napi::Number::New(env, static_cast<double>(text.bytes)));
  result.Set("marks", Napi::Number::New(env, static_cast<double>(text.marks)));
  result.Set("isAscii", Napi::Boolean::New(env, text.is_ascii));
  return result;
}

// readText(handle, target: Uint8Array, marks: Int32Array): Promise<{bytes, marks, isAscii}>
// Both arrays stay reachable until the work is done; nobody else has them before.
Napi::Value ReadTextAsync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const FileHandle* const handle = UnwrapOpenFileHandle(info[0]);
  if (handle == nullptr) return env.Undefined();
  if (handle->file == nullptr || !IsUint8Array(info[1]) || !info[2].IsTypedArray() ||
      info[2].As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    return ThrowBadArgument(env, "readText(handle, target, marks)");
  }
  const std::span<std::byte> target = BytesOf(info[1].As<Napi::Uint8Array>());
  if (target.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return ThrowBadArgument(env, "readText: a target over 2 GiB");
  }
  auto marks = info[2].As<Napi::Int32Array>();
  Napi::Array arrays = Napi::Array::New(env, 2);
  arrays.Set(uint32_t{0}, info[1]);
  arrays.Set(uint32_t{1}, info[2]);
  return PromiseWork<TextRead>::Start(
      env, arrays,
      [file = handle->file, target, noted = std::span{marks.Data(), marks.ElementLength()}] {
        return ReadText(*file, target, noted);
      },
      WrapTextRead);
}

}  // namespace

void RegisterText(Napi::Env env, Napi::Object exports) {
  exports.Set("readText", Napi::Function::New(env, ReadTextAsync, "readText"));
}

}  // namespace safetensors
