// A file without a name that goes with its descriptor, of bytes that are known.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/file.h"
#include "expect.h"

namespace safetensors::test {

constexpr uint8_t PatternAt(uint64_t offset) {
  return static_cast<uint8_t>(offset * 31 + (offset >> 12) * 7 + 1);
}

inline std::vector<uint8_t> Pattern(uint64_t length) {
  std::vector<uint8_t> bytes(length);
  for (uint64_t i = 0; i < length; i++) bytes[i] = PatternAt(i);
  return bytes;
}

// The name of something new in the system's folder for temporary files, as mkstemp takes it.
inline std::string ScratchName() {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
  EXPECT(!error);
  return folder / "safetensors-mmap-XXXXXX";
}

class ScratchFile {
 public:
  explicit ScratchFile(uint64_t length) {
    std::string path = ScratchName();
    descriptor_ = mkstemp(path.data());
    EXPECT(descriptor_ >= 0);
    const std::vector<uint8_t> bytes = Pattern(length);
    EXPECT(write(descriptor_, bytes.data(), length) == static_cast<ssize_t>(length));
    auto file = File::Open(path);
    EXPECT(file.ok() && file.value->identity().size == length);
    file_ = std::move(file.value);
    unlink(path.c_str());
  }
  ~ScratchFile() { close(descriptor_); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  const File& file() const { return *file_; }
  uint64_t size() const { return file_->identity().size; }
  // For reading and writing.
  int descriptor() const { return descriptor_; }
  void Resize(uint64_t length) const {
    EXPECT(ftruncate(descriptor_, static_cast<off_t>(length)) == 0);
  }

 private:
  int descriptor_;
  std::shared_ptr<const File> file_;
};

}  // namespace safetensors::test
