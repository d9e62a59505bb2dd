/* fileop.c - operations on files, one after the other.
   SPDX-License-Identifier: MIT

   See fileop.h. Lock: a strand's (CAST_RANK_LEAF); nothing is sent with it
   held. */
#include "fileop.h"

#include "../../include/casting.h"
#include "../deadlock.h"
#include "../limits.h"
#include "../mem.h"

#include <string.h>

static cast_offload files =
  CAST_OFFLOAD_STATIC(files, CAST_FILES_HELPERS, "casting/files");

void cast_fileop_send_call(cast_call *c) { cast_offload_send(&files, c); }

/* -- strands -------------------------------------------------------------- */

void cast_strand_init(cast_strand *s) {
  cast_lock_init(&s->lock, CAST_RANK_LEAF);
  cast_list_init(&s->ops);
  s->busy = false;
}

static struct {
  cast_lock lock;
  bool ready;                         /* (lock) they are initialised */
  cast_strand all[CAST_PATH_STRANDS]; /* by the hash of the path */
} paths = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

/* FNV-1a. */
cast_strand *cast_strand_of(const char *path) {
  uint32_t h = 2166136261u;
  cast_lock_take(&paths.lock);
  for (uint32_t i = 0; i < CAST_PATH_STRANDS && !paths.ready; i++)
    cast_strand_init(&paths.all[i]);
  paths.ready = true;
  cast_lock_drop(&paths.lock);
  for (; *path != '\0'; path++) h = (h ^ (unsigned char)*path) * 16777619u;
  return &paths.all[h % CAST_PATH_STRANDS];
}

bool cast_strand_enter(cast_strand *s) {
  bool free;
  cast_lock_take(&s->lock);
  free = !s->busy;
  s->busy = true;
  cast_lock_drop(&s->lock);
  return free;
}

void cast_strand_leave(cast_strand *s) {
  cast_list *next;
  cast_lock_take(&s->lock);
  CAST_ASSERT(s->busy);
  next = cast_list_shift(&s->ops);
  if (next == NULL) s->busy = false;
  cast_lock_drop(&s->lock);
  if (next != NULL)
    cast_offload_send(&files, &CAST_CONTAINER(next, cast_fileop, link)->call);
}

/* -- operations ----------------------------------------------------------- */

static void free_op(cast_call *c) {
  cast_fileop *op = CAST_CONTAINER(c, cast_fileop, call);
  if (!op->taken && op->rc == 0 && (op->how & CAST_OP_TEMP) != 0 &&
      op->out != NULL) {
    if (op->made != NULL)
      (void)os_file_unlink((const char *)op->out);
    else
      (void)os_file_rmdir((const char *)op->out);
  }
  if (op->made != NULL) cast_unref(&op->made->object);
  if (op->file != NULL) cast_unref(&op->file->object);
  cast_free(op->out);
  cast_free(op->where);
  cast_free(op);
}

/* Who makes it, at the end. */
static void set_done(cast_fileop *op) {
  uint32_t state = CAST_OP_ASKED;
  /* Relaxed: the outcome is published by call.done. */
  (void)atomic_compare_exchange_strong_explicit(&op->state, &state,
    CAST_OP_DONE, memory_order_relaxed, memory_order_relaxed);
}

static void run_op(cast_call *c) {
  cast_fileop *op = CAST_CONTAINER(c, cast_fileop, call);
  if (!op->kind->lapses || !cast_fileop_is_left(op)) op->rc = op->kind->run(op);
  set_done(op);
  cast_strand_leave(op->strand);
  cast_deadlock_unexpect(); /* the call has an announcement of its own */
  cast_unref(&c->object);   /* the strand's; the helper has one of its own */
}

