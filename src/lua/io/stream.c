/* stream.c - a connection, pipe or terminal that tasks read and write.
   SPDX-License-Identifier: MIT

   See stream.h. */
#include "stream.h"

#include "../../../include/casting.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../os/standard.h"
#include "layer.h"

/* -- its life ------------------------------------------------------------- */

static void free_stream(cast_object *o) {
  cast_stream *s = CAST_CONTAINER(o, cast_stream, object);
  cast_layer_drop(s, NULL, false);
  cast_fileio_drop(&s->input);
  cast_fileio_drop(&s->output);
  cast_descriptor_close(s->file, NULL);
  cast_unref(&s->file->object);
  cast_free((void *)(uintptr_t)s->want.mark);
  cast_free(s->title);
  cast_free(s->bytes);
  cast_free(s);
}

const cast_type cast_stream_type = {"stream", free_stream, NULL};

/* How many bytes to write at once, so that a call does not block. */
static size_t write_most(int fd, cast_stream_origin origin) {
  size_t fits = os_pipe_fits(fd);
  if (origin == CAST_STREAM_FILE) return CAST_FILE_MOST;
  return fits > CAST_SHARED_MOST ? fits : CAST_SHARED_MOST;
}

cast_stream *cast_stream_new(int fd, cast_stream_origin origin) {
  cast_stream *s = cast_calloc(sizeof *s);
  if (s == NULL) return NULL;
  s->is_file = origin == CAST_STREAM_FILE;
  s->file = cast_descriptor_new(fd, s->is_file ? CAST_UNPOLLED : 0);
  if (s->file == NULL) {
    cast_free(s);
    return NULL;
  }
  cast_object_init(&s->object, &cast_stream_type);
  cast_list_init(&s->writers);
  s->is_socket = origin == CAST_STREAM_SOCKET || origin == CAST_STREAM_PLAIN;
  s->asks_drains = origin == CAST_STREAM_SOCKET;
  s->drains = origin == CAST_STREAM_PLAIN;
  s->shared = origin == CAST_STREAM_SHARED || s->is_file;
  if (s->shared) s->most = write_most(fd, origin);
  return s;
}

intptr_t cast_stream_shut(cast_stream *s) {
  intptr_t rc;
  if (!cast_descriptor_begin(s->file)) return CASTING_ECLOSED;
  rc = s->is_socket ? os_shutdown_write(s->file->fd) : 0;
  cast_descriptor_end(s->file);
  s->shut = true;
  return rc;
}

bool cast_stream_is_awaited(cast_stream *s) {
  return s->reader != NULL || s->selects > 0 || s->uses > 0 ||
         !cast_list_is_empty(&s->writers) ||
         cast_descriptor_is_awaited(s->file, CAST_READ) ||
         cast_descriptor_is_awaited(s->file, CAST_WRITE);
}

/* -- the buffer ----------------------------------------------------------- */

/* The buffer counts as `room` bytes from now on. False: that is no change, as
   the session would have too little left: of what it may have more a buffer
   takes three quarters at most, for strings have to be made of its bytes.
   `urgent`: garbage is looked for before. */
static bool count_room(cast_stream *s, size_t room, bool urgent) {
  if (s->account == NULL || room == s->counted) return true;
  if (room > s->counted) {
    size_t more = room - s->counted, needed = more + more / 3;
    if (cast_slabs_spare(s->account, urgent ? needed : 0) < needed)
      return false;
  }
  (void)cast_slabs_charge(s->account, s->counted, room);
  s->counted = room;
  return true;
}

void cast_stream_assign(cast_stream *s, cast_slabs *account) {
  (void)count_room(s, 0, false);
  cast_transport_count(s, 0);
  s->account = account;
  (void)count_room(s, s->room, false);
  cast_transport_count(s, cast_transport_works(s));
}

/* What is left over lies in it no more. It still counts. */
static void replace(cast_stream *s, cast_runner *r) {
  if (s->bytes != NULL && s->room == CAST_READ_MOST)
    cast_runner_scratch_give(r, s->bytes);
  else
    cast_free(s->bytes);
  s->bytes = NULL;
  s->start = s->end = s->room = 0;
}

static void release(cast_stream *s, cast_runner *r) {
  s->nlost += cast_stream_left(s);
  replace(s, r);
  (void)count_room(s, 0, false);
}

/* Moves what is left over to the front. */
static void compact(cast_stream *s) {
  size_t left = cast_stream_left(s);
  if (s->start > 0 && left > 0) memmove(s->bytes, s->bytes + s->start, left);
  s->start = 0;
  s->end = left;
}

