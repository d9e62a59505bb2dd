/* file_cached.c - what the system has of files in memory.
   SPDX-License-Identifier: MIT

   Linux looks up a path, and reads, without waiting for a disk if it is asked
   to (openat2 with RESOLVE_CACHED, since 5.12; preadv2 with RWF_NOWAIT, since
   4.14). That holds for the lookup alone: to open a file of some file systems
   asks another machine or a process, which may never answer. So the path is
   first looked up without opening it (O_PATH), which also tells a pipe from a
   file, and it is opened only if it lies on a device whose file system is
   known: a thread that may wait has asked for it (os_file_learn), within
   HOME_SECONDS. statx is told not to ask anybody.

   Elsewhere nothing is known to be in memory. */
#define _GNU_SOURCE /* O_PATH, AT_EMPTY_PATH */
#define _FILE_OFFSET_BITS 64
#include "file.h"

#include "file_info.h"
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)

#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#if !defined(SYS_openat2)
#define SYS_openat2 437
#endif
#if !defined(RESOLVE_CACHED)
#define RESOLVE_CACHED 0x20
#endif
#if !defined(RWF_NOWAIT)
#define RWF_NOWAIT 0x8
#endif

/* What openat2 takes; the header that has it is not everywhere. */
typedef struct open_how_v0 {
  uint64_t flags, mode, resolve;
} open_how_v0;

