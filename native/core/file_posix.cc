#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "core/file.h"
#include "core/memory.h"

namespace safetensors {
namespace {

// The most that one pread may be asked for: macOS refuses more than INT_MAX, Linux stops short of
// it anyway.
constexpr size_t kMaxReadBytes = size_t{1} << 30;

const char* KindOf(mode_t mode) {
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISBLK(mode)) return "a block device";
  return "not a regular file";
}

int64_t ModifiedNs(const struct stat& info) {
#ifdef __APPLE__
  const timespec& time = info.st_mtimespec;
#else
  const timespec& time = info.st_mtim;
#endif
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

FileIdentity IdentityOf(const struct stat& info) {
  return {
      .device = static_cast<uint64_t>(info.st_dev),
      .inode = static_cast<uint64_t>(info.st_ino),
      .size = static_cast<uint64_t>(info.st_size),
      .modified_ns = ModifiedNs(info),
  };
}

int OpenUninterrupted(const char* path, int flags) {
  int descriptor;
  do {
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | flags);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

#ifdef __linux__
// Waits until another process has given up its lease on a file, as it has been told to: fcntl(2);
// file servers take them. Whatever the path leads to by now, only a regular file is waited for.
int OpenAfterLease(const std::string& path) {
  const int place = open(path.c_str(), O_PATH | O_CLOEXEC);
  if (place < 0) return place;
  struct stat info;
  const bool is_regular = fstat(place, &info) == 0 && S_ISREG(info.st_mode);
  const std::string same = "/proc/self/fd/" + std::to_string(place);
  const int descriptor = is_regular ? OpenUninterrupted(same.c_str(), 0) : -1;
  const int error = is_regular ? errno : EAGAIN;
  close(place);
  errno = error;
  return descriptor;
}
#endif

int OpenForReading(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const int descriptor = OpenUninterrupted(path.c_str(), O_NONBLOCK);
#ifdef __linux__
  if (descriptor < 0 && errno == EWOULDBLOCK) return OpenAfterLease(path);
#endif
  return descriptor;
}

Status CheckRegular(mode_t mode) {
  if (S_ISREG(mode)) return Status::Ok();
  if (S_ISDIR(mode)) return Status::System(EISDIR, "open");
  return Status::NotAFile(KindOf(mode));
}

// While there is one, no more is read than is asked for. That is for headers: what lies behind one
// may not be needed; besides, Linux marks pages that it has read ahead, and a page fault on one of
// those reads on from there: slices would bring in pages that they do not need.
class NoReadAhead {
 public:
  explicit NoReadAhead(int descriptor) : descriptor_(descriptor) { Advise(kRandom); }
  ~NoReadAhead() { Advise(kNormal); }
  NoReadAhead(const NoReadAhead&) = delete;
  NoReadAhead& operator=(const NoReadAhead&) = delete;

 private:
#ifdef __linux__
  static constexpr int kRandom = POSIX_FADV_RANDOM;
  static constexpr int kNormal = POSIX_FADV_NORMAL;
  void Advise(int advice) const { posix_fadvise(descriptor_, 0, 0, advice); }
#else
  static constexpr int kRandom = 0;
  static constexpr int kNormal = 1;
  void Advise(int read_ahead) const { fcntl(descriptor_, F_RDAHEAD, read_ahead); }
#endif
  const int descriptor_;
};

}  // namespace

Result<std::shared_ptr<const File>> File::Open(const std::string& path) {
  // Looked at before it is opened, because opening some devices does something to them; and again
  // through the descriptor, because the path may lead elsewhere by then.
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return Status::System(errno, "open");
  if (const Status status = CheckRegular(info.st_mode); !status.ok()) return status;

  const int descriptor = OpenForReading(path);
  if (descriptor < 0) return Status::System(errno, "open");
  const bool known = fstat(descriptor, &info) == 0;
  const Status status = known ? CheckRegular(info.st_mode) : Status::System(errno, "fstat");
  if (!status.ok()) {
    close(descriptor);
    return status;
  }
  const FileIdentity identity = IdentityOf(info);
  struct Opened : File {  // lets make_shared reach the private constructor
    Opened(int descriptor, const FileIdentity& identity) : File(descriptor, identity) {}
  };
  return std::shared_ptr<const File>(std::make_shared<Opened>(descriptor, identity));
}

Result<FileIdentity> File::Look(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return Status::System(errno, "open");
  if (const Status status = CheckRegular(info.st_mode); !status.ok()) return status;
  return IdentityOf(info);
}

File::~File() { close(descriptor_); }

Result<size_t> File::Read(uint64_t offset, std::span<std::byte> target, ReadAhead ahead) const {
  PopulatePages(target, 0, target.size());
  std::optional<NoReadAhead> exactly;
  if (ahead == ReadAhead::kNone) exactly.emplace(descriptor_);
  size_t done = 0;
  while (done < target.size()) {
    const size_t wanted = std::min(target.size() - done, kMaxReadBytes);
    const ssize_t got =
        pread(descriptor_, target.data() + done, wanted, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status::System(errno, "read");
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

}  // namespace safetensors