/* Of a block for so many bytes that are left over, with room for some more. */
static size_t size_for(size_t left) { return left + left / 2 + 64; }

void cast_stream_settle(cast_stream *s, cast_runner *r) {
  size_t left = cast_stream_left(s), room = size_for(left);
  unsigned char *bytes;
  if (s->bytes == NULL) return;
  if (left == 0 || s->closed) {
    release(s, r);
    return;
  }
  /* Some room stays, so that bytes that come one by one are not copied each
     time that one comes; but not in scratch memory that is too much for the
     session. */
  if ((s->room > 2 * left + 1024 ||
        (s->room == CAST_READ_MOST && !count_room(s, s->room, false))) &&
      (bytes = cast_alloc(room)) != NULL) {
    memcpy(bytes, s->bytes + s->start, left);
    replace(s, r);
    s->bytes = bytes;
    s->end = left;
    s->room = room;
  }
  (void)count_room(s, s->room, false);
}

void cast_stream_take(cast_stream *s, size_t n) {
  CAST_ASSERT(n <= cast_stream_left(s));
  s->start += n;
  if (s->start == s->end) s->start = s->end = 0;
}

/* Makes room for `more` bytes behind those that are left over. The buffer
   doubles, so that all copying together costs no more than the bytes. */
static bool make_room(cast_stream *s, size_t more) {
  size_t room = cast_stream_left(s) + more;
  unsigned char *bytes;
  if (s->room - s->end >= more) return true;
  compact(s);
  if (s->room >= room) return true;
  if (room < 2 * s->room) room = 2 * s->room;
  if (!count_room(s, room, true)) return false;
  bytes = cast_realloc(s->bytes, room);
  if (bytes != NULL) {
    s->bytes = bytes;
    s->room = room;
  }
  (void)count_room(s, s->room, false);
  return bytes != NULL;
}

/* What was read so far is the layer's, and counts as nothing that a task has
   taken. */
int cast_stream_layer(cast_stream *s, const casting_layer *how, void *state) {
  size_t left = cast_stream_left(s);
  unsigned char *early = left > 0 ? cast_alloc(left) : NULL;
  if (left > 0 && early == NULL) return CASTING_ENOMEM;
  if (left > 0) memcpy(early, cast_stream_data(s), left);
  if (cast_layer_set(s, how, state, early, left) != 0) {
    cast_free(early);
    return CASTING_ENOMEM;
  }
  cast_stream_take(s, left);
  s->nread -= left;
  cast_stream_settle(s, NULL);
  return 0;
}

/* What a stream that is closed has no more. */
static void give_up(cast_stream *s, cast_session *self) {
  cast_layer_drop(s, self, true);
  s->closed = true;
  /* At once, as a handle may be collected much later. */
  if (s->uses == 0) release(s, NULL);
  cast_fileio_drop(&s->input);
  cast_fileio_drop(&s->output);
  cast_transport_count(s, 0);
}

bool cast_stream_close(cast_stream *s, cast_session *self) {
  give_up(s, self);
  return cast_descriptor_close(s->file, self);
}

int cast_stream_release(cast_stream *s, cast_session *self) {
  int fd = s->file->fd;
  give_up(s, self);
  return cast_descriptor_release(s->file, self) ? fd : -1;
}

/* -- reading -------------------------------------------------------------- */

intptr_t cast_stream_try(
  cast_stream *s, void *to, size_t size, cast_session *self) {
  intptr_t n = CAST_LIKELY(s->layer == NULL)
                 ? cast_transport_read(s, to, size, self)
                 : cast_layer_try(s, to, size, self);
  if (CAST_UNLIKELY(n == CASTING_ECLOSED)) return n;
  s->broken = os_is_gone(n) || (n == 0 && s->broken);
  s->ended = n == 0 || s->broken;
  if (n > 0) s->nread += (uint64_t)n;
  return s->ended ? 0 : n;
}

/* Of the bytes that there is room for in scratch memory, behind those that are
   left over, how many to read, as they may stay: with a limit no more than a
   third of what the session may have more. 0: that is less than `more`, or
   hardly worth a call. */
static size_t clip(cast_stream *s, size_t left, size_t more) {
  size_t most = CAST_READ_MOST - left, spare;
  if (CAST_LIKELY(s->account == NULL || s->account->max == 0)) return most;
  if (left > 0 && s->counted < size_for(left) &&
      !count_room(s, size_for(left), true))
    return 0;
  if (more < CAST_READ_LEAST) more = CAST_READ_LEAST;
  spare = cast_slabs_spare(s->account, 3 * more) / 3;
  if (spare < more) return 0;
  return spare < most ? spare : most;
}

