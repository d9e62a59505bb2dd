/* mathlib.c - random numbers of a session's own.
   SPDX-License-Identifier: MIT

   Up to 5.3 math.random draws from the C library's generator, which the whole
   process shares: a number that one session draws is missing in the sequence of
   another, and math.randomseed in one session restarts them all. On these
   versions a session has a generator of its own. For the same seed it gives the
   same numbers as the GNU C library's: each is the sum of the third and the
   31st number before it. math.random then makes of such a number, in each
   version, what the interpreter's own function makes of it.

   LuaJIT and later versions have a generator in each Lua state. The first seed
   of LuaJIT's is a constant; since 5.4 it is made of an address and the time in
   seconds, which are often equal in two sessions that are made one after the
   other. So a session seeds it anew.

   The generator belongs to the session's owner. */
#include "../../base.h"
#include "../../mem.h"
#include "../../os/os.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/replace.h"
#include "../state/state.h"
#include "library.h"

#if CAST_LUA < 504 && !CAST_LUAJIT

#include <math.h>

#define WORDS 31
#define RANDOM_MAX 2147483647

typedef struct cast_random {
  uint32_t words[WORDS]; /* the latest numbers, before they are shifted */
  uint32_t next;         /* where the oldest of them lies, to be replaced */
} cast_random;

/* Returns the next number, of 31 bits. */
static uint32_t draw(cast_random *r) {
  uint32_t at = r->next;
  uint32_t word = r->words[at] + r->words[(at + WORDS - 3) % WORDS];
  r->words[at] = word;
  r->next = (at + 1) % WORDS;
  return word >> 1;
}

/* Each of the first words is the one before times 16807, modulo the prime
   2^31 - 1. The first 310 numbers that follow are dropped, as they still show
   that pattern. */
static void seed(cast_random *r, uint32_t from) {
  int64_t word = (int32_t)(from != 0 ? from : 1);
  for (uint32_t i = 0; i < WORDS; i++) {
    r->words[i] = (uint32_t)word;
    word = word * 16807 % RANDOM_MAX;
    if (word < 0) word += RANDOM_MAX;
  }
  r->next = 3;
  for (uint32_t i = 0; i < 10 * WORDS; i++) (void)draw(r);
}

/* The session's generator, which is made on its first use. Raises. */
static cast_random *generator(lua_State *L) {
  cast_state *S = cast_state_boxed(L);
  if (CAST_LIKELY(S->random != NULL)) return S->random;
  S->random = cast_alloc(sizeof *S->random);
  if (S->random == NULL) cast_raise_memory(L);
  seed(S->random, (uint32_t)os_entropy());
  return S->random;
}

#if CAST_LUA == 503

/* As math.random of 5.3: [0, 1), or an integer from an interval. */
static int math_random(lua_State *L) {
  double r = draw(generator(L)) * (1.0 / (RANDOM_MAX + 1.0));
  lua_Integer low = 1, up;
  switch (lua_gettop(L)) {
  case 0: lua_pushnumber(L, (lua_Number)r); return 1;
  case 1: up = luaL_checkinteger(L, 1); break;
  case 2:
    low = luaL_checkinteger(L, 1);
    up = luaL_checkinteger(L, 2);
    break;
  default: return luaL_error(L, "wrong number of arguments");
  }
  luaL_argcheck(L, low <= up, 1, "interval is empty");
  luaL_argcheck(
    L, low >= 0 || up <= LUA_MAXINTEGER + low, 1, "interval too large");
  r *= (double)(up - low) + 1.0;
  lua_pushinteger(L, (lua_Integer)r + low);
  return 1;
}

/* The seed: the low bits of the number's integer part; of one that fits no
   integer, 0. */
static uint32_t check_seed(lua_State *L) {
  lua_Number n = luaL_checknumber(L, 1);
  return n >= -9e18 && n <= 9e18 ? (uint32_t)(int64_t)n : 0;
}

#else

#if CAST_LUA == 502
typedef lua_Number limit;
#define check_limit luaL_checknumber
#define check_seed(L) ((uint32_t)luaL_checkunsigned(L, 1))
#define count_between(l, u) ((u) - (l) + 1)
#else
typedef int limit;
#define check_limit luaL_checkint
#define check_seed(L) ((uint32_t)luaL_checkint(L, 1))
/* Overflows as the interpreter's does. */
#define count_between(l, u) ((int)((unsigned)(u) - (unsigned)(l) + 1u))
#endif

/* As math.random of 5.1 and 5.2, but for where the number comes from. */
static int math_random(lua_State *L) {
  lua_Number r = (lua_Number)(draw(generator(L)) % RANDOM_MAX) / RANDOM_MAX;
  limit low, up;
  switch (lua_gettop(L)) {
  case 0: lua_pushnumber(L, r); return 1;
  case 1:
    up = check_limit(L, 1);
    luaL_argcheck(L, 1 <= up, 1, "interval is empty");
    lua_pushnumber(L, floor(r * up) + 1);
    return 1;
  case 2:
    low = check_limit(L, 1);
    up = check_limit(L, 2);
    luaL_argcheck(L, low <= up, 2, "interval is empty");
    lua_pushnumber(L, floor(r * count_between(low, up)) + low);
    return 1;
  default: return luaL_error(L, "wrong number of arguments");
  }
}

#endif

static int math_randomseed(lua_State *L) {
  uint32_t from = check_seed(L);
  cast_random *r = generator(L);
  seed(r, from);
  /* The first number looks much like the seed: from 5.2 on the interpreter
     drops it, too. */
  if (CAST_LUA >= 502) (void)draw(r);
  return 0;
}

void cast_open_math(lua_State *L) {
  static const luaL_Reg replaced[] = {
    {"random", math_random},
    {"randomseed", math_randomseed},
    {NULL, NULL},
  };
  cast_libs_replace(L, "math", replaced);
}

#else

/* Seeds the state's own generator, through the function that does it. */
void cast_open_math(lua_State *L) {
  uint64_t bits = os_entropy();
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "math");
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "randomseed");
#if CAST_LUAJIT
    lua_pushnumber(L, (lua_Number)(bits >> 11)); /* 53 bits: exact */
#else
    lua_pushinteger(L, (lua_Integer)bits);
#endif
    lua_call(L, 1, 0);
  }
  lua_pop(L, 2);
}

#endif
