/* filesave.c - whole files: read, and written, also in one step.
   SPDX-License-Identifier: MIT

   An atomic write makes a new file in the directory of the one that it
   replaces, and renames it. Until then nothing shows of it, so if its task has
   left by then the new file is removed; afterwards it has happened. It has the
   turn of its path until the rename is over: no later write to that path is
   overtaken. */
#include "../../include/casting.h"
#include "../limits.h"
#include "../mem.h"
#include "fileop.h"

#include <stdio.h>
#include <string.h>

/* -- reading -------------------------------------------------------------- */

static intptr_t read_all(cast_fileop *op, int fd) {
  bool placed = op->info.kind == OS_FILE_PLAIN;
  size_t most = cast_fileop_most(op, placed, op->info.size), room = 0, some;
  /* One byte more than there are tells that this is the end. What the system
     makes up has no size, and some of it is there for one call only. */
  if (placed && op->info.size > 0 && op->info.size < INT32_MAX)
    room = (size_t)op->info.size / 2 + 1; /* doubled, as it grows */
  while (!cast_fileop_is_left(op)) {
    intptr_t n = 0;
    if (op->nout == room || op->out == NULL)
      n = cast_fileop_grow(op, &room, op->nout + 1, most + 1);
    if (n < 0) return n;
    some = room - op->nout < CAST_FILE_STEP ? room - op->nout : CAST_FILE_STEP;
    n = os_file_read_next(fd, op->out + op->nout, some);
    if (n == OS_EAGAIN && cast_fileop_pause(op, fd)) continue;
    if (n <= 0) return n;
    op->nout += (size_t)n;
    if (op->nout > most) return CAST_FILE_TOO_LONG;
  }
  return 0;
}

static intptr_t run_load(cast_fileop *op) {
  intptr_t fd = os_file_open(op->path, OS_FILE_READ, 0), rc;
  if (fd < 0) return fd;
  rc = os_file_describe((int)fd, &op->info);
  if (rc == 0) {
    (void)os_file_learn((int)fd, op->info.device);
    rc = read_all(op, (int)fd);
  }
  (void)os_file_close((int)fd);
  return rc;
}
const cast_fileop_kind cast_op_load = {
  .verb = "reading", .lapses = true, .run = run_load};

/* -- writing -------------------------------------------------------------- */

/* Closes it also after a failure, which counts more than one of the close. */
static intptr_t close_after(intptr_t rc, int fd) {
  intptr_t closed = os_file_close(fd);
  return rc < 0 ? rc : closed;
}

static intptr_t save_in_place(cast_fileop *op) {
  unsigned how = OS_FILE_WRITE | OS_FILE_CREATE;
  intptr_t fd, rc;
  how |= op->how & (OS_FILE_APPEND | OS_FILE_EXCLUSIVE);
  if ((how & OS_FILE_APPEND) == 0) how |= OS_FILE_TRUNCATE;
  fd = os_file_open(op->path, how, op->mode);
  if (fd < 0) return fd;
  (void)os_file_write((int)fd, op->data, op->ndata, -1, &rc);
  if (rc == 0 && (op->how & CAST_OP_SYNC) != 0)
    rc = os_file_sync((int)fd, false);
  rc = close_after(rc, (int)fd);
  if (rc == 0 && (op->how & CAST_OP_SYNC) != 0)
    rc = os_file_sync_names(op->path);
  return rc;
}

/* -- a file that is to be renamed ----------------------------------------- */

#define NAME_SIZE 16 /* of ".casting-" and letters, or of "casting-", less */

/* Writes eight letters that nobody expects. */
static void write_letters(char *to) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
  uint64_t bits = os_entropy();
  for (int i = 0; i < 8; i++, bits >>= 5) to[i] = letters[bits & 31];
  to[8] = '\0';
}

char *cast_fileop_temp_name(
  const char *beside, bool inside, const char *prefix) {
  const char *slash = strrchr(beside, '/');
  size_t n = inside ? strlen(beside) : 0, np = strlen(prefix) + 1;
  char *name;
  if (!inside && slash != NULL) n = (size_t)(slash - beside) + 1;
  name = cast_alloc(n + np + NAME_SIZE);
  if (name == NULL) return NULL;
  memcpy(name, beside, n);
  if (inside && n > 0 && name[n - 1] != '/') name[n++] = '/';
  memcpy(name + n, prefix, np);
  write_letters(name + n + np - 1);
  return name;
}

/* Opens a new file beside `path`: its descriptor, and *name, which is to be
   freed. */
static intptr_t open_beside(const char *path, unsigned mode, char **name) {
  intptr_t fd = CASTING_ENOMEM;
  *name = NULL;
  for (int i = 0; i < CAST_TEMP_TRIES; i++) {
    cast_free(*name);
    *name = cast_fileop_temp_name(path, false, ".casting-");
    if (*name == NULL) return CASTING_ENOMEM;
    fd = os_file_open(
      *name, OS_FILE_WRITE | OS_FILE_CREATE | OS_FILE_EXCLUSIVE, mode);
    if (!os_file_is_there(fd)) break;
  }
  return fd;
}

