/* layer.c - what a module lays over a stream, such as TLS.
   SPDX-License-Identifier: MIT

   See layer.h. */
#include "layer.h"

#include "../../limits.h"
#include "../../mem.h"

#include <stdio.h>

/* -- its life ------------------------------------------------------------- */

int cast_layer_set(cast_stream *s, const casting_layer *how, void *state,
  unsigned char *early, size_t nearly) {
  cast_layer *l = cast_calloc(sizeof *l);
  if (l == NULL) return CASTING_ENOMEM;
  l->below.early = early;
  l->below.nearly = nearly;
  l->below.stream = s;
  l->below.ended = s->ended;
  l->how = how;
  l->state = state;
  l->side[CAST_READ] = CAST_READ;
  l->side[CAST_WRITE] = CAST_WRITE;
  s->ended = s->broken = false;
  s->layer = l;
  return 0;
}

static void layer_free(cast_layer *l) {
  l->how->drop(l->state);
  cast_free(l->below.early);
  cast_free(l);
}

void cast_layer_drop(cast_stream *s, cast_session *self, bool polite) {
  cast_layer *l = s->layer;
  if (l == NULL) return;
  if (polite && !s->shut && cast_layer_end(s, self) == 0)
    (void)l->how->flush(l->state, &l->below);
  s->layer = NULL;
  l->dropped = true;
  if (l->tells == 0) layer_free(l);
}

cast_layer *cast_layer_hold(cast_stream *s) {
  cast_layer *l = s->layer;
  if (l == NULL || l->how->size < sizeof *l->how || l->how->tell == NULL)
    return NULL;
  l->tells++;
  return l;
}

void cast_layer_told(cast_layer *l) {
  CAST_ASSERT(l->tells > 0);
  if (--l->tells == 0 && l->dropped) layer_free(l);
}

void cast_layer_text(const cast_stream *s, char text[CAST_LAYER_TEXT]) {
  const cast_layer *l = s->layer;
  const char *why = l != NULL ? l->how->failure(l->state) : "closed";
  if (why != NULL)
    (void)snprintf(text, CAST_LAYER_TEXT, "%s", why);
  else
    os_system_text(l->below.why, text, CAST_LAYER_TEXT);
}

/* -- below ---------------------------------------------------------------- */

static ptrdiff_t outcome_below(casting_below *b, intptr_t rc, int again) {
  if (rc == OS_EAGAIN) return again;
  b->why = rc;
  if (rc == CASTING_ENOMEM || rc == CASTING_ECLOSED) return rc;
  return os_is_gone(rc) ? CASTING_ECLOSED : CASTING_EFAILED;
}

static size_t read_early(casting_below *b, void *to, size_t size) {
  size_t n = b->nearly - b->at;
  if (n > size) n = size;
  memcpy(to, b->early + b->at, n);
  b->at += n;
  if (b->at == b->nearly) {
    cast_free(b->early);
    b->early = NULL;
  }
  return n;
}

/* Another task may wait for what this one has taken or made possible: to read,
   to write what a handshake held up, or in a select. It tries again. */
static void pass_on(casting_below *b, int side) {
  cast_descriptor *d = b->stream->file;
  if (cast_descriptor_is_awaited(d, side))
    cast_descriptor_pass(d, side, b->self);
}

ptrdiff_t casting_below_read(casting_below *b, void *to, size_t size) {
  intptr_t n;
  if (size == 0) return 0;
  if (b->early != NULL) return (ptrdiff_t)read_early(b, to, size);
  if (b->ended) return 0;
  n = cast_transport_read(b->stream, to, size, b->self);
  b->ended = n == 0 || os_is_gone(n);
  if (n >= 0) pass_on(b, CAST_READ);
  return n >= 0 ? n : outcome_below(b, n, CASTING_EEMPTY);
}

