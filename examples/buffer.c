/* buffer.c - a C module whose userdata moves between sessions, uncopied.
   SPDX-License-Identifier: MIT

   A buffer is a block of bytes that Lua code can change, unlike a string. Many
   megabytes of it go from session to session for the price of a pointer, since
   a send takes the block out of the sender's buffer: that one is empty then,
   and using it is an error. See casting_transfer in casting.h; examples/
   buffer.lua uses the module, and says how to build it.

   The module needs nothing of casting but the header: it loads in a Lua that
   has never heard of casting as well. */
#include "../include/casting.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "example.buffer"

#if LUA_VERSION_NUM < 502
#define luaL_setfuncs(L, list, nup) luaL_register(L, NULL, list)
#define lua_setmeta(L) (luaL_getmetatable(L, TYPE), lua_setmetatable(L, -2))
#else
#define lua_setmeta(L) luaL_setmetatable(L, TYPE)
#endif

typedef struct block {
  size_t size;
  unsigned char bytes[];
} block;

/* The userdata: empty if its block has moved. */
typedef struct buffer {
  block *content;
} buffer;

/* -- how it moves --------------------------------------------------------- */

static void *take(lua_State *L, int i) {
  buffer *b = lua_touserdata(L, i);
  void *content = b->content;
  b->content = NULL;
  return content; /* NULL: it was empty */
}

static int make(lua_State *L) {
  buffer *b = lua_newuserdata(L, sizeof *b);
  b->content = NULL;
  lua_setmeta(L);
  return 1;
}

static void put(lua_State *L, int i, void *content) {
  buffer *b = lua_touserdata(L, i);
  b->content = content;
}

static const casting_transfer transfer = {
  .size = sizeof(casting_transfer),
  .name = "buffer",
  .module = "buffer",
  .take = take,
  .make = make,
  .put = put,
  .drop = free,
};

/* -- what Lua sees -------------------------------------------------------- */

static block *check(lua_State *L) {
  buffer *b = luaL_checkudata(L, 1, TYPE);
  if (b->content == NULL) luaL_argerror(L, 1, "the buffer has moved away");
  return b->content;
}

static size_t check_index(lua_State *L, const block *b) {
  lua_Number i = luaL_checknumber(L, 2);
  luaL_argcheck(L, i >= 1 && i <= (lua_Number)b->size, 2, "out of the buffer");
  return (size_t)i - 1;
}

/* buffer.new(size): all zero */
static int buffer_new(lua_State *L) {
  lua_Number size = luaL_checknumber(L, 1);
  luaL_argcheck(L, size >= 0 && size < 1e12, 1, "a number of bytes expected");
  make(L);
  buffer *b = lua_touserdata(L, -1);
  b->content = calloc(1, sizeof(block) + (size_t)size);
  if (b->content == NULL) return luaL_error(L, "not enough memory");
  b->content->size = (size_t)size;
  return 1;
}

static int buffer_get(lua_State *L) {
  const block *b = check(L);
  lua_pushinteger(L, b->bytes[check_index(L, b)]);
  return 1;
}

static int buffer_set(lua_State *L) {
  block *b = check(L);
  size_t i = check_index(L, b);
  lua_Number byte = luaL_checknumber(L, 3);
  luaL_argcheck(L, byte >= 0 && byte <= 255, 3, "a byte expected, 0 to 255");
  b->bytes[i] = (unsigned char)byte;
  return 0;
}

/* Where the bytes are: the same before and after a move. */
static int buffer_address(lua_State *L) {
  lua_pushlightuserdata(L, check(L));
  return 1;
}

static int buffer_len(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check(L)->size);
  return 1;
}

static int buffer_gc(lua_State *L) {
  buffer *b = luaL_checkudata(L, 1, TYPE);
  free(b->content);
  b->content = NULL;
  return 0;
}

static const luaL_Reg methods[] = {
  {"get", buffer_get},
  {"set", buffer_set},
  {"address", buffer_address},
  {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
  {"__len", buffer_len},
  {"__gc", buffer_gc},
  {NULL, NULL},
};

static const luaL_Reg functions[] = {
  {"new", buffer_new},
  {NULL, NULL},
};

CASTING_API int luaopen_buffer(lua_State *L);
CASTING_API int luaopen_buffer(lua_State *L) {
  luaL_newmetatable(L, TYPE);
  luaL_setfuncs(L, metamethods, 0);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  /* As casting_transfer_register(L, -1, &transfer) does it. */
  lua_pushlightuserdata(L, (void *)(uintptr_t)&transfer);
  lua_setfield(L, -2, "__transfer");
  lua_pop(L, 1);
  lua_newtable(L);
  luaL_setfuncs(L, functions, 0);
  return 1;
}