/* -- links ---------------------------------------------------------------- */

/* Where the link at *path leads, in place of it: 1; 0: it is no link. */
static intptr_t follow_link(char **path) {
  enum { SIZE = 4096 };
  char *to = cast_alloc(SIZE), *joined = NULL;
  const char *slash = strrchr(*path, '/');
  size_t n = slash != NULL ? (size_t)(slash - *path) + 1 : 0;
  intptr_t length;
  if (to == NULL) return CASTING_ENOMEM;
  length = os_file_link(*path, to, SIZE);
  if (length < 0) {
    cast_free(to); /* no link, or nothing: whoever opens it will see */
    return 0;
  }
  if (to[0] == '/') n = 0;
  joined = cast_alloc(n + (size_t)length + 1);
  if (joined != NULL) {
    memcpy(joined, *path, n);
    memcpy(joined + n, to, (size_t)length + 1);
  }
  cast_free(to);
  if (joined == NULL) return CASTING_ENOMEM;
  cast_free(*path);
  *path = joined;
  return 1;
}

/* The path at the end of all links, which is to be freed, even if there is
   nothing. */
static intptr_t resolve(const char *path, char **end) {
  size_t n = strlen(path) + 1;
  intptr_t rc = 1;
  *end = cast_alloc(n);
  if (*end == NULL) return CASTING_ENOMEM;
  memcpy(*end, path, n);
  for (int i = 0; rc == 1 && i < CAST_LINKS_MOST; i++) rc = follow_link(end);
  return rc < 0 ? rc : 0; /* too many: the system will say so */
}

/* -- an atomic write ------------------------------------------------------ */

/* Writes and closes the new file; it must still be wanted then. */
static intptr_t fill_new(cast_fileop *op, int fd, const os_file_info *old) {
  size_t done = 0;
  intptr_t rc = 0;
  while (rc == 0 && done < op->ndata && !cast_fileop_is_left(op)) {
    size_t some = op->ndata - done;
    if (some > CAST_FILE_STEP) some = CAST_FILE_STEP;
    done += os_file_write(fd, op->data + done, some, -1, &rc);
  }
  if (old != NULL) os_file_imitate(fd, old);
  if (rc == 0 && (op->how & CAST_OP_SYNC) != 0 && !cast_fileop_is_left(op))
    rc = os_file_sync(fd, false);
  return close_after(rc, fd);
}

/* Puts the new file in its place. */
static intptr_t put(cast_fileop *op, const char *name, const char *target) {
  intptr_t rc;
  bool exclusive = (op->how & OS_FILE_EXCLUSIVE) != 0;
  if (!cast_fileop_claim(op)) {
    (void)os_file_unlink(name);
    return 0;
  }
  rc =
    exclusive ? os_file_rename_new(name, target) : os_file_rename(name, target);
  if (rc < 0) (void)os_file_unlink(name);
  if (rc == 0 && (op->how & CAST_OP_SYNC) != 0) rc = os_file_sync_names(target);
  return rc;
}

static intptr_t save_beside(cast_fileop *op, const char *target) {
  os_file_info old;
  intptr_t fd, rc;
  char *name;
  bool there;
  rc = os_file_stat(target, true, &old);
  if (rc < 0 && !os_file_is_none(rc)) return rc; /* links in a circle */
  there = rc == 0;
  if (there && (old.kind == OS_FILE_PIPE || old.kind == OS_FILE_SOCKET))
    return OS_FILE_REFUSED;
  if (there && old.kind != OS_FILE_PLAIN && old.kind != OS_FILE_DIRECTORY)
    return CAST_FILE_NOT_PLAIN;
  fd = open_beside(target, there ? 0600 : op->mode, &name);
  rc = fd;
  if (fd >= 0) {
    rc = fill_new(op, (int)fd, there ? &old : NULL);
    if (rc == 0)
      rc = put(op, name, target);
    else
      (void)os_file_unlink(name);
  }
  cast_free(name);
  return rc;
}

static intptr_t run_save(cast_fileop *op) {
  char *target;
  intptr_t rc;
  if ((op->how & CAST_OP_ATOMIC) == 0) return save_in_place(op);
  if (cast_fileop_is_left(op)) return 0;
  if ((op->how & OS_FILE_EXCLUSIVE) != 0) return save_beside(op, op->path);
  rc = resolve(op->path, &target);
  if (rc == 0) rc = save_beside(op, target);
  cast_free(target);
  return rc;
}
const cast_fileop_kind cast_op_save = {
  .verb = "writing", .owed = true, .run = run_save};
