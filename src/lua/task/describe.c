/* describe.c - what is said of the error of a task.
   SPDX-License-Identifier: MIT

   Its text is what its __tostring says, if it has one, else what Lua makes of
   it. The traceback is that text, the stack of the coroutine, and where the
   task comes from (origin.c).
   Owner: the task's session. */
#include "describe.h"

#include "../../base.h"
#include "../../buffer.h"
#include "../../limits.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/stack.h"
#include "../state/ltask.h"
#include "../state/protect.h"
#include "../state/state.h"
#include "../stop/preempt.h"
#include "origin.h"
#include "outcome.h"
#include "pending.h"

typedef struct describing {
  cast_ending *e;
  cast_coroutine co; /* has __tostring and the error on its stack, or NULL */
} describing;

/* Puts __tostring and the error into a coroutine, if the error has one. */
static int find_tostring(lua_State *L) {
  describing *d = lua_touserdata(L, 1);
  lua_pushvalue(d->e->co, -1);
  lua_xmove(d->e->co, L, 1);
  if (!luaL_getmetafield(L, 2, "__tostring") ||
      !(lua_isfunction(L, 3) || luaL_getmetafield(L, 3, "__call")))
    return 0;
  lua_settop(L, 3);
  lua_insert(L, 2);
  if (d->co.L == NULL) d->co = cast_coroutine_get(L, d->e->S);
  lua_xmove(L, d->co.L, 2);
  return 0;
}

/* That runs as the failed task, so that it may wait, and be cancelled; and in a
   coroutine of its own, since the stack of the failed one is still needed for
   the traceback. So if it waits, it does so in place. */
void cast_describe_error(cast_ending *e) {
  cast_state *S = e->S;
  describing d = {e, {NULL, LUA_NOREF}};
  int nres, status, type = lua_type(e->co, -1);
  if (type != LUA_TTABLE && type != LUA_TUSERDATA) return;
  if (!cast_lua_reserve(e->co, 4)) return;
  status = cast_protect_finally(S, find_tostring, &d);
  if (d.co.L == NULL) return;
  if (status == LUA_OK) {
    cast_preempt_begin(S, e->t, d.co.L);
    status = cast_lua_resume(d.co.L, 1, &nres);
    cast_preempt_end(S, d.co.L);
    status = cast_stop_outcome(S, d.co.L, status);
    if (status == LUA_OK && nres > 0 && lua_type(d.co.L, -nres) == LUA_TSTRING)
      cast_buffer_add(&e->error, lua_tostring(d.co.L, -nres));
  }
  cast_coroutine_put(S, d.co, status == LUA_OK);
}

/* Bounds the text of an error of a sandbox, which others will see in tracebacks
   and reports, perhaps on a terminal. */
static void tame(cast_buffer *b) {
  if (b->size > CAST_TAME_TEXT) {
    memcpy(b->text + CAST_TAME_TEXT - 3, "...", 4);
    b->size = CAST_TAME_TEXT;
  }
  cast_buffer_tame(b, 0);
}

/* What is said of an error that has not told it by itself. Nothing could stop a
   __tostring here. */
static const char *describe_unasked(lua_State *L, int i) {
  int type = lua_type(L, i);
  return type == LUA_TTABLE || type == LUA_TUSERDATA ? cast_lua_address(L, i)
                                                     : cast_lua_describe(L, i);
}

void cast_describe_failure(lua_State *L, cast_ending *e) {
  cast_buffer_fini(&e->stack);
  cast_buffer_fini(&e->traceback);
  lua_xmove(e->co, L, 1);
  lua_pushvalue(L, 2);
  lua_xmove(L, e->co, 1); /* its place has just become free */
  if (e->error.size == 0) cast_buffer_add(&e->error, describe_unasked(L, 2));
  if (e->error.lacking) cast_raise_memory(L);
  if (CAST_UNLIKELY(e->S->sandbox != NULL)) tame(&e->error);
  cast_buffer_form(&e->traceback, "%s\n", e->error.text);
  if (e->in_close) {
    cast_buffer_add(&e->traceback, "raised by a __close handler, after:\n");
    cast_buffer_add(
      &e->traceback, e->before.size > 0 ? e->before.text : "cancelled");
    if (e->traceback.lacking) cast_raise_memory(L);
    return;
  }
  cast_stack_write(&e->stack, L, e->co, 0);
  if (e->stack.lacking) cast_raise_memory(L);
  cast_origin_write(L, &e->traceback, e->t, 2, e->error.text, e->stack.text);
  if (e->traceback.lacking) cast_raise_memory(L);
}
