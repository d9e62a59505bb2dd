/* file.c - files, on POSIX systems.
   SPDX-License-Identifier: MIT

   The contract is file.h. A pipe is looked at before it is opened, and not
   opened: whoever waits for its other end would be woken, and killed by SIGPIPE
   when we leave. O_NONBLOCK keeps an open from hanging should the path lead to
   a pipe a moment later; a plain file does not heed it, unless somebody has a
   lease on it. */
#define _GNU_SOURCE /* O_PATH */
#define _FILE_OFFSET_BITS 64
#include "file.h"

#include "file_info.h"
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

static intptr_t failed(void) {
  if (errno == EAGAIN) return OS_EAGAIN;
  return errno == ENOMEM ? OS_ENOMEM : OS_SYSTEM - errno;
}
static intptr_t outcome(int rc) { return rc == 0 ? 0 : failed(); }

bool os_file_is_there(intptr_t rc) { return rc == OS_SYSTEM - EEXIST; }
bool os_file_is_none(intptr_t rc) { return rc == OS_SYSTEM - ENOENT; }
intptr_t os_file_bad_place(void) { return OS_SYSTEM - EINVAL; }

/* -- describing ----------------------------------------------------------- */

static struct os_file_time time_of(struct timespec t) {
  return (struct os_file_time){t.tv_sec, (uint32_t)t.tv_nsec};
}

static void describe(const struct stat *st, os_file_info *info) {
  memset(info, 0, sizeof *info);
  info->kind = os_file_kind_of(st->st_mode);
  info->home = os_file_home_of(st->st_dev);
  info->mode = st->st_mode & 07777;
  info->uid = st->st_uid;
  info->gid = st->st_gid;
  info->links = st->st_nlink;
  info->device = st->st_dev;
  info->inode = st->st_ino;
  info->size = st->st_size;
#if defined(__APPLE__)
  info->modified = time_of(st->st_mtimespec);
  info->accessed = time_of(st->st_atimespec);
  info->changed = time_of(st->st_ctimespec);
#else
  info->modified = time_of(st->st_mtim);
  info->accessed = time_of(st->st_atim);
  info->changed = time_of(st->st_ctim);
#endif
}

intptr_t os_file_describe(int fd, os_file_info *info) {
  struct stat st;
  if (fstat(fd, &st) != 0) return failed();
  describe(&st, info);
  return 0;
}

