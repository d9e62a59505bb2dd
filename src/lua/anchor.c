/* anchor.c - what only C refers to, kept from the collector.
   SPDX-License-Identifier: MIT

   Before 5.4 the registry loses what has a number there when memory fails while
   its array grows; then luaL_unref, which may not fail, takes memory. And no
   version tells whether luaL_ref will take memory. So these are in a table of
   their own, which is nothing but an array; free places are a list, and to give
   one back never needs memory. Owner: the session's.
   1. Places 1 to anchors_used have been used, of anchors_room; anchors_free is
      the first free one of these, or 0, and has the number of the next.
   2. anchors_kept of them keep something. */
#include "anchor.h"

#define ROOM_FIRST 4 /* places at first */

static const char anchors_key = 0;

static bool has_room(const cast_state *S, int n) {
  return S->anchors_room - S->anchors_kept >= n;
}

/* Makes room for n more, in another table. All that may fail comes before
   anything is changed; and what may run a finalizer, which may anchor something
   itself, before anything is looked at. */
static void grow(lua_State *L, cast_state *S, int n) {
  int room = S->anchors_room == 0 ? ROOM_FIRST : 2 * S->anchors_room;
  while (room - S->anchors_kept < n) room *= 2;
  lua_createtable(L, room, 0);
  if (has_room(S, n) || room <= S->anchors_room) {
    lua_pop(L, 1);
    return;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors_key);
  for (int i = 1; i <= S->anchors_used; i++) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -3, i);
  }
  lua_pop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &anchors_key);
  S->anchors_room = room;
}

void cast_anchor_ready(lua_State *L, cast_state *S, int n) {
  luaL_checkstack(L, 4, NULL);
  while (!has_room(S, n)) grow(L, S, n);
}

/* There is room for the value on the top. */
static int keep(lua_State *L, cast_state *S) {
  int at = S->anchors_free;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors_key);
  if (at != 0) {
    lua_rawgeti(L, -1, at);
    S->anchors_free = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
  } else {
    at = ++S->anchors_used;
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, at);
  lua_pop(L, 1);
  S->anchors_kept++;
  return at;
}

int cast_anchor(lua_State *L, cast_state *S) {
  cast_anchor_ready(L, S, 1);
  return keep(L, S);
}

int cast_anchor_thread(cast_state *S, lua_State *co) {
  if (!has_room(S, 1)) return 0;
  lua_pushthread(co); /* each stack has a spare slot for that */
  lua_xmove(co, S->work, 1);
  return keep(S->work, S);
}

void cast_anchor_push(lua_State *L, cast_state *S, int at) {
  CAST_UNUSED(S);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors_key);
  lua_rawgeti(L, -1, at);
  lua_remove(L, -2);
}

void cast_anchor_free(cast_state *S, int at) {
  lua_State *L = S->work;
  CAST_ASSERT(at > 0 && at <= S->anchors_used && S->anchors_kept > 0);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors_key);
  lua_pushinteger(L, S->anchors_free);
  lua_rawseti(L, -2, at);
  lua_pop(L, 1);
  S->anchors_free = at;
  S->anchors_kept--;
}
