/* openfile.c - an open file, and what of it lies in memory.
   SPDX-License-Identifier: MIT

   See openfile.h. A file whose bytes come in order, as those of a device, is
   read into the window only: what a read that was cancelled has brought is
   there for the next one. */
#include "openfile.h"

#include "../../include/casting.h"
#include "../limits.h"
#include "../mem.h"
#include "fileop.h"

#include <string.h>

/* -- closing -------------------------------------------------------------- */

/* The close of a file that nobody has any more. On some file systems it may
   wait; it is made with the file, as there must be memory for it then. */
typedef struct cast_farewell {
  cast_call call;
  int fd;
} cast_farewell;

static void close_farewell(cast_call *c) {
  cast_farewell *w = CAST_CONTAINER(c, cast_farewell, call);
  (void)os_file_close(w->fd);
  w->fd = -1;
  cast_unref(&c->object); /* nobody waits: it has kept itself */
}

static void free_farewell(cast_call *c) {
  cast_free(CAST_CONTAINER(c, cast_farewell, call));
}

static const cast_call_kind farewell_kind = {
  .run = close_farewell, .lost = close_farewell, .free = free_farewell};

/* -- the object ----------------------------------------------------------- */

static void free_file(cast_object *o) {
  cast_openfile *f = CAST_CONTAINER(o, cast_openfile, object);
  cast_farewell *w = f->farewell;
  CAST_ASSERT(!f->strand.busy && cast_list_is_empty(&f->strand.ops));
  if (f->fd >= 0 && f->home < OS_HOME_DISK) {
    w->fd = f->fd;
    cast_fileop_send_call(&w->call);
  } else {
    if (f->fd >= 0) (void)os_file_close(f->fd);
    cast_unref(&w->call.object);
  }
  cast_free(f->bytes);
  cast_free(f);
}

const cast_type cast_openfile_type = {"file", free_file, NULL};

cast_openfile *cast_openfile_new(
  int fd, unsigned how, const char *path, const os_file_info *info) {
  size_t n = strlen(path) + 1;
  cast_openfile *f = cast_calloc(sizeof *f + n);
  cast_farewell *w = cast_calloc(sizeof *w);
  if (f == NULL || w == NULL) {
    cast_free(f);
    cast_free(w);
    return NULL;
  }
  cast_call_init(&w->call, &farewell_kind);
  w->fd = -1;
  cast_object_init(&f->object, &cast_openfile_type);
  cast_strand_init(&f->strand);
  f->farewell = w;
  f->fd = fd;
  f->how = how;
  f->home = info->home;
  f->placed = info->kind == OS_FILE_PLAIN || info->kind == OS_FILE_BLOCK;
  f->size = info->size;
  memcpy(f->path, path, n);
  return f;
}

intptr_t cast_openfile_close(cast_openfile *f) {
  intptr_t rc;
  if (f->fd < 0) return CASTING_ECLOSED;
  rc = os_file_close(f->fd);
  f->fd = -1;
  cast_openfile_forget(f);
  cast_free(f->bytes);
  f->bytes = NULL;
  f->room = 0;
  return rc;
}

/* -- the window ----------------------------------------------------------- */

static size_t left(const cast_openfile *f) { return f->end - f->start; }

/* After a long line: the window takes no more memory than is usual. Of what
   comes in order the beginning is kept. */
static void shrink(cast_openfile *f) {
  size_t n = left(f);
  unsigned char *bytes;
  if (f->room <= CAST_WINDOW_SIZE) return;
  if (n > CAST_WINDOW_SIZE) n = CAST_WINDOW_SIZE;
  if (n > 0) memmove(f->bytes, f->bytes + f->start, n);
  f->start = 0;
  f->end = n;
  f->version++;
  bytes = cast_realloc(f->bytes, CAST_WINDOW_SIZE);
  if (bytes == NULL) return;
  f->bytes = bytes;
  f->room = CAST_WINDOW_SIZE;
}

void cast_openfile_forget(cast_openfile *f) {
  f->start = 0;
  f->end = 0;
  f->version++;
  if (CAST_UNLIKELY(f->room > CAST_WINDOW_SIZE)) shrink(f);
}

void cast_openfile_advance(cast_openfile *f, size_t n) {
  size_t of_window = n < left(f) ? n : left(f);
  f->position += (int64_t)n;
  f->start += of_window;
  f->version++;
  if (f->start == f->end)
    cast_openfile_forget(f);
  else if (CAST_UNLIKELY(
             f->room > CAST_WINDOW_SIZE && left(f) <= CAST_WINDOW_SIZE))
    shrink(f);
}

