/* crossing.c - what leaves a session with the handles of its tasks.
   SPDX-License-Identifier: MIT

   A task that has ended may have kept its results for its own session, or have
   packed them for those that are only told of its end (outcome.c). Before a
   message with its handle is given away they are packed, and with them those of
   all tasks whose handles are in there. That may run Lua code (__save), so it
   may wait, or fail in the middle. Until it is done nothing changes: what was
   packed lies in a batch. Then the batch is put in place, all at once: no Lua
   code runs from there on until the message is sent. Only then does what moves
   leave the results.

   So two tasks that send the handle of a third may pack its results both; those
   of the quicker one count. And a send that fails leaves the task as it was, to
   be packed anew the next time. Where the send fails after that, as on a full
   channel, the message is undone: what has moved moves back, if no other
   message with the handle was given away. `given` counts these.

   Owner: the session's. Others read what was packed, under the lock of the
   task's event (cast_ltask_look). */
#include "crossing.h"

#include "../../base.h"
#include "../../lock.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/cleanup.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../transfer/memo.h"
#include "../transfer/pack.h"
#include "../transfer/packer.h"
#include "../transfer/transferable.h"
#include "newtask.h"
#include "outcome.h"

/* Tasks whose results have handles of others, and so on: this deep what was
   given away is taken back. */
#define UNDO_DEPTH 100

/* -- a batch -------------------------------------------------------------- */

typedef struct part {
  cast_ltask *task;     /* one reference */
  bool packed;          /* `results` are complete */
  bool placed;          /* they are the task's */
  cast_results results; /* nothing: they are gone */
} part;

/* In a userdata on the stack, since the Lua code that runs meanwhile may end
   with an error. */
typedef struct batch {
  cast_cleanup cleanup;
  uint32_t n, room; /* of the parts: in use, allocated */
  part *parts;
  cast_memo known; /* the tasks in it */
} batch;

static void drop_batch(cast_cleanup *h) {
  batch *b = CAST_CONTAINER(h, batch, cleanup);
  for (; b->n > 0; b->n--) {
    cast_msg_drop(&b->parts[b->n - 1].results.msg);
    cast_unref(&b->parts[b->n - 1].task->base.object);
  }
  cast_free(b->parts);
  cast_memo_fini(&b->known);
}

static batch *push_batch(lua_State *L, cast_state *S) {
  batch *b = cast_cleanup_push(L, S, sizeof *b, drop_batch);
  cast_memo_init(&b->known, NULL);
  return b;
}

/* The task with that object, if it is one of S; or NULL. */
static cast_ltask *own_task(const cast_state *S, cast_object *o) {
  cast_ltask *t;
  if (o == NULL || o->type != &cast_task_type) return NULL;
  t = CAST_CONTAINER(o, cast_ltask, base.object);
  return t->base.session == &S->session ? t : NULL;
}

/* Does t have results that were not packed for that yet? */
static bool is_wanted(const cast_ltask *t, uint8_t as) {
  if (t->stage != CAST_STAGE_ENDED || !t->stored) return false;
  /* Relaxed: of an ended task its owner alone changes it from KEPT, and whether
     it is TOLD or SHARED is nothing to go by. */
  return atomic_load_explicit(&t->shared, memory_order_relaxed) == CAST_KEPT ||
         (as == CAST_SHARED && t->told);
}

/* Adds the task with that object, if its results are wanted. *b may be NULL
   before. */
static void add(
  lua_State *L, cast_state *S, batch **b, cast_object *o, uint8_t as) {
  cast_ltask *t = own_task(S, o);
  part *p;
  if (t == NULL || !is_wanted(t, as)) return;
  if (*b == NULL) *b = push_batch(L, S);
  if (cast_memo_find(&(*b)->known, t) != NULL) return;
  if ((*b)->n == (*b)->room) {
    uint32_t room = (*b)->room == 0 ? 4 : 2 * (*b)->room;
    p = cast_realloc((*b)->parts, room * sizeof *p);
    if (p == NULL) cast_raise_memory(L);
    (*b)->parts = p;
    (*b)->room = room;
  }
  if (cast_memo_add(&(*b)->known, t) == NULL) cast_raise_memory(L);
  p = &(*b)->parts[(*b)->n++];
  memset(p, 0, sizeof *p);
  p->task = t;
  cast_ref(&t->base.object);
}

