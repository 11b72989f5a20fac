// What the bindings share: the concepts they register, and values unpacked and wrapped alike.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/status.h"
#include "napi_setup.h"

namespace safetensors {

void RegisterFile(Napi::Env env, Napi::Object exports);     // binding_file.cc
void RegisterRange(Napi::Env env, Napi::Object exports);    // binding_range.cc
void RegisterBuffer(Napi::Env env, Napi::Object exports);   // binding_buffer.cc
void RegisterHold(Napi::Env env, Napi::Object exports);     // binding_hold.cc
void RegisterWeak(Napi::Env env, Napi::Object exports);     // binding_weak.cc
void RegisterGuard(Napi::Env env, Napi::Object exports);    // binding_guard.cc
void RegisterNames(Napi::Env env, Napi::Object exports);    // binding_names.cc
void RegisterPages(Napi::Env env, Napi::Object exports);    // binding_pages.cc
void RegisterGather(Napi::Env env, Napi::Object exports);   // binding_gather.cc
void RegisterOutput(Napi::Env env, Napi::Object exports);   // binding_output.cc
void RegisterDirect(Napi::Env env, Napi::Object exports);   // binding_direct.cc
void RegisterKernels(Napi::Env env, Napi::Object exports);  // binding_kernels.cc

// A failure of the core as a JavaScript Error; src/native.ts gives it Node's message and code.
// Properties: `errno` (negative, as Node has it) and `syscall`, or `notAFile`; `offset`.
Napi::Error ToError(Napi::Env env, const Status& status);

// A whole number of bytes that a double holds exactly; nothing for any other value.
std::optional<uint64_t> ToByteCount(const Napi::Value& value);
std::optional<uint64_t> ToByteCount(double number);

bool IsUint8Array(const Napi::Value& value);
std::span<std::byte> BytesOf(Napi::Uint8Array array);

// Leaves a TypeError pending: src/ has checked every argument, so that this is a bug of ours, but
// one that must not cost the process.
Napi::Value ThrowBadArgument(Napi::Env env, const char* message);

}  // namespace safetensors
