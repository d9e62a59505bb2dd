/* pathwork.c - what is done with paths, by a thread that may wait.
   SPDX-License-Identifier: MIT

   These run with the turn of the path's strand. */
#include "../../include/casting.h"
#include "../limits.h"
#include "../mem.h"
#include "fileop.h"

#include <stdlib.h>
#include <string.h>

/* -- opening -------------------------------------------------------------- */

/* The open file of a descriptor, which it takes over. */
static intptr_t make_file(cast_fileop *op, int fd, const char *path) {
  intptr_t rc = os_file_describe(fd, &op->info);
  if (rc == 0) {
    op->info.home = os_file_learn(fd, op->info.device);
    op->made = cast_openfile_new(fd, op->how, path, &op->info);
    if (op->made == NULL) rc = CASTING_ENOMEM;
    /* As in C: what is opened to append only begins at its end. */
    if (rc == 0 && (op->how & OS_FILE_APPEND) != 0 &&
        (op->how & OS_FILE_READ) == 0 && op->made->placed)
      op->made->position = op->info.size;
  }
  if (rc < 0) (void)os_file_close(fd);
  return rc;
}

static intptr_t run_open(cast_fileop *op) {
  intptr_t fd = os_file_open(op->path, op->how, op->mode);
  return fd < 0 ? fd : make_file(op, (int)fd, op->path);
}
const cast_fileop_kind cast_op_open = {
  .verb = "opening", .lapses = true, .run = run_open};

static intptr_t run_look(cast_fileop *op) {
  bool follow = (op->how & CAST_OP_FOLLOW) != 0;
  return os_file_stat(op->path, follow, &op->info);
}
const cast_fileop_kind cast_op_look = {
  .verb = "looking at", .lapses = true, .run = run_look};

/* -- names that nobody has ------------------------------------------------ */

static intptr_t run_temp(cast_fileop *op) {
  bool is_file = (op->how & OS_FILE_READ) != 0;
  intptr_t rc = CASTING_ENOMEM;
  for (int i = 0; i < CAST_TEMP_TRIES; i++) {
    cast_free(op->out);
    op->out =
      (unsigned char *)cast_fileop_temp_name(op->path, true, "casting-");
    if (op->out == NULL) return CASTING_ENOMEM;
    if (is_file)
      rc = os_file_open((const char *)op->out, op->how, 0600);
    else
      rc = os_file_mkdir((const char *)op->out, 0700);
    if (!os_file_is_there(rc)) break;
  }
  if (rc < 0) return rc;
  op->nout = strlen((const char *)op->out);
  if (is_file) {
    rc = make_file(op, (int)rc, (const char *)op->out);
    if (rc < 0) (void)os_file_unlink((const char *)op->out);
  }
  return rc;
}
const cast_fileop_kind cast_op_temp = {
  .verb = "making a file in", .lapses = true, .run = run_temp};

/* -- a directory's names -------------------------------------------------- */

/* Names lie in `out` one behind the other, each with the letter of its kind
   before it and a zero behind it; `size` is the room for them. */
static intptr_t add_name(void *arg, const char *name, os_file_kind kind) {
  static const char letters[] = "ofdlpsbc"; /* as os_file_kind has them */
  cast_fileop *op = arg;
  size_t n = strlen(name) + 2;
  if (cast_fileop_is_left(op)) return OS_EAGAIN;
  if (op->nout + n > op->size) {
    intptr_t rc = cast_fileop_grow(op, &op->size, op->nout + n, SIZE_MAX);
    if (rc < 0) return rc;
  }
  op->out[op->nout] = (unsigned char)letters[kind];
  memcpy(op->out + op->nout + 1, name, n - 1);
  op->nout += n;
  return 0;
}

static int compare(const void *a, const void *b) {
  const char *const *x = a, *const *y = b;
  return strcmp(*x + 1, *y + 1);
}

