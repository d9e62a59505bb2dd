/* watch.c - directories that change, on Linux: inotify.
   SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* O_PATH, DT_DIR, pipe2 */
#include "watch.h"

#include "file_info.h"
#include "socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failure(void) {
  return errno == ENOMEM ? OS_ENOMEM : OS_SYSTEM - errno;
}

bool os_watch_is_gone(intptr_t rc) {
  int code = os_failure_code(rc);
  return code == ENOENT || code == ENOTDIR || code == ELOOP;
}

void os_watch_text(intptr_t rc, char *text, size_t size) {
  const char *own = NULL;
  if (rc == OS_WATCHERS_OUT)
    own = "too many watches: see fs.inotify.max_user_instances";
  if (rc == OS_WATCHES_OUT)
    own = "too many things are watched: see fs.inotify.max_user_watches";
  if (own != NULL)
    (void)snprintf(text, size, "%s", own);
  else
    os_system_text(rc, text, size);
}

/* -- listing -------------------------------------------------------------- */

static bool is_directory(DIR *d, const struct dirent *e) {
  struct stat st;
#if defined(DT_DIR)
  if (e->d_type != DT_UNKNOWN) return e->d_type == DT_DIR;
#endif
  return fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISDIR(st.st_mode);
}

static DIR *open_directory(const char *path, unsigned how) {
  int no_link = (how & OS_WATCH_BELOW) != 0 ? O_NOFOLLOW : 0;
  int fd = os_file_lift(
    open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | no_link));
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  int error = errno;
  if (d == NULL && fd >= 0) (void)close(fd);
  errno = error;
  return d;
}

int os_watch_list(const char *path, unsigned how,
  int (*take)(const char *name, bool directory, void *ud), void *ud) {
  DIR *d = open_directory(path, how);
  const struct dirent *e;
  int rc = 0;
  if (d == NULL) return failure();
  for (;;) {
    errno = 0;
    e = readdir(d);
    if (e == NULL) break;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    rc = take(e->d_name, is_directory(d, e), ud);
    if (rc != 0) break;
  }
  if (rc == 0 && errno != 0) rc = failure();
  (void)closedir(d);
  return rc;
}

#if defined(__linux__)

#include <sys/inotify.h>
#include <sys/ioctl.h>

/* -- watchers ------------------------------------------------------------- */

/* EMFILE says that the process has no more descriptors, or the user no more
   watchers: which one? */
static int shortage(void) {
  int fd = open("/", O_PATH | O_CLOEXEC);
  if (fd < 0) return OS_SYSTEM - EMFILE;
  (void)close(fd);
  return OS_WATCHERS_OUT;
}

int os_watch_new(void) {
  int fd = os_file_lift(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (fd >= 0) return fd;
  return errno == EMFILE ? shortage() : failure();
}

/* Of a file that was removed while it is open, nothing is told: it has no
   name. */
#define KINDS                                                       \
  (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | \
    IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF |   \
    IN_EXCL_UNLINK)

/* The path itself: a slash at its end would lead on. */
static bool is_link(const char *path) {
  char name[4096]; /* longer ones are refused */
  struct stat st;
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  if (n >= sizeof name) return false;
  memcpy(name, path, n);
  name[n] = '\0';
  return lstat(name, &st) == 0 && S_ISLNK(st.st_mode);
}

int os_watch_add(
  int watcher, const char *path, unsigned how, os_watch_thing *thing) {
  bool below = (how & OS_WATCH_BELOW) != 0;
  struct stat st;
  int number = inotify_add_watch(
    watcher, path, KINDS | (below ? IN_ONLYDIR | IN_DONT_FOLLOW : 0));
  if (number < 0) return errno == ENOSPC ? OS_WATCHES_OUT : failure();
  thing->directory = below || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
  thing->link = !below && is_link(path);
  return number;
}

void os_watch_drop(int watcher, int number) {
  (void)inotify_rm_watch(watcher, number);
}

/* That a number is lost is an event, and nobody else watches a new pipe. */
int os_watch_ring(int watcher) {
  char path[32];
  int ends[2], number;
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
  number = inotify_add_watch(watcher, path, IN_ATTRIB);
  if (number >= 0) (void)inotify_rm_watch(watcher, number);
  (void)close(ends[0]);
  (void)close(ends[1]);
  return number;
}

/* -- events --------------------------------------------------------------- */

size_t os_watch_queued(int watcher) {
  int size = 0;
  return ioctl(watcher, FIONREAD, &size) == 0 && size > 0 ? (size_t)size : 0;
}

static const struct {
  uint32_t theirs, ours;
} kinds[] = {
  {IN_CREATE, OS_WATCH_MADE},
  {IN_MODIFY, OS_WATCH_CHANGED},
  {IN_CLOSE_WRITE, OS_WATCH_WRITTEN},
  {IN_ATTRIB, OS_WATCH_ATTRIBUTES},
  {IN_DELETE, OS_WATCH_REMOVED},
  {IN_MOVED_FROM, OS_WATCH_FROM},
  {IN_MOVED_TO, OS_WATCH_TO},
  {IN_DELETE_SELF, OS_WATCH_GONE},
  {IN_UNMOUNT, OS_WATCH_GONE},
  {IN_MOVE_SELF, OS_WATCH_LEFT},
  {IN_IGNORED, OS_WATCH_LOST},
  {IN_Q_OVERFLOW, OS_WATCH_OVERFLOW},
};

size_t os_watch_next(const char *bytes, size_t size, os_watch_event *e) {
  struct inotify_event head;
  if (size < sizeof head) return 0;
  memcpy(&head, bytes, sizeof head);
  if (head.len > size - sizeof head) return 0;
  *e = (os_watch_event){.number = head.wd, .cookie = head.cookie};
  e->name = bytes + sizeof head;
  e->size = strnlen(e->name, head.len);
  e->directory = (head.mask & IN_ISDIR) != 0;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (head.mask & kinds[i].theirs) e->what |= kinds[i].ours;
  return sizeof head + head.len;
}

#else

/* -- other systems -------------------------------------------------------- */

int os_watch_new(void) { return OS_SYSTEM - EOPNOTSUPP; }

int os_watch_add(
  int watcher, const char *path, unsigned how, os_watch_thing *thing) {
  (void)watcher;
  (void)path;
  (void)how;
  (void)thing;
  return OS_SYSTEM - EOPNOTSUPP;
}

void os_watch_drop(int watcher, int number) {
  (void)watcher;
  (void)number;
}

int os_watch_ring(int watcher) {
  (void)watcher;
  return -1;
}

size_t os_watch_queued(int watcher) {
  (void)watcher;
  return 0;
}

size_t os_watch_next(const char *bytes, size_t size, os_watch_event *e) {
  (void)bytes;
  (void)size;
  (void)e;
  return 0;
}

#endif
