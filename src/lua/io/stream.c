/* stream.c - a connection, pipe or terminal that tasks read and write.
   SPDX-License-Identifier: MIT

   See stream.h. */
#include "stream.h"

#include "../../../include/casting.h"
#include "../../limits.h"
#include "../../mem.h"

static void free_stream(cast_object *o) {
  cast_stream *s = CAST_CONTAINER(o, cast_stream, object);
  cast_descriptor_close(s->file, NULL);
  cast_unref(&s->file->object);
  cast_free(s->bytes);
  cast_free(s);
}

const cast_type cast_stream_type = {"stream", free_stream, NULL};

cast_stream *cast_stream_new(int fd, bool is_socket) {
  cast_stream *s = cast_calloc(sizeof *s);
  cast_descriptor *d = s != NULL ? cast_descriptor_new(fd, 0) : NULL;
  if (d == NULL) {
    os_close(fd);
    cast_free(s);
    return NULL;
  }
  cast_object_init(&s->object, &cast_stream_type);
  cast_list_init(&s->writers);
  s->file = d;
  s->is_socket = is_socket;
  return s;
}

bool cast_stream_close(cast_stream *s, cast_session *self) {
  return cast_descriptor_close(s->file, self);
}

/* -- reading -------------------------------------------------------------- */

void cast_stream_take(cast_stream *s, size_t n) {
  CAST_ASSERT(n <= cast_stream_left(s));
  s->start += n;
  if (s->start < s->end) return;
  cast_free(s->bytes);
  s->bytes = NULL;
  s->start = s->end = s->room = 0;
}

intptr_t cast_stream_try(cast_stream *s, void *to, size_t size) {
  intptr_t n;
  if (s->ended) return 0;
  if (!cast_descriptor_begin(s->file)) return CASTING_ECLOSED;
  if (s->drained && !cast_descriptor_is_ready(s->file, CAST_READ) &&
      !cast_descriptor_is_ended(s->file)) {
    cast_descriptor_end(s->file);
    return OS_EAGAIN;
  }
  cast_descriptor_try(s->file, CAST_READ);
  n = os_read(s->file->fd, to, size);
  cast_descriptor_end(s->file);
  s->drained = s->is_socket && n > 0 && (size_t)n < size;
  s->ended = n == 0 || os_is_gone(n);
  if (n > 0) s->nread += (uint64_t)n;
  return s->ended ? 0 : n;
}

/* Makes room for `more` bytes behind those that are left over. */
static bool make_room(cast_stream *s, size_t more) {
  size_t left = cast_stream_left(s), room = left + more;
  unsigned char *bytes;
  if (s->room - s->end >= more) return true;
  if (s->room >= room && s->start > 0) {
    memmove(s->bytes, s->bytes + s->start, left);
    s->start = 0;
    s->end = left;
    return true;
  }
  if (room < 2 * s->room) room = 2 * s->room;
  bytes = cast_alloc(room);
  if (bytes == NULL) return false;
  if (left > 0) memcpy(bytes, s->bytes + s->start, left);
  cast_free(s->bytes);
  s->bytes = bytes;
  s->start = 0;
  s->end = left;
  s->room = room;
  return true;
}

intptr_t cast_stream_fill(cast_stream *s, size_t want) {
  unsigned char small[4096];
  size_t left = cast_stream_left(s);
  size_t more = want > left ? want - left : 1;
  intptr_t n;
  /* What is short needs no more memory than it has bytes. */
  if (more <= sizeof small && s->room - s->end < more) {
    n = cast_stream_try(s, small, sizeof small);
    if (n <= 0) return n;
    if (!make_room(s, (size_t)n)) {
      s->ended = true; /* bytes are lost: nothing after them can be trusted */
      return CASTING_ENOMEM;
    }
    memcpy(s->bytes + s->end, small, (size_t)n);
  } else {
    if (more > CAST_READ_MOST) more = CAST_READ_MOST;
    if (!make_room(s, more)) return CASTING_ENOMEM;
    n = cast_stream_try(s, s->bytes + s->end, s->room - s->end);
    if (n <= 0) return n;
  }
  s->end += (size_t)n;
  return n;
}

/* -- writing -------------------------------------------------------------- */

/* Up to OS_BYTES_MOST of the pieces, without the first `skip` bytes of all. */
static int select_pieces(
  const os_bytes *pieces, uint32_t n, size_t skip, os_bytes *v) {
  int count = 0;
  for (uint32_t i = 0; i < n && count < OS_BYTES_MOST; i++) {
    size_t size = pieces[i].size;
    if (skip >= size) {
      skip -= size;
      continue;
    }
    v[count].at = (const char *)pieces[i].at + skip;
    v[count++].size = size - skip;
    skip = 0;
  }
  return count;
}

intptr_t cast_stream_send(
  cast_stream *s, const os_bytes *pieces, uint32_t n, size_t *done) {
  os_bytes v[OS_BYTES_MOST];
  uint32_t at = 0; /* the pieces before it have gone */
  size_t gone = 0; /* bytes of these */
  for (;;) {
    intptr_t written;
    int count;
    while (at < n && gone + pieces[at].size <= *done) gone += pieces[at++].size;
    count = select_pieces(pieces + at, n - at, *done - gone, v);
    if (count == 0) return 0;
    if (!cast_descriptor_begin(s->file)) return CASTING_ECLOSED;
    cast_descriptor_try(s->file, CAST_WRITE);
    written = os_write(s->file->fd, v, count, s->is_socket);
    cast_descriptor_end(s->file);
    if (written < 0) return written;
    s->nwritten += (uint64_t)written;
    *done += (size_t)written;
  }
}
