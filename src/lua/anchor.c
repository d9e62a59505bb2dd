/* anchor.c - what only C refers to, kept from the collector.
   SPDX-License-Identifier: MIT

   A table in the registry that is nothing but an array, in which free places
   are a list. So giving a place back never needs memory, as luaL_unref may; and
   the registry's own array does not grow: before 5.4 what has a number there
   is lost when memory fails in the midst of that. Owner: the session's.
   1. Places 1 to anchors_used have been used, of anchors_room; anchors_free is
      the first free one of these, or 0, and has the number of the next. */
#include "state.h"

#define ROOM_FIRST 4 /* places at first */

static const char anchors_key = 0;

/* Puts a table with more places in the place of the one on the top. All that
   may fail comes before anything is changed. */
static void grow(lua_State *L, cast_state *S) {
  int room = S->anchors_room == 0 ? ROOM_FIRST : 2 * S->anchors_room;
  lua_createtable(L, room, 0);
  for (int i = 1; i <= S->anchors_used; i++) {
    lua_rawgeti(L, -2, i);
    lua_rawseti(L, -2, i);
  }
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &anchors_key);
  lua_replace(L, -2);
  S->anchors_room = room;
}

int cast_anchor(lua_State *L, cast_state *S) {
  int at = S->anchors_free;
  luaL_checkstack(L, 4, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors_key);
  if (at != 0) {
    lua_rawgeti(L, -1, at);
    S->anchors_free = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
  } else {
    if (S->anchors_used == S->anchors_room) grow(L, S);
    at = ++S->anchors_used;
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, at);
  lua_pop(L, 1);
  return at;
}

void cast_anchor_free(cast_state *S, int at) {
  lua_State *L = S->work;
  CAST_ASSERT(at > 0 && at <= S->anchors_used);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors_key);
  lua_pushinteger(L, S->anchors_free);
  lua_rawseti(L, -2, at);
  lua_pop(L, 1);
  S->anchors_free = at;
}
