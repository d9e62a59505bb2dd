/* cleanup.c - what C code refers to while it may raise, given up in any case.
   SPDX-License-Identifier: MIT

   The metatable is in the registry, one for all. What is held is given up once,
   by the collector or by the end of the state, whichever comes first: `drop` is
   set to NULL then.
   Owner: the session's. */
#include "cleanup.h"

#include "../../base.h"
#include "../../list.h"
#include "../../mem.h"
#include "../../object.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/finalizer.h"
#include "../compat/single.h"
#include "state.h"

/* In the registry: the metatable. */
static const char meta_key = 0;

/* Once: what it holds. */
static void drop(cast_cleanup *h) {
  void (*fn)(cast_cleanup *) = h->drop;
  if (fn == NULL) return;
  h->drop = NULL;
  cast_list_remove(&h->link);
  fn(h);
}

/* Like handle_gc: if lua_close has called it, the host ends first, since tasks
   that still have to be unwound may use what is held. */
static int cleanup_gc(lua_State *L) {
  cast_cleanup **owner = lua_touserdata(L, 1), *h = *owner;
  cast_state *S = cast_state_find(L);
  bool strays;
  if (h == NULL || S == NULL || S->cleaned)
    return 0; /* nothing is to be dropped */
  strays = cast_last_is_stray(S);
  /* Relaxed: it is set by this state's owner. */
  if (S->host != NULL && h->drop != NULL &&
      (strays || atomic_load_explicit(&S->ending, memory_order_relaxed) ||
        cast_finalizer_is_closing(L, owner))) {
    if (!strays) S->binding->end(L);
    if (cast_state_find(L) != NULL) cast_finalizer_keep(L, 1);
    return 0;
  }
  cast_cleanup_end(h);
  return 0;
}

static void free_cleanup(cast_cleanup *h) {
  cast_account_give(h->account, CAST_BYTES, h->charged);
  cast_free(h);
}

void cast_cleanup_end(cast_cleanup *h) {
  drop(h);
  *h->owner = NULL;
  free_cleanup(h);
}

void *cast_cleanup_push(
  lua_State *L, cast_state *S, size_t size, void (*fn)(cast_cleanup *h)) {
  static const lua_CFunction gc = cleanup_gc;
  cast_cleanup **owner, *h;
  if (S->cleaned) cast_raise_closed(L);
  owner = cast_lua_newuserdata(L, sizeof *owner);
  *owner = NULL;
  (void)cast_single_push(L, &meta_key, cast_make_meta, &gc);
  lua_setmetatable(L, -2);
  cast_finalizer_add(L, owner);
  /* A finalizer that ran meanwhile may have ended the state. */
  if (cast_state_find(L) != S || S->cleaned) cast_raise_closed(L);
  if (!cast_account_take(S->session.account, CAST_BYTES, size))
    cast_raise_memory(L);
  h = cast_calloc(size);
  if (h == NULL) {
    cast_account_give(S->session.account, CAST_BYTES, size);
    cast_raise_memory(L);
  }
  h->account = S->session.account;
  h->charged = size;
  h->drop = fn;
  h->owner = owner;
  *owner = h;
  cast_list_push(&S->cleanups, &h->link);
  return h;
}

/* Finalizers that come later find that there is nothing to do. Where a task is
   stuck for good, it may still use what is there. */
void cast_cleanup_run_all(cast_state *S) {
  S->cleaned = true;
  while (!cast_list_is_empty(&S->cleanups)) {
    cast_cleanup *h = CAST_CONTAINER(S->cleanups.next, cast_cleanup, link);
    drop(h);
    if (S->session.ntasks == 0) free_cleanup(h);
  }
}

/* -- one reference -------------------------------------------------------- */

typedef struct box {
  cast_cleanup cleanup;
  cast_object *object; /* one reference, or NULL */
} box;

static void drop_box(cast_cleanup *h) {
  box *b = CAST_CONTAINER(h, box, cleanup);
  if (b->object != NULL) cast_unref(b->object);
  b->object = NULL;
}

cast_object **cast_box_push(lua_State *L, cast_state *S) {
  box *b = cast_cleanup_push(L, S, sizeof *b, drop_box);
  return &b->object;
}
