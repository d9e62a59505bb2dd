/* fileio.c - reads and writes of files, which may wait for a disk.
   SPDX-License-Identifier: MIT

   See fileio.h. Files have helpers of their own, apart from those for names: a
   slow name server does not keep files from being read. */
#include "fileio.h"

#include "../../../include/casting.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../offload.h"
#include "../../os/standard.h"

struct cast_fileio {
  cast_call call;        /* references: the slot; invariant 2; see tell */
  cast_watcher watcher;  /* of call.done */
  cast_descriptor *file; /* (i) a reference, and a use of its number */
  bool writes;           /* (i) */
  bool left;             /* (owner) who has begun to write does not wait */
  size_t size;           /* (i) of `bytes` */
  size_t taken;          /* (owner) of the bytes that were read */
  intptr_t result;       /* (helper) as of os_read, or os_write */
  intptr_t why;          /* (helper) if not all was written; else 0 */
  unsigned char bytes[];
};

static cast_offload files =
  CAST_OFFLOAD_STATIC(files, CAST_STREAM_HELPERS, "casting/streams");

/* -- in a helper ---------------------------------------------------------- */

/* Writes all, unless the system has no room for it. */
static intptr_t write_all(cast_fileio *w) {
  size_t done = 0;
  while (done < w->size) {
    os_bytes rest = {w->bytes + done, w->size - done};
    intptr_t n = os_write(w->file->fd, &rest, 1, false);
    if (n <= 0) w->why = n;
    if (n <= 0 && done == 0) return n;
    if (n <= 0) break; /* the next write is told why */
    done += (size_t)n;
  }
  return (intptr_t)done;
}

static void run(cast_call *c) {
  cast_fileio *w = CAST_CONTAINER(c, cast_fileio, call);
  w->result =
    w->writes ? write_all(w) : os_read(w->file->fd, w->bytes, w->size);
}

static void free_work(cast_call *c) {
  cast_fileio *w = CAST_CONTAINER(c, cast_fileio, call);
  cast_descriptor_end(w->file);
  cast_unref(&w->file->object);
  cast_free(w);
}

static const cast_call_kind work_kind = {.run = run, .free = free_work};

/* The call is done. Under its event's lock: it must stay until `tell`. */
static bool keep(cast_watcher *watcher) {
  cast_ref(&CAST_CONTAINER(watcher, cast_fileio, watcher)->call.object);
  return true;
}

static void tell(cast_watcher *watcher, cast_session *self) {
  cast_fileio *w = CAST_CONTAINER(watcher, cast_fileio, watcher);
  bool writes = w->writes;
  if (writes) atomic_fetch_sub_explicit(&files.owed, 1, memory_order_relaxed);
  cast_descriptor_pass(w->file, writes ? CAST_WRITE : CAST_READ, self);
  if (writes) cast_unref(&w->call.object); /* invariant 2 */
  cast_unref(&w->call.object);
}

/* -- for the owner -------------------------------------------------------- */

/* For `size` bytes. NULL: there is no memory, or it is closed. */
static cast_fileio *make(cast_descriptor *d, bool writes, size_t size) {
  cast_fileio *w = cast_alloc(sizeof *w + size);
  if (w == NULL) return NULL;
  if (!cast_descriptor_begin(d)) {
    cast_free(w);
    return NULL;
  }
  memset(w, 0, sizeof *w);
  cast_call_init(&w->call, &work_kind);
  w->watcher.claim = keep;
  w->watcher.fire = tell;
  (void)cast_event_watch(&w->call.done, &w->watcher);
  w->file = d;
  cast_ref(&d->object);
  w->writes = writes;
  w->size = size;
  return w;
}

static bool is_over(cast_fileio *w) { return cast_event_is_set(&w->call.done); }

static intptr_t result_of(const cast_fileio *w) {
  return w->call.result != 0 ? CASTING_ENOMEM : w->result;
}

void cast_fileio_drop(cast_fileio **slot) {
  cast_fileio *w = *slot;
  *slot = NULL;
  if (w != NULL) cast_unref(&w->call.object);
}

size_t cast_fileio_size(const cast_fileio *w) {
  return w != NULL ? w->size : 0;
}

bool cast_fileio_runs(cast_fileio *w) { return w != NULL && !is_over(w); }

size_t cast_fileio_leave(cast_fileio *w) {
  if (w == NULL || w->left) return 0;
  w->left = true;
  return w->size;
}

intptr_t cast_fileio_read(
  cast_fileio **slot, cast_descriptor *d, void *to, size_t size) {
  cast_fileio *w = *slot;
  intptr_t n;
  if (w == NULL) {
    n = os_read_cached(d->fd, to, size);
    if (n != OS_EAGAIN) return n;
    *slot = w = make(d, false, size);
    if (w == NULL) return CASTING_ENOMEM;
    cast_offload_send(&files, &w->call);
  }
  if (!is_over(w)) return OS_EAGAIN;
  n = result_of(w);
  if (n > 0) {
    size_t left = (size_t)n - w->taken;
    if (size > left) size = left;
    memcpy(to, w->bytes + w->taken, size);
    w->taken += size;
    if (size < left) return (intptr_t)size;
    n = (intptr_t)size;
  }
  cast_fileio_drop(slot);
  return n;
}

intptr_t cast_fileio_write(cast_fileio **slot, cast_descriptor *d,
  const os_bytes *pieces, int n, size_t total) {
  cast_fileio *w = *slot;
  size_t at = 0;
  if (w != NULL) {
    intptr_t written;
    bool left = w->left;
    if (!is_over(w)) return OS_EAGAIN;
    written = result_of(w);
    /* The rest of what a task has left is nobody's: no hole is written over. */
    if (left && written >= 0) written = w->why;
    cast_fileio_drop(slot);
    if (!left || written < 0) return written;
  }
  *slot = w = make(d, true, total);
  if (w == NULL) return CASTING_ENOMEM;
  for (int i = 0; i < n; i++) {
    memcpy(w->bytes + at, pieces[i].at, pieces[i].size);
    at += pieces[i].size;
  }
  cast_ref(&w->call.object); /* invariant 2 */
  atomic_fetch_add_explicit(&files.owed, 1, memory_order_relaxed);
  cast_offload_send(&files, &w->call);
  return OS_EAGAIN;
}