/* No thread can be started: all that wait for their turn are lost with it. */
static void lose_op(cast_call *c) {
  cast_fileop *op = CAST_CONTAINER(c, cast_fileop, call);
  cast_list lost;
  cast_list *l;
  cast_list_init(&lost);
  cast_lock_take(&op->strand->lock);
  cast_list_append(&lost, &op->strand->ops);
  op->strand->busy = false;
  cast_lock_drop(&op->strand->lock);
  op->rc = CASTING_ENOMEM;
  set_done(op);
  cast_deadlock_unexpect();
  cast_unref(&c->object);
  while ((l = cast_list_shift(&lost)) != NULL) {
    op = CAST_CONTAINER(l, cast_fileop, link);
    op->rc = CASTING_ENOMEM;
    set_done(op);
    cast_event_set(&op->call.done, NULL);
    cast_deadlock_unexpect();
    cast_unref(&op->call.object);
  }
}

static const cast_call_kind op_kind = {
  .run = run_op, .lost = lose_op, .free = free_op};

cast_fileop *cast_fileop_new(const cast_fileop_kind *kind, cast_openfile *f,
  const char *path, const char *to, size_t ndata) {
  size_t n = path != NULL ? strlen(path) + 1 : 0;
  size_t nto = to != NULL ? strlen(to) + 1 : 0;
  cast_fileop *op;
  if (ndata > SIZE_MAX / 2) return NULL;
  op = cast_alloc(sizeof *op + n + nto + ndata);
  if (op == NULL) return NULL;
  memset(op, 0, sizeof *op);
  cast_call_init(&op->call, &op_kind);
  cast_list_init(&op->link);
  op->kind = kind;
  op->offset = -1;
  op->file = f;
  if (f != NULL) cast_ref(&f->object);
  if (path != NULL) memcpy(op->text, path, n);
  if (to != NULL) op->to = memcpy(op->text + n, to, nto);
  op->path = path != NULL ? op->text : f->path;
  op->strand = f != NULL ? &f->strand : cast_strand_of(op->path);
  op->data = op->text + n + nto;
  op->ndata = ndata;
  return op;
}

void cast_fileop_send(cast_fileop *op) {
  bool first = true;
  cast_ref(&op->call.object);
  cast_deadlock_expect(); /* also while it is in no offload yet */
  cast_lock_take(&op->strand->lock);
  if (op->strand->busy) {
    cast_list_push(&op->strand->ops, &op->link);
    first = false;
  }
  op->strand->busy = true;
  cast_lock_drop(&op->strand->lock);
  if (first) cast_offload_send(&files, &op->call);
}

cast_op_state cast_fileop_leave(cast_fileop *op) {
  uint32_t state = CAST_OP_ASKED;
  /* PAIR fileop: acquire what was stored before the claim. */
  (void)atomic_compare_exchange_strong_explicit(&op->state, &state,
    CAST_OP_LEFT, memory_order_acq_rel, memory_order_acquire);
  return (cast_op_state)state;
}

bool cast_fileop_claim(cast_fileop *op) {
  uint32_t state = CAST_OP_ASKED;
  /* PAIR fileop: release the outcome, for who finds that it is claimed. */
  return atomic_compare_exchange_strong_explicit(&op->state, &state,
    CAST_OP_CLAIMED, memory_order_acq_rel, memory_order_relaxed);
}

bool cast_fileop_is_left(const cast_fileop *op) {
  /* Relaxed: a hint; cast_fileop_claim decides. */
  return atomic_load_explicit(&op->state, memory_order_relaxed) == CAST_OP_LEFT;
}

void cast_fileop_blame(cast_fileop *op, const char *path) {
  size_t n = strlen(path) + 1;
  cast_free(op->where);
  op->where = cast_alloc(n);
  if (op->where != NULL) memcpy(op->where, path, n);
}

intptr_t cast_fileop_make_room(cast_fileop *op, size_t n) {
  unsigned char *out;
  if (n > op->room) return CASTING_ENOMEM;
  out = cast_realloc(op->out, n);
  if (out == NULL) return CASTING_ENOMEM;
  op->out = out;
  return 0;
}

size_t cast_fileop_most(const cast_fileop *op, bool placed, int64_t size) {
  if (op->size > 0) return op->size;
  return placed && size > 0 ? CAST_COUNT_MOST : CAST_ALL_MOST;
}
