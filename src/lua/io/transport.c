/* transport.c - a try to read from a stream or to write to it.
   SPDX-License-Identifier: MIT

   See transport.h; what the system tells of more or of no more is said in
   stream.h, invariants 3 and 4. */
#include "transport.h"

#include "../../../include/casting.h"
#include "../../os/standard.h"

void cast_transport_count(cast_stream *s, size_t bytes) {
  if (s->account == NULL || bytes == s->works) return;
  if (cast_slabs_charge(s->account, s->works, bytes)) s->works = bytes;
}
/* -- reading -------------------------------------------------------------- */

/* Within a use of its descriptor. Only when it first matters: many a connection
   is closed before. */
static bool drains(cast_stream *s) {
  if (s->asks_drains) {
    s->asks_drains = false;
    s->drains = os_is_plain(s->file->fd);
  }
  return s->drains;
}

static intptr_t read_file(cast_stream *s, void *to, size_t size) {
  intptr_t n = cast_fileio_read(&s->input, s->file, to, size);
  cast_transport_count(s, cast_transport_works(s));
  return n;
}

/* One call of the system. */
static intptr_t read_once(cast_stream *s, void *to, size_t size) {
  int fd = s->file->fd;
  if (CAST_LIKELY(s->is_socket)) return os_receive_now(fd, to, size);
  if (CAST_UNLIKELY(s->is_file)) return read_file(s, to, size);
  if (CAST_UNLIKELY(s->shared)) {
    int ready = os_poll_now(fd, OS_READABLE);
    if (ready <= 0) return ready == 0 ? OS_EAGAIN : ready;
  }
  if (CAST_UNLIKELY(s->is_terminal)) return os_read_terminal(fd, to, size);
  return os_read(fd, to, size);
}

intptr_t cast_transport_read(
  cast_stream *s, void *to, size_t size, cast_session *self) {
  intptr_t n;
  if (!cast_descriptor_begin(s->file)) return CASTING_ECLOSED;
  if (s->ended) {
    cast_descriptor_end(s->file);
    return 0;
  }
  if (s->drained && !cast_descriptor_is_ready(s->file, CAST_READ) &&
      !cast_descriptor_is_ended(s->file)) {
    cast_descriptor_end(s->file);
    return OS_EAGAIN;
  }
  cast_descriptor_try(s->file, CAST_READ);
  n = read_once(s, to, size);
  s->drained = n > 0 && (size_t)n < size && drains(s);
  cast_descriptor_end(s->file);
  /* What was short is the last only if no event has told of the end. */
  if (n != OS_EAGAIN && (!s->drained || cast_descriptor_is_ended(s->file)))
    cast_descriptor_pass(s->file, CAST_READ, self);
  return n;
}

/* -- writing -------------------------------------------------------------- */

static intptr_t write_file(
  cast_stream *s, const os_bytes *v, int n, size_t total) {
  intptr_t written = cast_fileio_write(&s->output, s->file, v, n, total);
  cast_transport_count(s, cast_transport_works(s));
  return written;
}

/* One call of the system. */
static intptr_t write_once(
  cast_stream *s, const os_bytes *v, int n, size_t total) {
  int fd = s->file->fd;
  if (CAST_UNLIKELY(s->is_file)) return write_file(s, v, n, total);
  if (CAST_UNLIKELY(s->shared) && !s->is_socket) {
    int ready = os_poll_now(fd, OS_WRITABLE);
    if (ready <= 0) return ready == 0 ? OS_EAGAIN : ready;
  }
  if (CAST_UNLIKELY(s->is_terminal)) return os_write_terminal(fd, v, n);
  return os_write(fd, v, n, s->is_socket);
}

/* Writes `total` bytes, or a part. `ready` is cleared only when there was no
   room before: then what is short tells that there is none left, and *over is
   set. Otherwise there is most often room, and nobody has to be told. */
intptr_t cast_transport_write(cast_stream *s, const os_bytes *v, int n,
  size_t total, bool *over, cast_session *self) {
  bool forgets = s->full, fits;
  intptr_t written;
  if (!cast_descriptor_begin(s->file)) return CASTING_ECLOSED;
  if (forgets) cast_descriptor_try(s->file, CAST_WRITE);
  written = write_once(s, v, n, total);
  if (written == OS_EAGAIN && !forgets) {
    forgets = true;
    cast_descriptor_try(s->file, CAST_WRITE);
    written = write_once(s, v, n, total);
  }
  fits = written >= 0 && (size_t)written == total;
  s->full = !fits;
  *over = forgets && written >= 0 && !fits && drains(s);
  cast_descriptor_end(s->file);
  if (forgets && written != OS_EAGAIN && !*over)
    cast_descriptor_pass(s->file, CAST_WRITE, self);
  return written;
}
