/* origin.c - where an error that await has raised came from.
   SPDX-License-Identifier: MIT

   await raises the very value with which a task has failed, so that programs
   can compare it and look into it. The stack on which it was raised first is in
   the record of that failure (failure.c), of which the task that awaits holds
   the latest (extra->origin). If the task itself fails with the same value, or
   with a text that contains that one's, its own record gets both stacks. So a
   traceback shows the way of an error through many tasks, in whatever sessions
   they are.

   Owner: the task's session.
   Invariants:
   1. The value of the error, if it is no text, is in a table of the registry,
      with weak values, under the task's address: an entry is there only while
      extra->origin is. */
#include "origin.h"

#include "../../base.h"
#include "../../buffer.h"
#include "../compat/compat.h"
#include "../compat/single.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "failure.h"

/* In the registry: task -> the error that it has awaited. */
static const char values_key = 0;

#define OWN_SIZE (CAST_TRACE_SIZE / 2) /* of the task's own stack */

/* -- noting --------------------------------------------------------------- */

/* Can the value be told from all others that are equal to it? A text cannot. */
static bool has_identity(lua_State *L, int i) {
  int type = lua_type(L, i);
  return type == LUA_TTABLE || type == LUA_TUSERDATA || type == LUA_TFUNCTION;
}

/* values[t] = the value on the top, or nil; pops it. */
static void keep_value(lua_State *L, cast_ltask *t) {
  (void)cast_single_push(L, &values_key, cast_make_weak, "v");
  lua_insert(L, -2);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
}

void cast_origin_drop(lua_State *L, cast_ltask *t) {
  cast_extra *x = t->extra;
  if (CAST_LIKELY(x == NULL || x->origin == NULL)) return;
  cast_failure_unref(x->origin);
  x->origin = NULL;
  luaL_checkstack(L, 4, NULL);
  lua_pushnil(L);
  keep_value(L, t);
}

const cast_failure *cast_origin_take(cast_ltask *t, const cast_ltask *target) {
  cast_failure *f = cast_failed(target);
  cast_extra *x = f == NULL ? NULL : cast_extra_make(t);
  if (x == NULL) return NULL;
  cast_failure_ref(f);
  if (x->origin != NULL) cast_failure_unref(x->origin);
  x->origin = f;
  return f;
}

/* -- writing -------------------------------------------------------------- */

/* Is the value at `error`, whose text is `text`, the error that t has
   awaited? */
static bool is_noted(lua_State *L, cast_ltask *t, int error, const char *text) {
  const char *noted = cast_failure_error(t->extra->origin);
  bool same;
  if (!has_identity(L, error)) return *noted && strstr(text, noted) != NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &values_key);
  if (!lua_istable(L, -1)) return lua_pop(L, 1), false;
  lua_rawgetp(L, -1, t);
  same = lua_rawequal(L, -1, error);
  lua_pop(L, 2);
  return same;
}

/* Adds at most `room` bytes of the text. Of a longer one the beginning, which
   is where the error was raised, and the end. */
static void add_bounded(cast_buffer *b, const char *text, size_t room) {
  size_t size = strlen(text), first = room / 2, last = room - first - 8;
  if (size <= room) {
    cast_buffer_add(b, text);
    return;
  }
  while (first > 0 && text[first] != '\n') first--;
  if (first == 0) first = room / 2; /* one long line */
  cast_buffer_form(b, "%.*s\n\t...", (int)first, text);
  text += size - last;
  cast_buffer_add(
    b, *text == '\n' || strchr(text, '\n') == NULL ? text : strchr(text, '\n'));
}

/* The stacks of the record: what follows the error's text. */
static const char *stacks_of(const cast_failure *f) {
  return cast_failure_traceback(f) + strlen(cast_failure_error(f)) + 1;
}

