/* recorder.c - LuaJIT: may a hook be set now, whatever is interrupted?
   SPDX-License-Identifier: MIT

   The recorder's state is a number in the block with which a Lua universe
   begins: 0 while nothing is recorded, and between 16 and 31 else. It is in no
   header. So a state is made whose first block is known, since it comes from an
   allocator of ours; two loops are compiled there; and LuaJIT tells when it
   begins to record them, and when it has compiled them (its event "trace"). The
   number is the only one in that block that has been right each time. If there
   is none, or there are more, it is not known, and no hook is set in a session
   where something may be compiled. */
#include "recorder.h"

#if CAST_LUAJIT
#include "../../mem.h"
#include "../../once.h"

#include <luajit.h>

/* No first block has so many words of 32 bits (2022: less than 2000). */
#define WORDS 8192u

cast_recorder_layout cast_recorder_at;

typedef struct lesson {
  const unsigned char *at; /* the first block of the state */
  size_t size;             /* its bytes; 0: there is none yet */
  bool excluded[WORDS];    /* the word was not right once */
  int nstarts, nstops;     /* events of the recorder so far */
  cast_recorder_layout found;
} lesson;

static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize) {
  lesson *l = ud;
  void *given = cast_mem_lua(NULL, ptr, osize, nsize);
  if (l->size == 0 && given != NULL) {
    l->at = given;
    l->size = nsize;
  }
  return given;
}

/* Excludes all words that are not in that range now. */
static void narrow(lesson *l, uint32_t least, uint32_t most) {
  uint32_t word;
  for (uint32_t i = 0; i < WORDS && (i + 1) * sizeof word <= l->size; i++) {
    memcpy(&word, l->at + i * sizeof word, sizeof word);
    if (word < least || word > most) l->excluded[i] = true;
  }
}

/* The handler of the event "trace". */
static int on_trace(lua_State *L) {
  lesson *l = lua_touserdata(L, lua_upvalueindex(1));
  const char *what = lua_tostring(L, 1);
  bool starts = what != NULL && strcmp(what, "start") == 0;
  bool stops = what != NULL && strcmp(what, "stop") == 0;
  if (starts) l->nstarts++;
  if (stops) l->nstops++;
  if (starts || stops) narrow(l, 0x10, 0x1f);
  return 0;
}

/* Compiles a loop. */
static void run_loop(lua_State *L) {
  static const char text[] = "local n = 0 for i = 1, 200 do n = n + i end";
  if (cast_lua_load(L, text, sizeof text - 1, "=casting", "t") != LUA_OK)
    lua_error(L);
  lua_call(L, 0, 0);
}

static int learn(lua_State *L) {
  lesson *l = lua_touserdata(L, 1);
  uint32_t n = 0, at = 0, words = (uint32_t)(l->size / sizeof(uint32_t));
  lua_settop(L, 0);
  lua_pushcfunction(L, luaopen_jit);
  lua_pushliteral(L, LUA_JITLIBNAME);
  lua_call(L, 1, 0);
  l->found.none =
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON) != 1;
  if (l->found.none || (const void *)l->at != (const void *)L) return 0;
  lua_getfield(L, LUA_GLOBALSINDEX, LUA_JITLIBNAME);
  lua_getfield(L, -1, "attach");
  lua_pushlightuserdata(L, l);
  lua_pushcclosure(L, on_trace, 1);
  lua_pushliteral(L, "trace");
  narrow(l, 0, 0);
  lua_call(L, 2, 0);
  run_loop(L);
  narrow(l, 0, 0);
  run_loop(L);
  narrow(l, 0, 0);
  if (l->nstarts < 2 || l->nstops < 2 || words > WORDS) return 0;
  for (uint32_t i = 0; i < words; i++) {
    if (l->excluded[i]) continue;
    at = i;
    n++;
  }
  if (n == 1) l->found.state = at * (uint32_t)sizeof(uint32_t);
  return 0;
}

/* *l->found: what was found out. False: there was no memory to find out. */
static bool find_out(lesson *l) {
  int status = LUA_OK;
  lua_State *L;
  cast_mem_spare(true); /* the recorder crashes if memory fails */
  L = lua_newstate(allocate, l);
  if (L != NULL) {
    status = cast_lua_cpcall(L, learn, l);
    lua_close(L);
  }
  cast_mem_spare(false);
  return status != LUA_ERRMEM;
}

void cast_recorder_learn(void) {
  static cast_once once;
  lesson l = {.size = 0};
  if (cast_once_is_known(&once)) return;
  /* Without memory for it, the next state that is made tries again. */
  if (find_out(&l))
    cast_once_tell(&once, &cast_recorder_at, &l.found, sizeof l.found);
}
#endif