/* Packs part i, unless that is done, and adds the tasks that it leads to. A
   part may move when one is added. While Lua code runs its results are not in
   the batch, which may end meanwhile; and they are empty until they are
   complete. */
static void complete_part(
  lua_State *L, cast_state *S, batch *b, uint32_t i, uint8_t as) {
  if (!b->parts[i].packed) {
    cast_results r = {.crossing = CAST_CROSSES_NOTHING};
    cast_ltask_pack(L, S, b->parts[i].task, as, &r);
    if (S->packer->freed) { /* the batch may be, too */
      cast_msg_drop(&r.msg);
      cast_raise_closed(L);
    }
    b->parts[i].results = r;
    b->parts[i].packed = true;
  }
  for (uint32_t k = 0; k < b->parts[i].results.msg.nrefs; k++)
    add(L, S, &b, cast_msg_items(&b->parts[i].results.msg)[k], as);
}

/* cast_giving.prepare. While one task's results are packed another may end, so
   it is looked once more until there are none. */
static void prepare(
  lua_State *L, cast_object *const *items, uint32_t n, uint8_t as) {
  cast_state *S = cast_state_find(L);
  batch *b = NULL;
  uint32_t before;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  do {
    before = b != NULL ? b->n : 0;
    for (uint32_t i = 0; i < n; i++) add(L, S, &b, items[i], as);
    for (uint32_t i = 0; b != NULL && i < b->n; i++)
      complete_part(L, S, b, i, as);
  } while (b != NULL && b->n > before);
  if (b == NULL) lua_pushnil(L);
}

/* -- in place ------------------------------------------------------------- */

static const char refusal[] = "a result is empty, or in use";

/* In place of results, which others get once they are packed anew. */
static void hold_back(cast_results *r, const char *why) {
  cast_pack_text(why, &r->msg);
  r->crossing = CAST_CROSSES_REASON;
  r->told = true;
}

/* Lets move what moves in them. Its userdata could be asked whether it would
   when it was packed (userdata.c); since then it may have come into use, or
   have been taken out of the results. */
static void take(lua_State *L, cast_state *S, cast_results *r) {
  const void *refused;
  if (r->crossing != CAST_CROSSES_RESULTS || r->told) return;
  refused = cast_transferable_take(S->packer, L, &r->msg);
  if (refused == NULL) return;
  cast_transferable_undo(S->packer, L, &r->msg);
  hold_back(
    r, refused == cast_transferable_gone ? cast_transferable_gone : refusal);
}

/* Others may read what was packed before. r: nothing, and that stays. */
static void replace(cast_ltask *t, cast_results *r) {
  cast_msg old = {0};
  cast_lock_take(&t->base.done.lock);
  if (r->crossing != CAST_CROSSES_NOTHING) {
    cast_msg_move(&old, &t->base.waiter.msg);
    cast_msg_move(&t->base.waiter.msg, &r->msg);
    t->crossing = r->crossing;
  }
  t->told = r->told;
  cast_lock_drop(&t->base.done.lock);
  cast_msg_drop(&old);
}

/* Others may have handles of t from now on. */
static void share(cast_ltask *t, uint8_t as) {
  /* PAIR share. Nobody but its owner changes it from KEPT. */
  if (!cast_ltask_share(t, as))
    atomic_store_explicit(&t->shared, as, memory_order_release);
}

/* The message with these objects is given away. Should a finalizer have ended
   one of the tasks since the batch was complete, its results stay for now;
   unless it is said already why others do not get them. */
static void give(
  cast_state *S, cast_object *const *items, uint32_t n, uint8_t as) {
  for (uint32_t i = 0; i < n; i++) {
    cast_ltask *t = own_task(S, items[i]);
    if (t == NULL) continue;
    if (CAST_UNLIKELY(is_wanted(t, as)) && t->crossing != CAST_CROSSES_REASON) {
      cast_results r = {.crossing = CAST_CROSSES_NOTHING};
      hold_back(&r, refusal);
      replace(t, &r);
    }
    share(t, as);
    t->outside = false; /* its handle may be kept anywhere from now on */
    if (as == CAST_SHARED && t->given < CAST_GIVEN) t->given++;
  }
}

