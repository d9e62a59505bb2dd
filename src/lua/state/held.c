/* held.c - userdata that hold what C code refers to.
   SPDX-License-Identifier: MIT

   Owner: the session's. The metatable is in the registry, one for all. */
#include "held.h"

#include "../../base.h"
#include "../../list.h"
#include "../../object.h"
#include "../compat/alive.h"
#include "../compat/compat.h"
#include "../compat/single.h"
#include "state.h"

static const char meta_key = 0;

static void drop(cast_held *h) {
  void (*fn)(cast_held *) = h->drop;
  if (fn == NULL) return;
  h->drop = NULL;
  cast_list_remove(&h->link);
  fn(h);
}

/* As handle_gc. */
static int held_gc(lua_State *L) {
  cast_held *h = lua_touserdata(L, 1);
  cast_state *S = cast_state_find(L);
  bool strays = S != NULL && cast_last_strays(S);
  /* Relaxed: it is set by this state's owner. */
  if (S != NULL && S->host != NULL && h->drop != NULL &&
      (strays || atomic_load_explicit(&S->ending, memory_order_relaxed) ||
        cast_alive(L, h))) {
    if (!strays) S->binding->end(L);
    if (cast_state_find(L) != NULL) return cast_alive_keep(L, 1), 0;
  }
  drop(h);
  return 0;
}

void *cast_held_push(
  lua_State *L, cast_state *S, size_t size, void (*fn)(cast_held *h)) {
  static const lua_CFunction gc = held_gc;
  cast_held *h = cast_lua_newuserdata(L, size);
  memset(h, 0, size);
  (void)cast_single(L, &meta_key, cast_make_meta, &gc);
  lua_setmetatable(L, -2);
  cast_alive_add(L, h);
  h->drop = fn;
  cast_list_push(&S->held, &h->link);
  return h;
}

void cast_held_end(cast_state *S) {
  while (!cast_list_empty(&S->held))
    drop(CAST_CONTAINER(S->held.next, cast_held, link));
}

/* -- one reference -------------------------------------------------------- */

typedef struct box {
  cast_held held;
  cast_object *object;
} box;

static void drop_box(cast_held *h) {
  box *b = CAST_CONTAINER(h, box, held);
  if (b->object != NULL) cast_unref(b->object);
  b->object = NULL;
}

cast_object **cast_box_push(lua_State *L, cast_state *S) {
  box *b = cast_held_push(L, S, sizeof *b, drop_box);
  return &b->object;
}
