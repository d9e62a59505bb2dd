/* anchor.c - what only C refers to, kept from the collector.
   SPDX-License-Identifier: MIT

   Before 5.4 the registry loses what has a number there when memory fails while
   its array grows; then luaL_unref, which may not fail, takes memory. So these
   are in a table of their own, which is nothing but an array; free places are a
   list, and to give one back never needs memory. Owner: the session's.
   1. Places 1 to anchors_used have been used, of anchors_room; anchors_free is
      the first free one of these, or 0, and has the number of the next. */
#include "anchor.h"

#include "../../base.h"
#include "../compat/compat.h"
#include "state.h"

#if CAST_LUA >= 504

int cast_anchor(lua_State *L, cast_state *S) {
  int at = luaL_ref(L, LUA_REGISTRYINDEX);
  if (S->anchors.used != 0) return at;
  S->anchors.used = 1;
  /* The first one that is given back takes memory: so this is done here. */
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

#define ROOM_FIRST 4 /* places at first */

static const char anchors_key = 0;

static bool is_full(const cast_state *S) {
  return S->anchors.free == 0 && S->anchors.used == S->anchors.room;
}

/* Puts a table with more places in the place of the one that is full. All that
   may fail comes before anything is changed; and what may run a finalizer,
   which may anchor something itself, before anything is looked at. */
static void grow(lua_State *L, cast_state *S) {
  int room = S->anchors.room == 0 ? ROOM_FIRST : 2 * S->anchors.room;
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
