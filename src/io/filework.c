/* filework.c - what is done with open files, by a thread that may wait.
   SPDX-License-Identifier: MIT

   These run with the turn of the file's strand. A read collects its bytes in
   `out`, and only when it has them all, and its task still waits, the position
   moves: it commits itself. A write that nobody waits for is made all the
   same. */
#include "../../include/casting.h"
#include "../limits.h"
#include "../mem.h"
#include "fileop.h"

#include <string.h>

/* -- reading -------------------------------------------------------------- */

static intptr_t read_line(cast_fileop *op) {
  cast_openfile *f = op->file;
  cast_file_line l = {0, 0, false};
  /* The window is memory, too. */
  size_t most = op->size < op->room ? op->size : op->room, n;
  intptr_t rc;
  do {
    rc = cast_openfile_find_line(f, most, true, &l);
  } while (rc == OS_EAGAIN && cast_fileop_pause(op, f->fd));
  if (rc == CAST_FILE_TOO_LONG && most < op->size) rc = CASTING_ENOMEM;
  n = l.found;
  if (rc == 0 && n == 0) rc = CAST_FILE_END;
  if (rc < 0) return rc;
  if (!l.ended && (op->how & CAST_OP_WHOLE) == 0) n--;
  rc = cast_fileop_make_room(op, n + 1);
  if (rc < 0) return rc;
  memcpy(op->out, f->bytes + f->start, n);
  op->nout = n;
  if (cast_fileop_claim(op)) cast_openfile_advance(f, l.found);
  return 0;
}

/* The next bytes behind those that `out` has: how many. */
static intptr_t read_more(cast_fileop *op, size_t size) {
  cast_openfile *f = op->file;
  unsigned char *to = op->out + op->nout;
  if (size > CAST_FILE_STEP) size = CAST_FILE_STEP;
  if (op->offset >= 0)
    return cast_openfile_read_at(
      f, to, size, op->offset + (int64_t)op->nout, true);
  if (op->nout == 0) return cast_openfile_peek(f, to, size, true, true);
  return cast_openfile_read_at(
    f, to, size, f->position + (int64_t)op->nout, true);
}

/* Half the room for what is expected, or 0: it is doubled as it grows. One byte
   more than there are tells that this is the end. */
static size_t room_to_begin(const cast_fileop *op, size_t most) {
  const cast_openfile *f = op->file;
  int64_t from = op->offset < 0 ? f->position : op->offset;
  int64_t left = f->size - from;
  os_file_info now;
  if (left < CAST_READ_MOST) return 0;
  if (os_file_describe(f->fd, &now) < 0) return 0;
  left = now.size - from; /* it may have been cut since it was opened */
  if (left < CAST_READ_MOST || left >= INT32_MAX) return 0;
  return ((size_t)left < most ? (size_t)left : most) / 2 + 1;
}

/* Up to `most` bytes into `out`: 0, or a result. */
static intptr_t collect(cast_fileop *op, size_t most) {
  size_t room = room_to_begin(op, most);
  while (op->nout < most && !cast_fileop_is_left(op)) {
    intptr_t n = 0;
    if (op->nout == room || op->out == NULL)
      n = cast_fileop_grow(op, &room, op->nout + 1, most);
    if (n == 0) n = read_more(op, room - op->nout);
    if (n == OS_EAGAIN && cast_fileop_pause(op, op->file->fd)) continue;
    if (n < 0) return n;
    if (n == 0) break;
    op->nout += (size_t)n;
    if ((op->how & CAST_OP_SOME) != 0) break;
  }
  return 0;
}

/* The same of what comes in order: what was read stays in the window until it
   is certain that it is wanted. */
static intptr_t collect_in_order(cast_fileop *op, size_t most) {
  cast_openfile *f = op->file;
  bool some = (op->how & CAST_OP_SOME) != 0;
  size_t spare = op->room / 2; /* the window is memory, too */
  intptr_t n;
  do {
    n = cast_openfile_gather(f, most < spare ? most : spare, some);
  } while (n == OS_EAGAIN && cast_fileop_pause(op, f->fd));
  if (n < 0) return n;
  if ((size_t)n == spare && spare < most) {
    cast_openfile_forget(f); /* it cannot be kept either */
    return CASTING_ENOMEM;
  }
  if (cast_fileop_make_room(op, (size_t)n + 1) < 0) return CASTING_ENOMEM;
  op->nout = (size_t)cast_openfile_peek(f, op->out, (size_t)n, false, true);
  return 0;
}