intptr_t cast_openfile_read_at(
  cast_openfile *f, void *to, size_t size, int64_t offset, bool waits) {
  if (f->fd < 0) return CASTING_ECLOSED;
  if (!waits) {
    if (!f->placed) return OS_EAGAIN;
    return os_file_read_cached(f->fd, f->home, to, size, offset);
  }
  return f->placed ? os_file_read(f->fd, to, size, offset)
                   : os_file_read_next(f->fd, to, size);
}

size_t cast_openfile_room(const cast_openfile *f) {
  if (f->placed && f->size > 0 && f->size < CAST_WINDOW_SIZE)
    return (size_t)f->size + 1;
  return CAST_WINDOW_SIZE;
}

/* Room for one more byte behind what is in the window at least, and for `want`
   in all. */
static bool make_room(cast_openfile *f, size_t want) {
  size_t n = left(f), room = f->room;
  unsigned char *bytes;
  if (f->start > 0 && f->bytes != NULL)
    memmove(f->bytes, f->bytes + f->start, n);
  f->start = 0;
  f->end = n;
  if (room == 0)
    room = cast_openfile_room(f);
  else if (n == room && room < CAST_WINDOW_SIZE)
    room = CAST_WINDOW_SIZE; /* it has grown since */
  while (room < want || room == n) room *= 2;
  if (room == f->room) return true;
  bytes = cast_realloc(f->bytes, room);
  if (bytes == NULL) return false;
  f->bytes = bytes;
  f->room = room;
  return true;
}

/* One call of the system's: how many bytes the window has got; 0: the end. */
static intptr_t fill(cast_openfile *f, size_t want, bool waits) {
  intptr_t n;
  if (f->bytes == NULL || f->end == f->room || f->room - f->start < want)
    if (!make_room(f, want)) return CASTING_ENOMEM;
  n = cast_openfile_read_at(f, f->bytes + f->end, f->room - f->end,
    f->position + (int64_t)left(f), waits);
  if (n > 0) f->end += (size_t)n;
  return n;
}

/* -- reading -------------------------------------------------------------- */

static intptr_t find_line(
  cast_openfile *f, size_t most, bool waits, cast_file_line *l) {
  for (;;) {
    size_t n = left(f);
    const unsigned char *from = n > 0 ? f->bytes + f->start : NULL;
    const unsigned char *end = NULL;
    intptr_t rc;
    if (n > l->scanned) end = memchr(from + l->scanned, '\n', n - l->scanned);
    if (end != NULL) l->found = (size_t)(end - from) + 1;
    if (l->found > 0) return l->found - 1 > most ? CAST_FILE_TOO_LONG : 0;
    l->scanned = n;
    if (n > most) return CAST_FILE_TOO_LONG;
    rc = fill(f, n + 1, waits);
    if (rc < 0) return rc;
    if (rc > 0) continue;
    l->found = n;
    l->ended = true;
    return 0;
  }
}

intptr_t cast_openfile_find_line(
  cast_openfile *f, size_t most, bool waits, cast_file_line *l) {
  intptr_t rc = find_line(f, most, waits, l);
  if (waits && rc < 0 && rc != OS_EAGAIN) shrink(f);
  return rc;
}

intptr_t cast_openfile_gather(cast_openfile *f, size_t size, bool some) {
  while (left(f) < size && !(some && left(f) > 0)) {
    size_t want = left(f) + 1;
    intptr_t rc = fill(f, want, true);
    if (rc < 0 && rc != OS_EAGAIN) shrink(f);
    if (rc < 0) return rc;
    if (rc == 0) break;
  }
  return (intptr_t)(left(f) < size ? left(f) : size);
}

intptr_t cast_openfile_peek(
  cast_openfile *f, void *to, size_t size, bool some, bool waits) {
  size_t n = left(f) < size ? left(f) : size;
  if (f->fd < 0) return CASTING_ECLOSED;
  if (n > 0) memcpy(to, f->bytes + f->start, n);
  if (!f->placed) return n == size || (some && n > 0) ? (intptr_t)n : OS_EAGAIN;
  while (n < size && !(some && n > 0)) {
    intptr_t rc = cast_openfile_read_at(
      f, (char *)to + n, size - n, f->position + (int64_t)n, waits);
    if (rc < 0) return rc;
    if (rc == 0) break;
    n += (size_t)rc;
  }
  return (intptr_t)n;
}
