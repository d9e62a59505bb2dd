/* anchor.c - what only C refers to, kept from the collector.
   SPDX-License-Identifier: MIT

   From 5.4 on that is luaL_ref and luaL_unref. Before, the registry loses
   values that have a number there when memory fails while its array grows, and
   then luaL_unref, which must not fail here, takes memory. So there the values
   are in a table of their own, which is nothing but an array; free places are a
   list in it, and to give a place back never takes memory.
   Owner: the session's.
   Invariant: places 1 to anchors.used have been in use, of anchors.room that
   the table has; anchors.free is the first free one of these, or 0, and its
   value is the number of the next. */
#include "anchor.h"

#include "../../base.h"
#include "../../limits.h"
#include "../compat/compat.h"
#include "state.h"

#if CAST_LUA >= 504

int cast_anchor(lua_State *L, cast_state *S) {
  int at = luaL_ref(L, LUA_REGISTRYINDEX);
  if (S->anchors.used != 0) return at;
  S->anchors.used = 1;
  /* Lua makes its list of free places when the first is given back, which takes
     memory: so that is done here, where it may. */
  lua_pushboolean(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, luaL_ref(L, LUA_REGISTRYINDEX));
  return at;
}

void cast_anchor_free(cast_state *S, int at) {
  luaL_unref(S->work, LUA_REGISTRYINDEX, at);
}

void cast_anchor_push(lua_State *L, cast_state *S, int at) {
  CAST_UNUSED(S);
  lua_rawgeti(L, LUA_REGISTRYINDEX, at);
}

#else

/* In the registry: the table. */
static const char anchors_key = 0;

/* Is there no free place? */
static bool is_full(const cast_state *S) {
  return S->anchors.free == 0 && S->anchors.used == S->anchors.room;
}

/* Replaces the full table by one with more places. What may fail comes before
   anything is changed; and what may run a finalizer, which may anchor something
   itself, before anything is looked at. */
static void grow(lua_State *L, cast_state *S) {
  int room = S->anchors.room == 0 ? CAST_ANCHORS_FIRST : 2 * S->anchors.room;
  lua_createtable(L, room, 0);
  if (!is_full(S) || room <= S->anchors.room) {
    lua_pop(L, 1);
    return;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors_key);
  for (int i = 1; i <= S->anchors.used; i++) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -3, i);
  }
  lua_pop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &anchors_key);
  S->anchors.room = room;
}

int cast_anchor(lua_State *L, cast_state *S) {
  int at;
  luaL_checkstack(L, 4, NULL);
  while (is_full(S)) grow(L, S);
  at = S->anchors.free;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors_key);
  if (at != 0) {
    lua_rawgeti(L, -1, at);
    S->anchors.free = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
  } else {
    at = ++S->anchors.used;
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, at);
  lua_pop(L, 1);
  return at;
}

void cast_anchor_push(lua_State *L, cast_state *S, int at) {
  CAST_UNUSED(S);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors_key);
  lua_rawgeti(L, -1, at);
  lua_remove(L, -2);
}

void cast_anchor_free(cast_state *S, int at) {
  lua_State *L = S->work;
  CAST_ASSERT(at > 0 && at <= S->anchors.used);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors_key);
  lua_pushinteger(L, S->anchors.free);
  lua_rawseti(L, -2, at);
  lua_pop(L, 1);
  S->anchors.free = at;
}

#endif
