/* fileop.c - operations on files, one after the other.
   SPDX-License-Identifier: MIT

   See fileop.h. Lock: a strand's (CAST_RANK_LEAF); nothing is sent with it
   held. */
#include "fileop.h"

#include "../../include/casting.h"
#include "../account.h"
#include "../deadlock.h"
#include "../limits.h"
#include "../mem.h"

#include <string.h>

static cast_offload files =
  CAST_OFFLOAD_STATIC(files, CAST_FILES_HELPERS, "casting/files");

void cast_fileop_send_call(cast_call *c) { cast_offload_send(&files, c); }

/* -- strands of open files ------------------------------------------------ */

void cast_strand_init(cast_strand *s) {
  cast_lock_init(&s->lock, CAST_RANK_LEAF);
  cast_list_init(&s->ops);
  s->busy = false;
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

/* Puts the operation into the queue; true: it has the turn. */
static bool join_strand(cast_fileop *op) {
  cast_strand *s = &op->file->strand;
  bool first;
  cast_lock_take(&s->lock);
  first = !s->busy;
  s->busy = true;
  if (!first) cast_list_push(&s->ops, &op->link);
  cast_lock_drop(&s->lock);
  return first;
}

/* -- strands of paths ----------------------------------------------------- */

static struct {
  cast_lock lock;
  bool ready;                        /* (lock) the lists are initialised */
  cast_list lists[CAST_PATHS_LISTS]; /* (lock) turns, by the hash of the path */
} paths = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

/* FNV-1a. */
static cast_list *list_of_locked(const char *path) {
  uint32_t h = 2166136261u;
  for (uint32_t i = 0; i < CAST_PATHS_LISTS && !paths.ready; i++)
    cast_list_init(&paths.lists[i]);
  paths.ready = true;
  for (; *path != '\0'; path++) h = (h ^ (unsigned char)*path) * 16777619u;
  return &paths.lists[h % CAST_PATHS_LISTS];
}

/* Takes the turn, or waits for it, if that is one of an operation. */
static bool take_turn_locked(cast_path_turn *turn, const char *path) {
  cast_list *list = list_of_locked(path);
  cast_list_init(&turn->link);
  cast_list_init(&turn->behind);
  turn->path = path;
  turn->held = true;
  for (cast_list *i = list->next; i != list && turn->held; i = i->next) {
    cast_path_turn *other = CAST_CONTAINER(i, cast_path_turn, link);
    if (strcmp(other->path, path) != 0) continue;
    turn->held = false;
    if (turn->op != NULL) cast_list_push(&other->behind, &turn->link);
  }
  if (turn->held) cast_list_push(list, &turn->link);
  return turn->held;
}

/* The next one leads the queue. Its operation, if it has all its turns now. */
static cast_fileop *pass_turn_locked(cast_path_turn *turn) {
  cast_list *first = cast_list_shift(&turn->behind);
  cast_path_turn *next;
  if (first == NULL) {
    cast_list_remove(&turn->link);
    return NULL;
  }
  next = CAST_CONTAINER(first, cast_path_turn, link);
  cast_list_append(&next->behind, &turn->behind);
  cast_list_push(&turn->link, &next->link); /* in the same place */
  cast_list_remove(&turn->link);
  next->held = true;
  return --next->op->nwaits == 0 ? next->op : NULL;
}

bool cast_path_enter(cast_path_turn *turn, const char *path) {
  bool taken;
  turn->op = NULL;
  cast_lock_take(&paths.lock);
  taken = take_turn_locked(turn, path);
  cast_lock_drop(&paths.lock);
  return taken;
}

/* Of the turns of one operation, or of one thread. */
static void pass_turns(cast_path_turn *turns, uint32_t n) {
  cast_fileop *next[2] = {NULL, NULL};
  cast_lock_take(&paths.lock);
  for (uint32_t i = 0; i < n; i++) next[i] = pass_turn_locked(&turns[i]);
  cast_lock_drop(&paths.lock);
  for (uint32_t i = 0; i < n; i++)
    if (next[i] != NULL) cast_offload_send(&files, &next[i]->call);
}

void cast_path_leave(cast_path_turn *turn) { pass_turns(turn, 1); }

static bool join_paths(cast_fileop *op) {
  const char *path[] = {op->path, op->to};
  bool first;
  cast_lock_take(&paths.lock);
  for (uint32_t i = 0; i < 2 && i < op->nturns; i++) {
    op->turns[i].op = op;
    if (!take_turn_locked(&op->turns[i], path[i])) op->nwaits++;
  }
  first = op->nwaits == 0;
  cast_lock_drop(&paths.lock);
  return first;
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
  if (op->account != NULL) {
    cast_account_give(op->account, CAST_BYTES, op->ndata);
    cast_account_unref(op->account);
  }
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

/* It is over, also if it was never made. */
static void end_op(cast_fileop *op) {
  set_done(op);
  if (op->kind->owed)
    atomic_fetch_sub_explicit(&files.owed, 1, memory_order_relaxed);
  cast_deadlock_unexpect(); /* the call has an announcement of its own */
}

static void run_op(cast_call *c) {
  cast_fileop *op = CAST_CONTAINER(c, cast_fileop, call);
  if (!op->kind->lapses || !cast_fileop_is_left(op)) op->rc = op->kind->run(op);
  if (op->file != NULL)
    cast_strand_leave(&op->file->strand);
  else
    pass_turns(op->turns, op->nturns);
  end_op(op);
  cast_unref(&c->object); /* the strand's; the helper has one of its own */
}

/* Adds the operations to the list that wait behind this one, and takes it out
   of all queues. */
static void lose_behind(cast_fileop *op, cast_list *lost) {
  cast_list *l;
  if (op->file != NULL) {
    cast_lock_take(&op->file->strand.lock);
    cast_list_append(lost, &op->file->strand.ops);
    op->file->strand.busy = false;
    cast_lock_drop(&op->file->strand.lock);
    return;
  }
  cast_lock_take(&paths.lock);
  op->lost = true;
  for (uint32_t i = 0; i < op->nturns; i++) {
    cast_list_remove(&op->turns[i].link);
    while ((l = cast_list_shift(&op->turns[i].behind)) != NULL) {
      cast_fileop *other = CAST_CONTAINER(l, cast_path_turn, link)->op;
      if (!other->lost) cast_list_push(lost, &other->link);
      other->lost = true;
    }
  }
  cast_lock_drop(&paths.lock);
}

/* No thread can be started: all that wait behind it are lost with it. */
static void lose_op(cast_call *c) {
  cast_fileop *op = CAST_CONTAINER(c, cast_fileop, call);
  cast_list lost;
  cast_list *l;
  cast_list_init(&lost);
  op->rc = CASTING_ENOMEM;
  lose_behind(op, &lost);
  end_op(op);
  cast_unref(&c->object);
  while ((l = cast_list_shift(&lost)) != NULL) {
    op = CAST_CONTAINER(l, cast_fileop, link);
    op->rc = CASTING_ENOMEM;
    /* Those of a file are in the list all together. */
    if (op->file == NULL) lose_behind(op, &lost);
    end_op(op);
    cast_event_set(&op->call.done, NULL);
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
  if (f == NULL && path != NULL)
    op->nturns = to != NULL && strcmp(path, to) != 0 ? 2 : 1;
  op->data = op->text + n + nto;
  op->ndata = ndata;
  return op;
}

void cast_fileop_send(cast_fileop *op) {
  cast_ref(&op->call.object);
  cast_deadlock_expect(); /* also while it is in no offload yet */
  if (op->kind->owed)
    atomic_fetch_add_explicit(&files.owed, 1, memory_order_relaxed);
  if (op->file != NULL ? join_strand(op) : join_paths(op))
    cast_offload_send(&files, &op->call);
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

intptr_t cast_fileop_grow(
  cast_fileop *op, size_t *room, size_t least, size_t most) {
  size_t n = *room == 0 ? CAST_READ_MOST : 2 * *room;
  intptr_t rc;
  if (n < least) n = least;
  if (n > most) n = most;
  if (n > op->room) n = op->room;
  if (n < least) return CASTING_ENOMEM;
  rc = cast_fileop_make_room(op, n);
  if (rc == 0) *room = n;
  return rc;
}

bool cast_fileop_pause(cast_fileop *op, int fd) {
  /* (a) helpers that wait for a device. Relaxed: a figure. */
  static _Atomic uint32_t npauses;
  bool few = atomic_fetch_add_explicit(&npauses, 1, memory_order_relaxed) <
             CAST_FILES_HELPERS / 2;
  if (few) os_file_await(fd, CAST_DEVICE_MS);
  atomic_fetch_sub_explicit(&npauses, 1, memory_order_relaxed);
  return few && !cast_fileop_is_left(op);
}

void cast_fileop_charge(cast_fileop *op, cast_account *account) {
  if (account == NULL) return;
  cast_account_add(account, CAST_BYTES, op->ndata);
  op->account = cast_account_ref(account);
}

size_t cast_fileop_most(const cast_fileop *op, bool placed, int64_t size) {
  if (op->size > 0) return op->size;
  return placed && size > 0 ? CAST_COUNT_MOST : CAST_ALL_MOST;
}