static intptr_t run_read(cast_fileop *op) {
  cast_openfile *f = op->file;
  bool all = (op->how & CAST_OP_ALL) != 0;
  size_t most = op->size;
  intptr_t rc = 0;
  if (f->fd < 0) return CASTING_ECLOSED;
  op->info.size = f->size;
  if (all && f->size == 0) rc = os_file_describe(f->fd, &op->info);
  if (rc < 0) return rc;
  if (all) most = cast_fileop_most(op, f->placed, op->info.size);
  if ((op->how & CAST_OP_LINE) != 0) return read_line(op);
  if (f->placed)
    rc = collect(op, all ? most + 1 : most);
  else
    rc = op->offset >= 0 ? os_file_bad_place()
                         : collect_in_order(op, all ? most + 1 : most);
  if (rc < 0) return rc;
  if (op->nout > most) return CAST_FILE_TOO_LONG;
  if (op->nout == 0 && !all && most > 0) return CAST_FILE_END;
  if (cast_fileop_claim(op) && op->offset < 0)
    cast_openfile_advance(f, op->nout);
  return 0;
}
const cast_fileop_kind cast_op_read = {
  .verb = "reading", .lapses = true, .early = true, .run = run_read};

/* -- the others ----------------------------------------------------------- */

static intptr_t run_write(cast_fileop *op) {
  cast_openfile *f = op->file;
  bool at_end = (f->how & OS_FILE_APPEND) != 0 || !f->placed;
  int64_t from = op->offset >= 0 ? op->offset : f->position;
  intptr_t rc;
  if (f->fd < 0) return CASTING_ECLOSED;
  if (op->offset >= 0 && !f->placed) return os_file_bad_place();
  if (f->placed) cast_openfile_forget(f);
  op->nout = os_file_write(f->fd, op->data, op->ndata, at_end ? -1 : from, &rc);
  if (op->offset < 0) f->position += (int64_t)op->nout;
  if (at_end && f->placed && op->nout > 0) {
    intptr_t failed = os_file_position(f->fd, &f->position);
    if (rc == 0) rc = failed;
  }
  return rc;
}
const cast_fileop_kind cast_op_write = {
  .verb = "writing", .owed = true, .run = run_write};

/* op->mode: from the beginning (0), the position (1), the end (2). */
static intptr_t run_seek(cast_fileop *op) {
  cast_openfile *f = op->file;
  int64_t base = op->mode == 1 ? f->position : 0;
  intptr_t rc;
  if (f->fd < 0) return CASTING_ECLOSED;
  if (!f->placed) return os_file_bad_place();
  if (op->mode == 2) {
    rc = os_file_end(f->fd, &base);
    if (rc < 0) return rc;
  }
  if (op->offset > 0 ? base > INT64_MAX - op->offset : base + op->offset < 0)
    return os_file_bad_place();
  op->at = base + op->offset;
  if (cast_fileop_claim(op) && op->at != f->position) {
    cast_openfile_forget(f);
    f->position = op->at;
  }
  return 0;
}
const cast_fileop_kind cast_op_seek = {
  .verb = "seeking in", .lapses = true, .early = true, .run = run_seek};

static intptr_t run_stat(cast_fileop *op) {
  if (op->file->fd < 0) return CASTING_ECLOSED;
  return os_file_describe(op->file->fd, &op->info);
}
const cast_fileop_kind cast_op_stat = {
  .verb = "looking at", .lapses = true, .run = run_stat};

static intptr_t run_truncate(cast_fileop *op) {
  cast_openfile *f = op->file;
  if (f->fd < 0) return CASTING_ECLOSED;
  if (f->placed) cast_openfile_forget(f);
  return os_file_truncate(f->fd, op->offset >= 0 ? op->offset : f->position);
}
const cast_fileop_kind cast_op_truncate = {
  .verb = "truncating", .owed = true, .run = run_truncate};

static intptr_t run_sync(cast_fileop *op) {
  if (op->file->fd < 0) return CASTING_ECLOSED;
  return os_file_sync(op->file->fd, (op->how & CAST_OP_DATA) != 0);
}
const cast_fileop_kind cast_op_sync = {
  .verb = "syncing", .owed = true, .run = run_sync};

static intptr_t run_close(cast_fileop *op) {
  return cast_openfile_close(op->file);
}
const cast_fileop_kind cast_op_close = {.verb = "closing", .run = run_close};