static int open_cached(const char *path, int flags) {
  open_how_v0 how = {(uint64_t)flags, 0, RESOLVE_CACHED};
  return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

/* -- what is known of devices --------------------------------------------- */

#define HOMES 32u
#define HOME_SECONDS 10u

/* (a) device (32 bits), home (2), until (30, in seconds): one word each, so
   that what belongs together is read together. Relaxed: nothing else is
   published. */
static _Atomic uint64_t homes[HOMES];

static uint32_t number_of(dev_t device) {
  return (uint32_t)(major(device) << 20 ^ minor(device));
}
static uint32_t now_in_seconds(void) {
  return (uint32_t)(os_now() / 1000000000u) & 0x3fffffffu;
}

os_file_home os_file_home_of(dev_t device) {
  uint32_t number = number_of(device);
  uint64_t word =
    atomic_load_explicit(&homes[number % HOMES], memory_order_relaxed);
  uint32_t left = ((uint32_t)word - now_in_seconds()) & 0x3fffffffu;
  if (word == 0 || (uint32_t)(word >> 32) != number || left > HOME_SECONDS)
    return OS_HOME_UNKNOWN;
  return (os_file_home)((uint32_t)word >> 30);
}

static os_file_home home_of_type(unsigned long type) {
  static const uint32_t disks[] = {
    0xef53,     /* ext2 to ext4 */
    0x58465342, /* XFS */
    0x9123683e, /* Btrfs */
    0xf2f52010, /* F2FS */
    0x2fc12fc1, /* ZFS */
    0xca451a4e, /* bcachefs */
    0x794c7630, /* overlayfs */
    0x73717368, /* SquashFS */
    0xe0f5e1e2, /* EROFS */
    0x9660,     /* ISO 9660 */
    0x4d44,     /* FAT */
    0x2011bab0, /* exFAT */
  };
  uint32_t t = (uint32_t)type;
  if (t == 0x01021994 || t == 0x858458f6) return OS_HOME_MEMORY; /* tmpfs */
  for (size_t i = 0; i < sizeof disks / sizeof *disks; i++)
    if (disks[i] == t) return OS_HOME_DISK;
  return OS_HOME_AWAY;
}

os_file_home os_file_learn(int fd, uint64_t device) {
  struct statfs fs;
  os_file_home home = os_file_home_of((dev_t)device);
  uint32_t number = number_of((dev_t)device);
  uint32_t until = (now_in_seconds() + HOME_SECONDS) & 0x3fffffffu;
  if (home != OS_HOME_UNKNOWN) return home;
  home = OS_HOME_AWAY;
  if (fstatfs(fd, &fs) == 0) home = home_of_type((unsigned long)fs.f_type);
  atomic_store_explicit(&homes[number % HOMES],
    (uint64_t)number << 32 | (uint64_t)home << 30 | until,
    memory_order_relaxed);
  return home;
}

/* -- looking, without waiting --------------------------------------------- */

/* What statx fills in; not every C library has it. */
typedef struct statx_time {
  int64_t seconds;
  uint32_t ns;
  int32_t unused;
} statx_time;
typedef struct statx_v0 {
  uint32_t mask, block;
  uint64_t attributes;
  uint32_t links, uid, gid;
  uint16_t mode, unused;
  uint64_t inode, size, blocks, attributes_mask;
  statx_time accessed, born, changed, modified;
  uint32_t special_major, special_minor, device_major, device_minor;
  uint64_t more[14];
} statx_v0;
_Static_assert(sizeof(statx_v0) == 256, "as the kernel has it");

#define STATX_ASK_NOBODY 0x4000 /* what is known here is enough */
#define STATX_BASIC 0x7ff       /* all that stat tells */

static bool ask(int fd, statx_v0 *st) {
#if defined(SYS_statx)
  return syscall(SYS_statx, fd, "", AT_EMPTY_PATH | STATX_ASK_NOBODY,
           STATX_BASIC, st) == 0;
#else
  (void)fd;
  (void)st;
  return false;
#endif
}

static struct os_file_time time_of(statx_time t) {
  return (struct os_file_time){t.seconds, t.ns};
}

/* OS_EAGAIN: it is where looking may mean to wait. */
static intptr_t describe_cached(int fd, os_file_info *info) {
  statx_v0 st;
  memset(info, 0, sizeof *info);
  if (!ask(fd, &st)) return OS_EAGAIN;
  info->device = makedev(st.device_major, st.device_minor);
  info->home = os_file_home_of((dev_t)info->device);
  if (info->home < OS_HOME_DISK) return OS_EAGAIN;
  info->kind = os_file_kind_of(st.mode);
  info->mode = st.mode & 07777;
  info->uid = st.uid;
  info->gid = st.gid;
  info->links = st.links;
  info->inode = st.inode;
  info->size = (int64_t)st.size;
  info->modified = time_of(st.modified);
  info->accessed = time_of(st.accessed);
  info->changed = time_of(st.changed);
  return 0;
}

intptr_t os_file_stat_cached(
  const char *path, bool follow, os_file_info *info) {
  int fd = open_cached(path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
  intptr_t rc;
  if (fd < 0) return OS_EAGAIN; /* whatever it is: who may wait finds out */
  rc = describe_cached(fd, info);
  (void)close(fd);
  return rc;
}

intptr_t os_file_open_cached(const char *path, os_file_info *info) {
  intptr_t rc = os_file_stat_cached(path, true, info);
  int fd;
  if (rc != 0 || info->kind != OS_FILE_PLAIN) return OS_EAGAIN;
  fd = os_file_lift(
    open_cached(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  return fd < 0 ? OS_EAGAIN : fd;
}

intptr_t os_file_read_cached(
  int fd, os_file_home home, void *to, size_t size, int64_t offset) {
  struct iovec v = {to, size};
  long n;
  if (home < OS_HOME_DISK) return OS_EAGAIN;
  if (home == OS_HOME_MEMORY)
    n = pread(fd, to, size, offset);
  else
    n = syscall(SYS_preadv2, fd, &v, 1, (long)offset,
      (long)((uint64_t)offset >> 16 >> 16), RWF_NOWAIT);
  return n < 0 ? OS_EAGAIN : n;
}

#else

os_file_home os_file_home_of(dev_t device) {
  (void)device;
  return OS_HOME_UNKNOWN;
}
os_file_home os_file_learn(int fd, uint64_t device) {
  (void)fd;
  (void)device;
  return OS_HOME_UNKNOWN;
}
intptr_t os_file_stat_cached(
  const char *path, bool follow, os_file_info *info) {
  (void)path;
  (void)follow;
  (void)info;
  return OS_EAGAIN;
}
intptr_t os_file_open_cached(const char *path, os_file_info *info) {
  (void)path;
  (void)info;
  return OS_EAGAIN;
}
intptr_t os_file_read_cached(
  int fd, os_file_home home, void *to, size_t size, int64_t offset) {
  (void)fd;
  (void)home;
  (void)to;
  (void)size;
  (void)offset;
  return OS_EAGAIN;
}

#endif
