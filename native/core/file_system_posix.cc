#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "core/file_system.h"

#ifdef __linux__
#include <linux/magic.h>
#include <sys/vfs.h>
#else
#include <sys/mount.h>
#include <sys/param.h>
#endif

namespace safetensors {
namespace {

#ifdef __linux__

// statfs(2)'s f_type. Source, where no other is named: include/uapi/linux/magic.h of Linux.
constexpr uint32_t kRiskyTypes[] = {
    0x00006969,  // NFS_SUPER_MAGIC
    0x0000517B,  // SMB_SUPER_MAGIC
    0xFF534D42,  // CIFS_SUPER_MAGIC
    0xFE534D42,  // SMB2_SUPER_MAGIC
    0x65735546,  // FUSE_SUPER_MAGIC: sshfs, gcsfuse, s3fs and the like, and virtiofs
    0x01021997,  // V9FS_MAGIC: 9p, as virtual machines and WSL share folders
    0x0BD00BD0,  // LL_SUPER_MAGIC: Lustre's lustre_user.h; S_MAGIC_LUSTRE in coreutils' stat.c
    0x19830326,  // BeeGFS: S_MAGIC_FHGFS in coreutils' stat.c
    0x47504653,  // GPFS, IBM Storage Scale: S_MAGIC_GPFS there
    0x20030528,  // ORANGEFS_SUPER_MAGIC: fs/orangefs/protocol.h of Linux
    0x00C36400,  // CEPH_SUPER_MAGIC
    0x5346414F,  // AFS_SUPER_MAGIC
    0x6B414653,  // AFS_FS_MAGIC
    0x73757245,  // CODA_SUPER_MAGIC
    0x786F4256,  // VBOXSF_SUPER_MAGIC
};

constexpr bool IsRiskyType(uint32_t type) {
  return std::ranges::find(kRiskyTypes, type) != std::end(kRiskyTypes);
}

// Those that headers of every age have.
static_assert(IsRiskyType(NFS_SUPER_MAGIC) && IsRiskyType(SMB_SUPER_MAGIC) &&
              IsRiskyType(CODA_SUPER_MAGIC) && IsRiskyType(AFS_SUPER_MAGIC) &&
              IsRiskyType(V9FS_MAGIC));

bool IsRisky(const struct statfs& info) {
  // 32 bits, whatever the width and the sign of f_type are.
  return IsRiskyType(static_cast<uint32_t>(info.f_type));
}

#else

// f_fstypename, as `mount` prints it: the names that the kexts of macOS, and of macFUSE since
// osxfuse, register (/System/Library/Filesystems, /Library/Filesystems).
constexpr const char* kRiskyTypes[] = {
    "nfs", "smbfs",   "afpfs",     "webdav",  "ftp",    "cifs",
    "9p",  "osxfuse", "osxfusefs", "macfuse", "fusefs", "lifs",
};

bool IsRisky(const struct statfs& info) {
  return std::ranges::any_of(
      kRiskyTypes, [&](const char* type) { return std::strcmp(type, info.f_fstypename) == 0; });
}

#endif

}  // namespace

bool IsRiskyToMap(const File& file) {
  struct statfs info;
  return fstatfs(file.descriptor(), &info) == 0 && IsRisky(info);
}

bool IsRiskyToMap(const std::string& path) {
  struct statfs info;
  return statfs(path.c_str(), &info) == 0 && IsRisky(info);
}

// ENODEV: the file system has no mmap; ENOMEM: no addresses. Not EMFILE: too many mappings.
bool IsMapRefusal(int error) { return error == ENODEV || error == ENOMEM; }

}  // namespace safetensors
