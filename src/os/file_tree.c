/* file_tree.c - directories, and all that is in them, on POSIX systems.
   SPDX-License-Identifier: MIT

   A tree is removed from within: the directories that were entered last are
   open, KEPT of them besides the innermost. When a directory is empty its
   parent is open still, or is opened through "..", and must then be the one
   that it was entered from, else somebody has moved it meanwhile. So no path is
   followed twice, and a link that takes the place of a directory leads
   nowhere. */
#define _GNU_SOURCE /* O_DIRECTORY */
#define _FILE_OFFSET_BITS 64
#include "file.h"

#include "file_info.h"
#include "socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static intptr_t failed(void) {
  return errno == ENOMEM ? OS_ENOMEM : OS_SYSTEM - errno;
}

static int open_directory(int at, const char *name, bool follow) {
  int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  return os_file_lift(openat(at, name, follow ? flags : flags | O_NOFOLLOW));
}

static os_file_kind kind_of_entry(int at, const struct dirent *e) {
  struct stat st;
  switch (e->d_type) {
  case DT_REG: return OS_FILE_PLAIN;
  case DT_DIR: return OS_FILE_DIRECTORY;
  case DT_LNK: return OS_FILE_LINK;
  case DT_FIFO: return OS_FILE_PIPE;
  case DT_SOCK: return OS_FILE_SOCKET;
  case DT_BLK: return OS_FILE_BLOCK;
  case DT_CHR: return OS_FILE_CHARACTER;
  default: break;
  }
  if (fstatat(at, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
    return OS_FILE_OTHER;
  return os_file_kind_of(st.st_mode);
}

/* The next name but "." and ".."; NULL: *rc is 0 at the end, or a failure. */
static const struct dirent *next_entry(DIR *d, intptr_t *rc) {
  const struct dirent *e;
  do {
    errno = 0;
    e = readdir(d);
  } while (
    e != NULL && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
  *rc = e == NULL && errno != 0 ? failed() : 0;
  return e;
}

intptr_t os_file_list(const char *path, bool follow,
  intptr_t (*entry)(void *arg, const char *name, os_file_kind kind),
  void *arg) {
  int fd = open_directory(AT_FDCWD, path, follow);
  const struct dirent *e;
  intptr_t rc;
  DIR *d;
  if (fd < 0) return failed();
  d = fdopendir(fd);
  if (d == NULL) {
    rc = failed();
    (void)close(fd);
    return rc;
  }
  while ((e = next_entry(d, &rc)) != NULL) {
    rc = entry(arg, e->d_name, kind_of_entry(fd, e));
    if (rc < 0) break;
  }
  (void)closedir(d);
  return rc;
}

/* -- removing a tree ------------------------------------------------------ */

#define KEPT 8

/* A directory that was entered. */
typedef struct level {
  DIR *d;       /* the directory that it is in; NULL: it was closed, ... */
  dev_t device; /* ... and is this one */
  ino_t inode;
  char *name; /* in that one */
} level;

typedef struct removal {
  const char *top; /* without slashes at its end */
  DIR *d;          /* the innermost one */
  level *levels;
  size_t nlevels, room;
} removal;

/* Gives up the innermost level. */
static void drop_level(removal *r) {
  level *l = &r->levels[--r->nlevels];
  if (l->d != NULL) (void)closedir(l->d);
  free(l->name);
}

static bool make_room(removal *r) {
  size_t room = r->room == 0 ? 16 : 2 * r->room;
  level *levels;
  if (r->nlevels < r->room) return true;
  levels = realloc(r->levels, room * sizeof *levels);
  if (levels == NULL) return false;
  r->levels = levels;
  r->room = room;
  return true;
}

/* Enters a directory of the innermost one. */
static intptr_t enter(removal *r, const char *name) {
  struct stat st;
  level *l;
  DIR *d;
  int fd;
  if (!make_room(r)) return OS_ENOMEM;
  if (fstat(dirfd(r->d), &st) != 0) return failed();
  fd = open_directory(dirfd(r->d), name, false);
  if (fd < 0) return failed();
  d = fdopendir(fd);
  l = &r->levels[r->nlevels];
  *l = (level){r->d, st.st_dev, st.st_ino, strdup(name)};
  if (d == NULL || l->name == NULL) {
    free(l->name);
    if (d != NULL) (void)closedir(d);
    if (d == NULL) (void)close(fd);
    return OS_ENOMEM;
  }
  r->d = d;
  if (++r->nlevels > KEPT) {
    l = &r->levels[r->nlevels - KEPT - 1];
    if (l->d != NULL) (void)closedir(l->d);
    l->d = NULL;
  }
  return 0;
}

/* The directory that the innermost one is in. */
static intptr_t open_parent(removal *r, level *l) {
  int fd = open_directory(dirfd(r->d), "..", false);
  struct stat st;
  intptr_t rc = 0;
  if (fd < 0) return failed();
  if (fstat(fd, &st) != 0)
    rc = failed();
  else if (st.st_dev != l->device || st.st_ino != l->inode)
    rc = OS_SYSTEM - ESTALE; /* it was moved meanwhile */
  else if ((l->d = fdopendir(fd)) == NULL)
    rc = failed();
  if (rc < 0) (void)close(fd);
  return rc;
}

/* The innermost directory is empty: leaves it, and removes it. */
static intptr_t leave(removal *r) {
  level *l = &r->levels[r->nlevels - 1];
  intptr_t rc = l->d == NULL ? open_parent(r, l) : 0;
  if (rc < 0 || l->d == NULL) return rc;
  if (unlinkat(dirfd(l->d), l->name, AT_REMOVEDIR) != 0 && errno != ENOENT)
    return failed();
  (void)closedir(r->d);
  r->d = l->d;
  l->d = NULL;
  drop_level(r);
  return 0;
}

/* Removes an entry of the innermost directory: 1; or enters it, or finds that
   it is not there: 0; or a failure. */
static intptr_t remove_entry(removal *r, const struct dirent *e) {
  int at = dirfd(r->d);
  bool is_dir = kind_of_entry(at, e) == OS_FILE_DIRECTORY;
  if (unlinkat(at, e->d_name, is_dir ? AT_REMOVEDIR : 0) == 0) return 1;
  if (errno == ENOENT) return 0;
  if (!is_dir || (errno != ENOTEMPTY && errno != EEXIST)) return failed();
  return enter(r, e->d_name);
}

/* The path of `name` in the innermost directory; NULL: of that itself. */
static void tell(const removal *r, const char *name, char *where, size_t size) {
  size_t n = 0;
  for (size_t i = 0; i < r->nlevels + 2; i++) {
    const char *part = i == 0 ? r->top : name;
    if (i > 0 && i <= r->nlevels) part = r->levels[i - 1].name;
    if (part == NULL) continue;
    if (n > 0 && n + 1 < size) where[n++] = '/';
    for (; *part != '\0' && n + 1 < size; part++) where[n++] = *part;
  }
  where[n] = '\0';
}

static intptr_t empty(
  removal *r, bool (*stop)(void *arg), void *arg, char *where, size_t size) {
  intptr_t rc;
  bool found = false;
  for (;;) {
    const struct dirent *e = next_entry(r->d, &rc);
    if (rc == 0 && stop(arg)) return OS_EAGAIN;
    if (rc == 0 && e != NULL) {
      rc = remove_entry(r, e);
      found |= rc == 1;
      if (rc < 0) tell(r, e->d_name, where, size);
    } else if (rc == 0 && found) {
      rewinddir(r->d); /* what is removed may have hidden something */
      found = false;
    } else if (rc == 0) {
      if (r->nlevels == 0) return 0;
      rc = leave(r);
      found = true;
      if (rc < 0) tell(r, NULL, where, size);
    } else {
      tell(r, NULL, where, size);
    }
    if (rc < 0) return rc;
  }
}

/* Is "." or ".." the last name? */
static bool ends_with_dots(const char *path) {
  const char *name = strrchr(path, '/');
  name = name == NULL ? path : name + 1;
  return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

intptr_t os_file_remove_tree(const char *path, bool (*stop)(void *arg),
  void *arg, char *where, size_t size) {
  size_t n = strlen(path);
  char *top = strdup(path);
  removal r = {.top = top};
  struct stat st;
  intptr_t rc;
  int fd;
  if (top == NULL) return OS_ENOMEM;
  while (n > 1 && top[n - 1] == '/') top[--n] = '\0';
  tell(&r, NULL, where, size);
  if (ends_with_dots(top)) {
    rc = OS_SYSTEM - EINVAL;
  } else if (lstat(top, &st) != 0) {
    rc = failed();
  } else if (!S_ISDIR(st.st_mode)) {
    rc = unlink(top) == 0 ? 0 : failed();
  } else if (rmdir(top) == 0) {
    rc = 0;
  } else if (errno != ENOTEMPTY && errno != EEXIST) {
    rc = failed();
  } else {
    fd = open_directory(AT_FDCWD, top, false);
    r.d = fd < 0 ? NULL : fdopendir(fd);
    rc = r.d == NULL ? failed() : empty(&r, stop, arg, where, size);
    if (rc == 0 && rmdir(top) != 0) rc = failed();
    if (r.d != NULL) (void)closedir(r.d);
    if (r.d == NULL && fd >= 0) (void)close(fd);
  }
  while (r.nlevels > 0) drop_level(&r);
  free(r.levels);
  free(top);
  return rc;
}