static void commit_batch(lua_State *L, cast_state *S, batch *b, uint8_t as) {
  for (uint32_t i = 0; i < b->n; i++) {
    cast_ltask *t = b->parts[i].task;
    cast_results *r = &b->parts[i].results;
    if (!is_wanted(t, as)) continue; /* another task was quicker */
    take(L, S, r);
    replace(t, r);
    share(t, as);
    b->parts[i].placed = true;
  }
  for (uint32_t i = 0; i < b->n; i++) {
    cast_msg *m = &b->parts[i].task->base.waiter.msg;
    if (b->parts[i].placed) give(S, cast_msg_items(m), m->nrefs, as);
  }
}

/* cast_giving.commit */
static void commit(lua_State *L, cast_object *const *items, uint32_t n,
  uint8_t as, bool for_good) {
  cast_state *S = cast_state_find(L);
  cast_cleanup **owner = lua_touserdata(L, -1);
  if (owner != NULL && *owner != NULL) {
    batch *b = CAST_CONTAINER(*owner, batch, cleanup);
    commit_batch(L, S, b, as);
    cast_cleanup_end(&b->cleanup);
  }
  give(S, items, n, as);
  for (uint32_t i = 0; for_good && as == CAST_SHARED && i < n; i++) {
    cast_ltask *t = own_task(S, items[i]);
    if (t != NULL) t->given = CAST_GIVEN;
  }
}

void cast_ltask_cross(lua_State *L, cast_state *S, cast_ltask *t, uint8_t as) {
  cast_object *o = &t->base.object;
  if (t->base.session != &S->session) return;
  prepare(L, &o, 1, as);
  commit(L, &o, 1, as, true);
  lua_pop(L, 1);
}

void cast_crossing_end(lua_State *L, cast_ending *e) {
  cast_results *r = &e->results;
  uint8_t as = r->told ? CAST_TOLD : CAST_SHARED;
  cast_object *const *items = cast_msg_items(&r->msg);
  if (e->complete) return;
  prepare(L, items, r->msg.nrefs, as);
  commit(L, items, r->msg.nrefs, as, false);
  take(L, e->S, r);
  e->complete = true;
  lua_pop(L, 1);
}

/* -- undone --------------------------------------------------------------- */

static void undo(lua_State *L, cast_state *S, cast_object *o, uint32_t depth);

static bool has_moves(cast_msg *m) {
  for (uint32_t i = 0; i < m->nrefs; i++) {
    const cast_object *o = cast_msg_items(m)[i];
    if (o != NULL && o->type == &cast_transferable_type) return true;
  }
  return false;
}

/* The last message with its handle was undone. What its session has told of its
   end elsewhere stays so, but for what moves. */
static void take_back(
  lua_State *L, cast_state *S, cast_ltask *t, uint32_t depth) {
  uint8_t shared = CAST_SHARED;
  cast_msg *m = &t->base.waiter.msg, old;
  cast_results r = {.crossing = CAST_CROSSES_NOTHING};
  bool moves;
  /* PAIR share. */
  if (!atomic_compare_exchange_strong_explicit(&t->shared, &shared, CAST_TOLD,
        memory_order_acq_rel, memory_order_acquire) ||
      t->stage != CAST_STAGE_ENDED || !t->stored)
    return;
  for (uint32_t i = 0; i < m->nrefs; i++)
    undo(L, S, cast_msg_items(m)[i], depth + 1);
  moves = has_moves(m);
  cast_msg_dup(&old, m);
  if (moves) hold_back(&r, refusal);
  r.told = true;
  replace(t, &r);
  if (moves) cast_transferable_undo(S->packer, L, &old);
  cast_msg_drop(&old);
}

static void undo(lua_State *L, cast_state *S, cast_object *o, uint32_t depth) {
  cast_ltask *t = own_task(S, o);
  if (t == NULL || t->given == 0 || t->given == CAST_GIVEN) return;
  if (depth <= UNDO_DEPTH && --t->given == 0) take_back(L, S, t, depth);
}

/* cast_giving.undo */
static void undo_one(lua_State *L, cast_object *o) {
  undo(L, cast_state_find(L), o, 0);
}

/* cast_giving.again: its results have crossed when the message was packed. */
static void give_again(lua_State *L, cast_object *o) {
  cast_ltask *t = own_task(cast_state_find(L), o);
  if (t != NULL && t->given > 0 && t->given < CAST_GIVEN) t->given++;
}

const cast_giving cast_task_giving = {
  .prepare = prepare,
  .commit = commit,
  .again = give_again,
  .undo = undo_one,
};
