/* cleanup.c - userdata that hold what C code refers to.
   SPDX-License-Identifier: MIT

   The metatable is in the registry, one for all. What is held is given up once,
   by the collector or by the end of the state, whichever comes first: `drop` is
   set to NULL then.
   Owner: the session's. */
#include "cleanup.h"

#include "../../base.h"
#include "../../list.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../compat/finalizer.h"
#include "../compat/single.h"
#include "state.h"

/* In the registry: the metatable. */
static const char meta_key = 0;

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
  cast_cleanup *h = lua_touserdata(L, 1);
  cast_state *S = cast_state_find(L);
  bool strays = S != NULL && cast_last_is_stray(S);
  /* Relaxed: it is set by this state's owner. */
  if (S != NULL && S->host != NULL && h->drop != NULL &&
      (strays || atomic_load_explicit(&S->ending, memory_order_relaxed) ||
        cast_finalizer_is_closing(L, h))) {
    if (!strays) S->binding->end(L);
    if (cast_state_find(L) != NULL) return cast_finalizer_keep(L, 1), 0;
  }
  drop(h);
  return 0;
}

void *cast_cleanup_push(
  lua_State *L, cast_state *S, size_t size, void (*fn)(cast_cleanup *h)) {
  static const lua_CFunction gc = cleanup_gc;
  cast_cleanup *h = cast_lua_newuserdata(L, size);
  memset(h, 0, size);
  (void)cast_single_push(L, &meta_key, cast_make_meta, &gc);
  lua_setmetatable(L, -2);
  cast_finalizer_add(L, h);
  h->drop = fn;
  cast_list_push(&S->cleanups, &h->link);
  return h;
}

void cast_cleanup_run_all(cast_state *S) {
  while (!cast_list_is_empty(&S->cleanups))
    drop(CAST_CONTAINER(S->cleanups.next, cast_cleanup, link));
}

/* -- one reference -------------------------------------------------------- */

typedef struct box {
  cast_cleanup cleanups;
  cast_object *object; /* one reference, or NULL */
} box;

static void drop_box(cast_cleanup *h) {
  box *b = CAST_CONTAINER(h, box, cleanups);
  if (b->object != NULL) cast_unref(b->object);
  b->object = NULL;
}

cast_object **cast_box_push(lua_State *L, cast_state *S) {
  box *b = cast_cleanup_push(L, S, sizeof *b, drop_box);
  return &b->object;
}