intptr_t os_file_stat(const char *path, bool follow, os_file_info *info) {
#if defined(O_PATH)
  /* One and the same file is described and learned of. */
  int fd = open(path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
  struct stat st;
  intptr_t rc;
  if (fd >= 0) {
    rc = os_file_describe(fd, info);
    if (rc == 0) info->home = os_file_learn(fd, info->device);
    (void)close(fd);
    return rc;
  }
  if (errno != EMFILE && errno != ENFILE) return failed();
#else
  struct stat st;
#endif
  if ((follow ? stat(path, &st) : lstat(path, &st)) != 0) return failed();
  describe(&st, info);
  return 0;
}

intptr_t os_file_link(const char *path, char *to, size_t size) {
  ssize_t n = readlink(path, to, size - 1);
  if (n < 0) return failed();
  to[n] = '\0';
  return n;
}

void os_file_imitate(int fd, const os_file_info *info) {
  /* Who may not give the file away may still give it to a group of theirs. What
     was granted to a group is not for another one. */
  mode_t mode = info->mode & 0777;
  if (fchown(fd, info->uid, info->gid) != 0 &&
      fchown(fd, (uid_t)-1, info->gid) != 0)
    mode &= ~(mode_t)070;
  (void)fchmod(fd, mode);
}

/* -- opening -------------------------------------------------------------- */

static bool is_refused(os_file_kind kind) {
  return kind == OS_FILE_PIPE || kind == OS_FILE_SOCKET;
}

/* Is there a pipe or a socket at that path? */
static bool leads_to_refused(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && is_refused(os_file_kind_of(st.st_mode));
}

static int flags_of(unsigned how) {
  int flags = O_CLOEXEC | O_NOCTTY;
  if ((how & OS_FILE_WRITE) == 0)
    flags |= O_RDONLY;
  else
    flags |= (how & OS_FILE_READ) != 0 ? O_RDWR : O_WRONLY;
  if ((how & OS_FILE_APPEND) != 0) flags |= O_APPEND;
  if ((how & OS_FILE_CREATE) != 0) flags |= O_CREAT;
  if ((how & OS_FILE_TRUNCATE) != 0) flags |= O_TRUNC;
  if ((how & OS_FILE_EXCLUSIVE) != 0) flags |= O_EXCL;
  return flags;
}

static int open_again(const char *path, int flags, unsigned mode) {
  int fd;
  do {
    fd = open(path, flags, (mode_t)mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

/* What was opened must be of a kind that this is for. */
static intptr_t check_opened(int fd) {
  struct stat st;
  intptr_t rc = 0;
  if (fstat(fd, &st) != 0)
    rc = failed();
  else if (is_refused(os_file_kind_of(st.st_mode)) || isatty(fd))
    rc = OS_FILE_REFUSED;
  else if (S_ISDIR(st.st_mode))
    rc = OS_SYSTEM - EISDIR;
  if (rc < 0) (void)close(fd);
  return rc < 0 ? rc : fd;
}

intptr_t os_file_open(const char *path, unsigned how, unsigned mode) {
  int flags = flags_of(how), fd;
  if (leads_to_refused(path)) return OS_FILE_REFUSED;
  fd = open_again(path, flags | O_NONBLOCK, mode);
  if (fd < 0 && errno == EAGAIN) fd = open_again(path, flags, mode);
  fd = os_file_lift(fd);
  return fd < 0 ? failed() : check_opened(fd);
}

/* Linux closes it even if a signal has interrupted that. */
intptr_t os_file_close(int fd) {
  return close(fd) == 0 || errno == EINTR ? 0 : failed();
}

/* -- reading and writing -------------------------------------------------- */

#define MOST ((size_t)INT_MAX & ~(size_t)4095)

intptr_t os_file_read(int fd, void *to, size_t size, int64_t offset) {
  ssize_t n;
  if (size > MOST) size = MOST;
  do {
    n = pread(fd, to, size, offset);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? failed() : n;
}

intptr_t os_file_read_next(int fd, void *to, size_t size) {
  ssize_t n;
  if (size > MOST) size = MOST;
  do {
    n = read(fd, to, size);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? failed() : n;
}

static void wait_for(int fd, short what, int milliseconds) {
  struct pollfd p = {.fd = fd, .events = what};
  (void)poll(&p, 1, milliseconds);
}
void os_file_await(int fd, int milliseconds) {
  wait_for(fd, POLLIN, milliseconds);
}

size_t os_file_write(
  int fd, const void *from, size_t size, int64_t offset, intptr_t *rc) {
  size_t done = 0;
  *rc = 0;
  while (done < size) {
    size_t some = size - done < MOST ? size - done : MOST;
    const char *at = (const char *)from + done;
    ssize_t n = offset < 0 ? write(fd, at, some)
                           : pwrite(fd, at, some, offset + (int64_t)done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) { /* a device */
      wait_for(fd, POLLOUT, -1);
      continue;
    }
    if (n <= 0) {
      *rc = n < 0 ? failed() : OS_SYSTEM - ENOSPC;
      break;
    }
    done += (size_t)n;
  }
  return done;
}

intptr_t os_file_position(int fd, int64_t *at) {
  off_t now = lseek(fd, 0, SEEK_CUR);
  if (now < 0) return failed();
  *at = now;
  return 0;
}

intptr_t os_file_end(int fd, int64_t *at) {
  off_t end = lseek(fd, 0, SEEK_END);
  if (end < 0) return failed();
  *at = end;
  return 0;
}

intptr_t os_file_sync(int fd, bool data) {
  int rc;
  do {
#if defined(__APPLE__)
    (void)data;
    rc = fcntl(fd, F_FULLFSYNC) == -1 ? fsync(fd) : 0;
#else
    rc = data ? fdatasync(fd) : fsync(fd);
#endif
  } while (rc != 0 && errno == EINTR);
  return outcome(rc);
}

intptr_t os_file_truncate(int fd, int64_t size) {
  int rc;
  do {
    rc = ftruncate(fd, size);
  } while (rc != 0 && errno == EINTR);
  return outcome(rc);
}

/* -- names ---------------------------------------------------------------- */

intptr_t os_file_mkdir(const char *path, unsigned mode) {
  return outcome(mkdir(path, (mode_t)mode));
}
intptr_t os_file_rename(const char *from, const char *to) {
  return outcome(rename(from, to));
}
intptr_t os_file_rename_new(const char *from, const char *to) {
#if defined(SYS_renameat2)
  if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1 /* NOREPLACE */) ==
      0)
    return 0;
  if (errno != ENOSYS && errno != EINVAL) return failed();
#endif
  if (link(from, to) != 0) return failed();
  (void)unlink(from);
  return 0;
}
intptr_t os_file_unlink(const char *path) { return outcome(unlink(path)); }
intptr_t os_file_rmdir(const char *path) { return outcome(rmdir(path)); }

intptr_t os_file_sync_names(const char *path) {
  char directory[PATH_MAX];
  const char *slash = strrchr(path, '/');
  size_t n = slash == NULL ? 0 : (size_t)(slash - path);
  intptr_t rc;
  int fd;
  if (slash == path) n = 1;
  if (n >= sizeof directory) return OS_SYSTEM - ENAMETOOLONG;
  memcpy(directory, n == 0 ? "." : path, n == 0 ? 1 : n);
  directory[n == 0 ? 1 : n] = '\0';
  fd = open_again(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return errno == EACCES ? 0 : failed();
  rc = os_file_sync(fd, false);
  (void)close(fd);
  /* Some file systems have nothing to do there, and say so. */
  return rc == OS_SYSTEM - EINVAL ? 0 : rc;
}