/* Reads behind few bytes that are left over, of which `more` are needed, into
   scratch memory: which becomes the buffer if there is no other, or no room in
   it. */
static intptr_t read_little(cast_stream *s, size_t left, size_t more,
  cast_runner *r, cast_session *self) {
  size_t size = clip(s, left, more);
  unsigned char *bytes = size > 0 ? cast_runner_scratch(r) : NULL;
  intptr_t n;
  if (bytes == NULL) return CASTING_ENOMEM;
  n = cast_stream_try(s, bytes + left, size, self);
  if (n > 0 && (size_t)n > s->room - s->end) {
    if (left > 0) memcpy(bytes, cast_stream_data(s), left);
    replace(s, r);
    s->bytes = bytes;
    s->end = left + (size_t)n;
    s->room = CAST_READ_MOST;
    return n;
  }
  if (n > 0) {
    memcpy(s->bytes + s->end, bytes + left, (size_t)n);
    s->end += (size_t)n;
  }
  cast_runner_scratch_give(r, bytes);
  return n;
}

intptr_t cast_stream_fill(cast_stream *s, size_t want, cast_runner *r) {
  cast_session *self = r != NULL ? cast_runner_session(r) : NULL;
  size_t left = cast_stream_left(s);
  size_t more = want > left ? want - left : 1;
  intptr_t n;
  /* Scratch memory that has become the buffer is more than the session may
     have: what is left over goes into a block of its size. */
  if (CAST_UNLIKELY(s->room == CAST_READ_MOST) &&
      !count_room(s, CAST_READ_MOST, false))
    cast_stream_settle(s, r);
  if (s->room != CAST_READ_MOST && left <= CAST_READ_MOST / 2 &&
      more <= CAST_READ_MOST - left)
    return read_little(s, left, more, r, self);
  if (more > CAST_READ_MOST) more = CAST_READ_MOST;
  if (!make_room(s, more) || !count_room(s, s->room, true))
    return CASTING_ENOMEM;
  if (s->room == CAST_READ_MOST) compact(s);
  n = cast_stream_try(s, s->bytes + s->end, s->room - s->end, self);
  if (n > 0) s->end += (size_t)n;
  return n;
}

intptr_t cast_stream_fill_anew(cast_stream *s, size_t most, cast_runner *r) {
  intptr_t n;
  CAST_ASSERT(cast_stream_left(s) == 0 && most >= CAST_READ_MOST);
  /* All that it brings may stay. So with a limit it is an eighth at most of
     what the session may have more, and it counts at once. */
  if (s->account != NULL && cast_slabs_spare(s->account, 0) / 8 < most)
    most = CAST_READ_MOST;
  if (s->room != most) release(s, r);
  if (most > CAST_READ_MOST && s->bytes == NULL &&
      (s->bytes = cast_alloc(most)) != NULL)
    s->room = most;
  if (s->room > CAST_READ_MOST) (void)count_room(s, s->room, false);
  if (s->room <= CAST_READ_MOST) return cast_stream_fill(s, 1, r);
  n = cast_stream_try(
    s, s->bytes, s->room, r != NULL ? cast_runner_session(r) : NULL);
  if (n > 0) s->end = (size_t)n;
  return n;
}

/* -- is there enough? ----------------------------------------------------- */

/* Looks for the mark in what is left over, from where the last look ended. */
static void scan(
  const cast_stream *s, cast_want *w, const char *mark, size_t n) {
  const unsigned char *data = cast_stream_data(s), *p;
  size_t left = cast_stream_left(s), at = w->scanned;
  if (left < n || at > left - n) return;
  p = os_find((os_bytes){data + at, left - at}, (os_bytes){mark, n});
  if (p != NULL)
    w->found = (size_t)(p - data) + n;
  else
    w->scanned = left - n + 1;
}

/* 1: yes; 0: not yet; CAST_TOO_LONG. What has come in pieces is judged as what
   has come at once. */
