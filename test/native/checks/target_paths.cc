#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "core/file_system.h"
#include "expect.h"
#include "scratch_file.h"
#include "targets.h"

namespace safetensors::test {
namespace {

// A folder with one of each kind, for good.
std::string MakeFolder() {
  std::string folder = ScratchName();
  EXPECT(mkdtemp(folder.data()) != nullptr);
  static std::string made;
  made = folder;
  atexit([] {
    for (const char* name : {"/f", "/p", "/l", "/loop", "/gone"}) unlink((made + name).c_str());
    rmdir((made + "/d").c_str());
    rmdir(made.c_str());
  });
  FILE* const file = fopen((folder + "/f").c_str(), "w");
  EXPECT(file != nullptr && fputs("hello", file) >= 0 && fclose(file) == 0);
  EXPECT(mkdir((folder + "/d").c_str(), 0700) == 0);
  EXPECT(mkfifo((folder + "/p").c_str(), 0600) == 0);
  EXPECT(symlink("f", (folder + "/l").c_str()) == 0);
  EXPECT(symlink("loop", (folder + "/loop").c_str()) == 0);
  EXPECT(symlink("none", (folder + "/gone").c_str()) == 0);
  return folder;
}

// Names that are there, ways to go on from them, and anything but what leads out of the folder.
std::string TakePath(Input& input) {
  static constexpr const char* kNames[] = {"f", "d", "p", "l", "loop", "gone", ".", "", "d/../f"};
  std::string path;
  for (uint64_t left = input.Below(4); left > 0; left--) {
    path += '/';
    if (input.Below(4) != 0) {
      path += kNames[input.Below(std::size(kNames))];
      continue;
    }
    const auto letter = static_cast<char>(input.Take<uint8_t>());
    const uint64_t length = input.Chance() ? input.Below(6) : input.Below(5000);
    if (letter != '.' && letter != '/' && letter != '\0') path += std::string(length, letter);
  }
  return path;
}

}  // namespace

void Paths(Input input) {
  static const std::string folder = MakeFolder();
  const std::string path = folder + TakePath(input);
  struct stat stats{};
  const int error = stat(path.c_str(), &stats) == 0 ? 0 : errno;
  const bool is_file = error == 0 && S_ISREG(stats.st_mode);
  const auto file = File::Open(path);
  const auto look = File::Look(path);
  EXPECT(file.ok() == is_file && look.ok() == is_file);
  IsRiskyToMap(path);
  if (!is_file) {
    const bool is_fifo = error == 0 && S_ISFIFO(stats.st_mode);
    const int expected = error == 0 && S_ISDIR(stats.st_mode) ? EISDIR : error;
    for (const Status& status : {file.status, look.status}) {
      EXPECT(status.error == expected && (status.not_a_file != nullptr) == is_fifo);
    }
    return;
  }
  IsRiskyToMap(*file.value);
  EXPECT(file.value->identity().inode == stats.st_ino && look.value.inode == stats.st_ino);
  EXPECT(file.value->identity().size == 5 && look.value.size == 5);
}

}  // namespace safetensors::test