ptrdiff_t casting_below_write(casting_below *b, const void *from, size_t size) {
  os_bytes piece = {from, size};
  bool over;
  intptr_t n = 0;
  if (size > 0)
    n = cast_transport_write(b->stream, &piece, 1, size, &over, b->self);
  if (n > 0) pass_on(b, CAST_WRITE);
  return n >= 0 ? n : outcome_below(b, n, CASTING_EFULL);
}

/* -- trying --------------------------------------------------------------- */

/* What a function of the layer has said, of a try for that side. */
static intptr_t outcome(cast_layer *l, ptrdiff_t rc, int side) {
  if (CAST_LIKELY(rc >= 0)) return rc;
  if (rc == CASTING_EEMPTY || rc == CASTING_EFULL) {
    l->side[side] = rc == CASTING_EEMPTY ? CAST_READ : CAST_WRITE;
    return OS_EAGAIN;
  }
  if (rc == CASTING_EINTR) return CAST_MORE;
  if (rc == CASTING_ENOMEM || rc == CASTING_ECLOSED) return rc;
  return CAST_LAYER_FAILED;
}

intptr_t cast_layer_try(
  cast_stream *s, void *to, size_t size, cast_session *self) {
  cast_layer *l = s->layer;
  intptr_t n;
  if (s->ended) return 0;
  l->below.self = self;
  n = outcome(l, l->how->read(l->state, &l->below, to, size), CAST_READ);
  if (n != CASTING_ECLOSED) return n;
  s->broken = true; /* the other side has reset it */
  return 0;
}

intptr_t cast_layer_end(cast_stream *s, cast_session *self) {
  cast_layer *l = s->layer;
  int rc;
  l->below.self = self;
  s->drained = false; /* it may look once more for what has come */
  rc = l->how->end(l->state, &l->below);
  return rc == CASTING_EEMPTY || rc == CASTING_EFULL
           ? 0
           : outcome(l, rc, CAST_WRITE);
}

bool cast_layer_part(cast_stream *s, cast_session *self) {
  cast_layer *l = s->layer;
  if (l->parts || s->shut || s->closed) return false;
  l->parts = true;
  if (cast_layer_end(s, self) != 0) return false;
  return outcome(l, l->how->flush(l->state, &l->below), CAST_WRITE) ==
         OS_EAGAIN;
}

/* Of what is behind the first *done bytes: one piece that is long enough, or
   several that are joined. */
static os_bytes next_bytes(
  const os_bytes *pieces, uint32_t n, size_t done, char *together) {
  os_bytes next = {together, 0};
  for (uint32_t i = 0; i < n && next.size < CAST_LAYER_JOIN; i++) {
    size_t size = pieces[i].size;
    const char *at = pieces[i].at;
    if (done >= size) {
      done -= size;
      continue;
    }
    at += done;
    size -= done;
    done = 0;
    if (next.size == 0 && (size >= CAST_LAYER_JOIN || i + 1 == n))
      return (os_bytes){at, size};
    if (size > CAST_LAYER_JOIN - next.size) size = CAST_LAYER_JOIN - next.size;
    memcpy(together + next.size, at, size);
    next.size += size;
  }
  return next;
}

intptr_t cast_layer_send(cast_stream *s, const os_bytes *pieces, uint32_t n,
  size_t *done, cast_session *self) {
  cast_layer *l = s->layer;
  char together[CAST_LAYER_JOIN];
  size_t from = *done;
  intptr_t rc;
  l->below.self = self;
  for (;;) {
    os_bytes next = next_bytes(pieces, n, *done, together);
    if (next.size == 0) break;
    if (*done - from >= CAST_TURN_MOST) return CAST_MORE;
    rc = outcome(
      l, l->how->write(l->state, &l->below, next.at, next.size), CAST_WRITE);
    if (rc < 0) {
      l->owes = rc == OS_EAGAIN || rc == CAST_MORE;
      return rc;
    }
    l->owes = true;
    s->nwritten += (uint64_t)rc;
    *done += (size_t)rc;
  }
  rc = outcome(l, l->how->flush(l->state, &l->below), CAST_WRITE);
  l->owes = rc == OS_EAGAIN || rc == CAST_MORE;
  return rc;
}