static int judge(const cast_stream *s, cast_want *w) {
  size_t left = cast_stream_left(s), n = 1;
  switch (w->kind) {
  case CAST_WANT_SOME: return left > 0;
  case CAST_WANT_COUNT:
  case CAST_WANT_PEEK: return left >= w->size;
  case CAST_WANT_ALL: return left > w->size ? CAST_TOO_LONG : 0;
  case CAST_WANT_UNTIL: n = w->nmark; break;
  default: break;
  }
  if (left > 0) scan(s, w, w->kind == CAST_WANT_UNTIL ? w->mark : "\n", n);
  if (w->found > 0) return w->found - n > w->size ? CAST_TOO_LONG : 1;
  /* An end that is still to come would be behind the limit. */
  return left >= w->size + n ? CAST_TOO_LONG : 0;
}

/* How many bytes there shall be for the next look. */
static size_t next_size(const cast_stream *s, const cast_want *w) {
  size_t left = cast_stream_left(s);
  if (w->kind == CAST_WANT_COUNT || w->kind == CAST_WANT_PEEK) return w->size;
  return left + 1;
}

intptr_t cast_stream_gather(cast_stream *s, cast_want *w, cast_runner *r) {
  uint64_t from = s->nread;
  int rc;
  while ((rc = judge(s, w)) == 0) {
    bool much = s->nread - from >= CAST_TURN_MOST;
    intptr_t n = much ? CAST_MORE : cast_stream_fill(s, next_size(s, w), r);
    if (n <= 0 || much) {
      cast_stream_settle(s, r);
      return n == 0 ? CASTING_ECLOSED : n;
    }
  }
  return rc > 0 ? 0 : rc;
}

/* -- writing -------------------------------------------------------------- */

/* Up to OS_BYTES_MOST of the pieces, without the first `skip` bytes of all, and
   `most` bytes of them. Adds up *total. */
static int select_pieces(const os_bytes *pieces, uint32_t n, size_t skip,
  size_t most, os_bytes *v, size_t *total) {
  int count = 0;
  *total = 0;
  for (uint32_t i = 0; i < n && count < OS_BYTES_MOST && *total < most; i++) {
    size_t size = pieces[i].size;
    if (skip >= size) {
      skip -= size;
      continue;
    }
    v[count].at = (const char *)pieces[i].at + skip;
    v[count].size = size - skip;
    if (v[count].size > most - *total) v[count].size = most - *total;
    *total += v[count++].size;
    skip = 0;
  }
  return count;
}

bool cast_stream_is_owed(const cast_stream *s) {
  return cast_fileio_runs(s->output);
}

size_t cast_stream_leave(cast_stream *s) {
  size_t n = cast_fileio_leave(s->output);
  s->nwritten += n;
  return n;
}

void cast_stream_break(cast_stream *s) {
  if (s->name == NULL) (void)cast_stream_shut(s);
}

/* What others write to a standard stream must not come between pieces that are
   small, but too many for one call of the system. False: they are not. */
static bool join_pieces(const cast_stream *s, const os_bytes *pieces,
  uint32_t n, char *together, os_bytes *all) {
  size_t size = 0;
  if (CAST_LIKELY(s->name == NULL || n <= OS_BYTES_MOST)) return false;
  for (uint32_t i = 0; i < n; i++) {
    if (pieces[i].size > CAST_WHOLE_MOST - size) return false;
    if (pieces[i].size > 0)
      memcpy(together + size, pieces[i].at, pieces[i].size);
    size += pieces[i].size;
  }
  *all = (os_bytes){together, size};
  return true;
}

intptr_t cast_stream_send(cast_stream *s, const os_bytes *pieces, uint32_t n,
  size_t *done, cast_session *self) {
  os_bytes v[OS_BYTES_MOST], all;
  char together[CAST_WHOLE_MOST];
  size_t most = s->shared && !s->is_socket ? s->most : SIZE_MAX;
  uint32_t at = 0; /* the pieces before it have gone */
  size_t gone = 0; /* bytes of these */
  size_t from = *done;
  bool over = false;
  if (CAST_UNLIKELY(s->layer != NULL))
    return cast_layer_send(s, pieces, n, done, self);
  if (join_pieces(s, pieces, n, together, &all)) {
    pieces = &all;
    n = 1;
  }
  for (;;) {
    intptr_t written;
    size_t total;
    int count;
    while (at < n && gone + pieces[at].size <= *done) gone += pieces[at++].size;
    count = select_pieces(pieces + at, n - at, *done - gone, most, v, &total);
    if (count == 0) return 0;
    if (over) return OS_EAGAIN;
    if (*done - from >= CAST_TURN_MOST) return CAST_MORE;
    written = cast_transport_write(s, v, count, total, &over, self);
    if (written < 0) return written;
    s->nwritten += (uint64_t)written;
    *done += (size_t)written;
  }
}