static intptr_t sort_names(cast_fileop *op) {
  const char *at = (const char *)op->out, *end = at + op->nout;
  size_t n = 0, i = 0;
  const char **names;
  unsigned char *sorted, *to;
  for (const char *p = at; p < end; p += strlen(p) + 1) n++;
  if (n < 2) return 0;
  names = cast_alloc(n * sizeof *names);
  sorted = cast_alloc(op->nout);
  if (names == NULL || sorted == NULL) {
    cast_free(names);
    cast_free(sorted);
    return CASTING_ENOMEM;
  }
  for (const char *p = at; p < end; p += strlen(p) + 1) names[i++] = p;
  qsort(names, n, sizeof *names, compare);
  to = sorted;
  for (i = 0; i < n; i++) {
    size_t size = strlen(names[i]) + 1;
    memcpy(to, names[i], size);
    to += size;
  }
  cast_free(names);
  cast_free(op->out);
  op->out = sorted;
  return 0;
}

static intptr_t run_list(cast_fileop *op) {
  bool follow = (op->how & CAST_OP_FOLLOW) != 0;
  intptr_t rc = os_file_list(op->path, follow, add_name, op);
  return rc < 0 ? rc : sort_names(op);
}
const cast_fileop_kind cast_op_list = {
  .verb = "listing", .lapses = true, .run = run_list};

/* -- making and removing -------------------------------------------------- */

static bool is_directory(const char *path) {
  os_file_info info;
  return os_file_stat(path, true, &info) == 0 && info.kind == OS_FILE_DIRECTORY;
}

/* Makes what is missing on the way: from the top down, as others may make and
   remove the same at the same time. */
static intptr_t make_way(cast_fileop *op) {
  size_t n = strlen(op->path) + 1;
  char *path = cast_alloc(n);
  intptr_t rc = 0;
  if (path == NULL) return CASTING_ENOMEM;
  memcpy(path, op->path, n);
  while (n > 2 && path[n - 2] == '/') path[--n - 1] = '\0';
  for (size_t i = 1; i < n && rc == 0; i++) {
    char c = path[i];
    if (c != '/' && c != '\0') continue;
    if (path[i - 1] == '/') continue;
    path[i] = '\0';
    rc = os_file_mkdir(path, c == '/' ? op->mode | 0300 : op->mode);
    /* What is there already is told in different ways: "/" may be busy, a disk
       may be read only. */
    if (rc < 0 && is_directory(path)) rc = 0;
    if (rc < 0) cast_fileop_blame(op, path);
    path[i] = c;
  }
  cast_free(path);
  return rc;
}

static intptr_t run_mkdir(cast_fileop *op) {
  if ((op->how & CAST_OP_TREE) != 0) return make_way(op);
  return os_file_mkdir(op->path, op->mode);
}
const cast_fileop_kind cast_op_mkdir = {
  .verb = "making", .owed = true, .run = run_mkdir};

static intptr_t run_rename(cast_fileop *op) {
  intptr_t rc = os_file_rename(op->path, op->to);
  os_file_info info;
  if (os_file_is_none(rc) && os_file_stat(op->path, false, &info) == 0)
    cast_fileop_blame(op, op->to); /* its directory is missing */
  return rc;
}
const cast_fileop_kind cast_op_rename = {
  .verb = "renaming", .owed = true, .run = run_rename};

static bool has_left(void *arg) { return cast_fileop_is_left(arg); }

static intptr_t run_remove(cast_fileop *op) {
  enum { SIZE = 4096 };
  os_file_info info;
  intptr_t rc;
  char *where;
  if ((op->how & CAST_OP_TREE) == 0) {
    rc = os_file_stat(op->path, false, &info);
    if (rc < 0) return rc;
    return info.kind == OS_FILE_DIRECTORY ? os_file_rmdir(op->path)
                                          : os_file_unlink(op->path);
  }
  where = cast_alloc(SIZE);
  if (where == NULL) return CASTING_ENOMEM;
  rc = os_file_remove_tree(op->path, has_left, op, where, SIZE);
  if (rc < 0) cast_fileop_blame(op, where);
  cast_free(where);
  return rc;
}
const cast_fileop_kind cast_op_remove = {.verb = "removing", .run = run_remove};
