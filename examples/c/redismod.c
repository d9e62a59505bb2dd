/* redismod.c - a C module that talks to Redis and suspends the calling task
   only.
   SPDX-License-Identifier: MIT

     cc -shared -fPIC redismod.c -o redismod.so \
       $(pkg-config --cflags --libs casting-5.4 hiredis) \
       $(pkg-config --cflags lua5.4)

   It shows how a library with a non-blocking interface, hiredis here, is used:
   its calls read and write what goes at once, and casting_wait_fd waits for
   the descriptor in between. Each function makes one step, and redis.lua,
   beside this file, puts them together:

     local redismod = require "redismod"
     local c = redismod.connect("127.0.0.1", 6379)  --> a connection | nil, why
     local c = redismod.connect("unix:/run/redis.sock")
     c:append("SET", "key", "value")  --> notes a command to be sent
     c:flush(seconds)   --> true: all is sent; false: not yet | nil, why
     c:reply(seconds)   --> true, value; false: not yet | nil, why
     c:close()

   Values are strings, integers, nil, and tables of these; an error that Redis
   sends is a table with the field `err`. One task at a time uses a connection.
 */
#include <casting.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include <lauxlib.h>
#include <lua.h>

#define CLASS "casting.example.redis"

typedef struct connection {
  redisContext *redis; /* NULL: closed */
  bool busy;           /* a task waits for it */
} connection;

static connection *check(lua_State *L) {
  connection *c = luaL_checkudata(L, 1, CLASS);
  if (c->redis == NULL) luaL_error(L, "this connection is closed");
  if (c->busy) luaL_error(L, "another task uses this connection");
  return c;
}

static int fail(lua_State *L, const char *why) {
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

/* -- connecting ----------------------------------------------------------- */

/* The connection need not be there yet: the first flush waits for it. The host
   is a number, since the system may look a name up for minutes. */
static int mod_connect(lua_State *L) {
  const char *host = luaL_checkstring(L, 1);
  int port = (int)luaL_optinteger(L, 2, 6379);
  connection *c = lua_newuserdata(L, sizeof *c);
  c->redis = NULL;
  c->busy = false;
  luaL_getmetatable(L, CLASS);
  lua_setmetatable(L, -2);
  if (strncmp(host, "unix:", 5) == 0)
    c->redis = redisConnectUnixNonBlock(host + 5);
  else
    c->redis = redisConnectNonBlock(host, port);
  if (c->redis == NULL) return luaL_error(L, "not enough memory");
  if (c->redis->err != 0) return fail(L, c->redis->errstr);
  return 1;
}

/* Also its finalizer. What a task waits for is not closed under it. */
static int con_close(lua_State *L) {
  connection *c = luaL_checkudata(L, 1, CLASS);
  if (c->busy) return luaL_error(L, "another task uses this connection");
  if (c->redis != NULL) redisFree(c->redis);
  c->redis = NULL;
  return 0;
}

/* -- sending -------------------------------------------------------------- */

/* Copies the command into hiredis's buffer. */
static int con_append(lua_State *L) {
  connection *c = check(L);
  int n = lua_gettop(L) - 1;
  const char *words[64];
  size_t sizes[64];
  luaL_argcheck(L, n >= 1 && n <= 64, 2, "1 to 64 words expected");
  for (int i = 0; i < n; i++) words[i] = luaL_checklstring(L, i + 2, &sizes[i]);
  if (redisAppendCommandArgv(c->redis, n, words, sizes) != REDIS_OK)
    return fail(L, c->redis->errstr);
  return 0;
}

/* The wait is over: it was in vain if `outcome` is not 0. Should the task be
   stopped meanwhile, what is returned is dropped. */
static int finish_flush(lua_State *L, int outcome, void *ud) {
  connection *c = ud;
  int done = 0;
  c->busy = false;
  if (outcome != 0) return fail(L, casting_word(outcome));
  if (redisBufferWrite(c->redis, &done) != REDIS_OK)
    return fail(L, c->redis->errstr);
  lua_pushboolean(L, done);
  return 1;
}

/* The connection is an argument, and so stays where the collector finds it. */
static int con_flush(lua_State *L) {
  connection *c = check(L);
  double seconds = luaL_optnumber(L, 2, CASTING_FOREVER);
  c->busy = true;
  return casting_wait_fd(
    L, c->redis->fd, CASTING_WRITABLE, seconds, finish_flush, c);
}

/* -- receiving ------------------------------------------------------------ */

static void push_reply(lua_State *L, const redisReply *r) {
  luaL_checkstack(L, 4, "a reply is nested too deep");
  switch (r->type) {
  case REDIS_REPLY_STRING:
  case REDIS_REPLY_STATUS: lua_pushlstring(L, r->str, r->len); break;
  case REDIS_REPLY_INTEGER: lua_pushinteger(L, (lua_Integer)r->integer); break;
  case REDIS_REPLY_ARRAY:
    lua_createtable(L, (int)r->elements, 0);
    for (size_t i = 0; i < r->elements; i++) {
      push_reply(L, r->element[i]);
      lua_rawseti(L, -2, (int)i + 1);
    }
    break;
  case REDIS_REPLY_ERROR:
    lua_createtable(L, 0, 1);
    lua_pushlstring(L, r->str, r->len);
    lua_setfield(L, -2, "err");
    break;
  default: lua_pushnil(L);
  }
}

static int push_protected(lua_State *L) {
  push_reply(L, lua_touserdata(L, 1));
  return 1;
}

/* What hiredis has read: true and the reply; false if there is none yet. The
   reply is freed also if Lua has no memory for it. */
static int take(lua_State *L, connection *c) {
  void *reply = NULL;
  int rc;
  lua_pushboolean(L, 1);
  lua_pushcfunction(L, push_protected);
  if (redisGetReplyFromReader(c->redis, &reply) != REDIS_OK)
    return fail(L, c->redis->errstr);
  if (reply == NULL) return lua_pushboolean(L, 0), 1;
  lua_pushlightuserdata(L, reply);
  rc = lua_pcall(L, 1, 1, 0);
  freeReplyObject(reply);
  return rc == 0 ? 2 : lua_error(L);
}

static int finish_reply(lua_State *L, int outcome, void *ud) {
  connection *c = ud;
  c->busy = false;
  if (outcome != 0) return fail(L, casting_word(outcome));
  if (redisBufferRead(c->redis) != REDIS_OK) return fail(L, c->redis->errstr);
  return take(L, c);
}

static int con_reply(lua_State *L) {
  connection *c = check(L);
  double seconds = luaL_optnumber(L, 2, CASTING_FOREVER);
  int n = take(L, c); /* of a read that has brought several */
  if (n != 1) return n;
  lua_settop(L, 2);
  c->busy = true;
  return casting_wait_fd(
    L, c->redis->fd, CASTING_READABLE, seconds, finish_reply, c);
}

/* -- the module ----------------------------------------------------------- */

static void set_functions(lua_State *L, const luaL_Reg *f) {
  for (; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
}

CASTING_API int luaopen_redismod(lua_State *L);
CASTING_API int luaopen_redismod(lua_State *L) {
  static const luaL_Reg methods[] = {{"append", con_append},
    {"flush", con_flush}, {"reply", con_reply}, {"close", con_close},
    {"__gc", con_close}, {NULL, NULL}};
  luaL_newmetatable(L, CLASS);
  set_functions(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_newtable(L);
  lua_pushcfunction(L, mod_connect);
  lua_setfield(L, -2, "connect");
  return 1;
}
