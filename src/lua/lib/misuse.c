/* misuse.c - errors about arguments, of what is written in Lua.
   SPDX-License-Identifier: MIT

   Like the errors of argument.h they give the line of the program that has
   called a public function. How far down the stack that call is differs, so it
   is looked for: the first function that is neither in a file of lualib/casting
   nor in C is the program's. */
#include "misuse.h"

#include "../../buffer.h"
#include "../../limits.h"
#include "../../object.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/stack.h"
#include "../io/fs.h"
#include "../io/net.h"
#include "../state/argument.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "lib_broadcast.h"
#include "lib_semaphore.h"

/* Is the C function at this level cast_embed_stub, that is, a public function,
   or a method of that kind? */
static bool is_stub(lua_State *L, lua_Debug *ar) {
  const cast_state *S = cast_state_find(L);
  lua_CFunction f;
  lua_getinfo(L, "f", ar);
  f = lua_tocfunction(L, -1);
  lua_pop(L, 1);
  return S != NULL &&
         (f == S->binding->stub || f == cast_listener_serve ||
           f == cast_net_lines || f == cast_fs_lines ||
           f == cast_semaphore_with || f == cast_broadcast_subscribe_lua);
}

/* Returns the level of the public function; *ar tells by which name it was
   called. That is the stub, or the last function of ours before the program's,
   a method which the program has called directly. */
static int find_public(lua_State *L, lua_Debug *ar) {
  lua_Debug at;
  int found = 1;
  for (int i = 1; lua_getstack(L, i, &at) && lua_getinfo(L, "S", &at); i++) {
    bool in_lua = *at.what != 'C' && *at.what != 't';
    if (in_lua && !cast_lua_is_own(&at)) break;
    if (in_lua) found = i;
    if (*at.what != 'C' || i != found + 1 || !is_stub(L, &at)) continue;
    found = i;
    break;
  }
  memset(ar, 0, sizeof *ar);
  ar->namewhat = "";
  if (lua_getstack(L, found, ar)) lua_getinfo(L, "n", ar);
  return found;
}

/* internal.bad(i, name, text): raises "bad argument #i to 'name' (text)". The
   object of a method is argument 1; it is not counted if the program has called
   the function as a method, o:name(). */
int cast_lib_bad(lua_State *L) {
  int i = (int)lua_tointeger(L, 1), level;
  const char *name = cast_arg_string(L, 2, NULL);
  lua_Debug ar;
  (void)cast_arg_string(L, 3, NULL);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  level = find_public(L, &ar);
  luaL_where(L, level + 1);
  if (strcmp(ar.namewhat, "method") == 0 && --i == 0)
    lua_pushfstring(L, "calling '%s' on bad self (", name);
  else
    lua_pushfstring(L, "bad argument #%d to '%s' (", i, name);
  lua_pushvalue(L, 3); /* whole, also if it has zero bytes */
  lua_pushliteral(L, ")");
  lua_concat(L, 4);
  return lua_error(L);
}

/* internal.kind(v): the type of v; of a handle "channel", "task", "session" or
   "message". Metatables do not count. */
int cast_lib_kind(lua_State *L) {
  const cast_object *o = cast_handle_test(L, 1);
  lua_pushstring(L, o != NULL ? o->type->name : luaL_typename(L, 1));
  return 1;
}

/* internal.got(v): what an error says of a value that is refused. */
int cast_lib_got(lua_State *L) {
  (void)cast_arg_got(L, 1); /* pushed */
  return 1;
}

/* internal.quote(v): how an error shows a value that somebody has given, which
   may be long. */
int cast_lib_quote(lua_State *L) {
  (void)cast_arg_quote(L, 1); /* pushed */
  return 1;
}

/* internal.room(n): is there room on the stack for n values more, so that a
   function can return them? */
int cast_lib_room(lua_State *L) {
  lua_Number n = cast_arg_number(L, 1);
  lua_pushboolean(L,
    n >= 0 && n <= CAST_VALUES_MAX && lua_checkstack(L, (int)n + LUA_MINSTACK));
  return 1;
}

/* internal.where(): the line where the program has called the public function,
   as "file:line"; nil if it is not known. */
int cast_lib_where(lua_State *L) {
  size_t size;
  const char *place;
  cast_lua_where(L);
  place = lua_tolstring(L, -1, &size);
  if (size < 2) return 0;
  lua_pushlstring(L, place, size - 2); /* without ": " */
  return 1;
}

/* Protected: pushes the text of a buffer. */
static int push_text(lua_State *L) {
  const cast_buffer *b = lua_touserdata(L, 1);
  lua_pushstring(L, b->text);
  return 1;
}

/* internal.trace(e): a text of the error, the stack of the caller, and which
   task it is. The text is made in a buffer, so that no finalizer runs while the
   stack is read; hence the protected call, for the buffer to be freed. */
int cast_lib_trace(lua_State *L) {
  cast_state *S = cast_state_here(L);
  const cast_ltask *t = cast_current(S);
  cast_buffer b = {NULL, 0, 0, false};
  const char *text;
  bool lacking;
  lua_settop(L, 1);
  text = cast_lua_describe(L, 1);
  lua_pushcfunction(L, push_text);
  lua_pushlightuserdata(L, &b);
  cast_buffer_form(&b, "%s\n", text);
  cast_stack_write(&b, L, L, 1);
  if (t != NULL)
    cast_buffer_form(
      &b, "\nin task %d of session '%.100s'", (int)t->base.id, S->name);
  lacking = b.lacking || lua_pcall(L, 1, 1, 0) != LUA_OK;
  cast_buffer_fini(&b);
  if (lacking) cast_raise_memory(L);
  return 1;
}