void cast_origin_write(lua_State *L, cast_buffer *b, cast_ltask *t, int error,
  const char *text, const char *stack) {
  cast_extra *x = t->extra;
  if (x != NULL && x->origin != NULL && is_noted(L, t, error, text)) {
    add_bounded(b, stacks_of(x->origin), CAST_TRACE_SIZE - OWN_SIZE - 200);
    cast_buffer_form(b, "\nawaited by task %d of session '%.100s', ",
      (int)t->base.id, cast_state_of(t->base.session)->name);
  }
  add_bounded(b, stack, OWN_SIZE);
}

/* -- main programs -------------------------------------------------------- */

/* Is there no C function on this stack that might catch an error, so that it
   will reach the interpreter? Not counted are the function that runs, the
   outermost, which is the interpreter's, and ours that only call what is
   written in Lua. */
static bool is_bare(lua_State *L) {
  const cast_state *S = cast_state_find(L);
  lua_Debug ar, above;
  for (int i = 1; lua_getstack(L, i, &ar); i++) {
    bool passes;
    (void)lua_getinfo(L, "Sf", &ar);
    passes = *ar.what != 'C' ||
             (S != NULL && lua_tocfunction(L, -1) == S->binding->stub);
    lua_pop(L, 1);
    if (!passes && lua_getstack(L, i + 1, &above)) return false;
  }
  return true;
}

/* Would the interpreter show nothing of the error on the top? 5.1's shows
   nothing but texts, the others what __tostring returns. */
static bool is_hidden(lua_State *L) {
#if CAST_LUA < 502 && !CAST_LUAJIT
  if (lua_isstring(L, -1) || !luaL_getmetafield(L, -1, "__tostring"))
    return false;
  lua_pop(L, 1);
  return true;
#else
  CAST_UNUSED(L);
  return false;
#endif
}

void cast_origin_show(lua_State *L) {
  const cast_state *S;
  luaL_checkstack(L, 6, NULL);
  if (!is_hidden(L) || cast_main_thread(L) != L) return;
  S = cast_state_find(L);
  if (S == NULL || S->host == NULL || !is_bare(L)) return;
  (void)cast_lua_describe(L, -1);
  lua_replace(L, -2);
}

/* Called with the error's text and what is to be appended. */
static int append_text(lua_State *L) {
  const cast_buffer *b = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_pushliteral(L, "\n");
  lua_pushlstring(L, b->text, b->size);
  lua_pushliteral(L, "\nawaited by the main program");
  lua_concat(L, 4);
  return 1;
}

/* If the error on the top is a text, and nothing in Lua can catch it, the
   stacks of where it came from are appended to it: the interpreter, which will
   show it, knows the main program's stack alone. */
static void append(
  lua_State *L, cast_state *S, cast_ltask *t, const cast_failure *f) {
  cast_buffer b = {NULL, 0, 0, false};
  int top = lua_gettop(L);
  if (t != S->main || S->host == NULL) return;
  luaL_checkstack(L, 8, NULL);
  if (cast_main_thread(L) != L || !is_bare(L)) return;
  if (is_hidden(L))
    lua_pushstring(L, cast_failure_error(f));
  else if (lua_type(L, -1) == LUA_TSTRING)
    lua_pushvalue(L, -1);
  else
    return;
  lua_pushcfunction(L, append_text); /* may raise: b has no memory yet */
  lua_insert(L, -2);
  lua_pushlightuserdata(L, &b);
  if (t->extra->origin == f) {
    add_bounded(&b, stacks_of(f), CAST_TRACE_SIZE - OWN_SIZE);
    if (!b.lacking && lua_pcall(L, 2, 1, 0) == LUA_OK) lua_replace(L, top);
    cast_buffer_fini(&b);
  }
  lua_settop(L, top);
}

void cast_origin_note(
  lua_State *L, cast_state *S, cast_ltask *t, const cast_failure *f) {
  /* A finalizer may run wherever Lua makes something, and await something
     else. */
  if (f == NULL || t->extra->origin != f) return;
  luaL_checkstack(L, 5, NULL);
  if (has_identity(L, -1))
    lua_pushvalue(L, -1);
  else
    lua_pushnil(L);
  keep_value(L, t);
  if (t->extra->origin == f) append(L, S, t, f);
}
