/* seal.c - finds out where a coroutine says that it is suspended.
   SPDX-License-Identifier: MIT

   Lua looks at two things before it resumes a coroutine. Its status, a byte,
   says whether it has yielded. If it has not, a coroutine with a function on
   its stack is one that runs, and is refused. A coroutine that has yielded has
   such a function. So if its status is that of a coroutine that runs, all of
   the interpreter takes it for one: coroutine.status says "normal". LuaJIT
   looks at the status and at the address of the coroutine's latest C frame,
   which is NULL while it is suspended. Another status would be "dead" there, so
   this address is set: to a frame of zeros, which code that shows a stack
   reads, and stops at.

   Neither place is in a header. In a state that is made for it, coroutines
   begin, yield, end and fail, and what lies near the beginning of their
   lua_State is compared. What was found is then tried: whether lua_status
   follows it, a sealed coroutine is refused, and an unsealed one goes on. If
   anything is other than expected, nothing is ever sealed.

   A third place says whether hooks may be called (cast_hooks_allow). It is
   found in a coroutine that has a hook, and is not needed for the other two.

   Rejected: to replace the functions of the coroutine library, of which the
   program may have taken a copy, and which C does not call. Also rejected: to
   let the task wait again when something else has resumed it; the resumer would
   see success, and before 5.2 nothing of ours runs then, but the function that
   has waited returns. */
#include "seal.h"

#include "../../base.h"
#include "../../once.h"
#include "../../os/os.h"
#include "compat.h"
#include "stock.h"

#define NEAR 24 /* the status is one of the first bytes of a lua_State */

cast_seal_layout cast_seal_at;

#if CAST_LUAJIT
static const uint64_t zeros[128];
const void *const cast_seal_frame = &zeros[64];
#endif

/* -- watching ------------------------------------------------------------- */

static int yield(lua_State *L) { return lua_yield(L, 0); }

static int fail(lua_State *L) {
  lua_pushnil(L);
  return lua_error(L);
}

/* Pushes a new coroutine that is to call f, and resumes it. It does so from
   Lua: a coroutine of C alone does not survive its yield in 5.1. */
static lua_State *begin(lua_State *L, lua_CFunction f, int *status) {
  static const char text[] = "local f = ... f()";
  lua_State *co = lua_newthread(L);
  int nres;
  if (cast_lua_load(co, text, sizeof text - 1, "=casting", "t") != LUA_OK)
    lua_error(L);
  lua_pushcfunction(co, f);
  *status = cast_lua_resume(co, 1, &nres);
  return co;
}

/* Resumes a coroutine once more. */
static int go_on(lua_State *co) {
  int nres;
  return cast_lua_resume(co, 0, &nres);
}

/* Finds the byte that is what lua_status returns: 1 in a suspended coroutine, 2
   in one that has failed, and 0 else. */
static bool find_status(lua_State *L, cast_seal_layout *at) {
  unsigned char fresh[NEAR], suspended[NEAR], ended[NEAR], failed[NEAR];
  int status, n = 0;
  memcpy(fresh, (const void *)lua_newthread(L), NEAR);
  lua_State *co = begin(L, yield, &status);
  memcpy(suspended, (const void *)co, NEAR);
  if (status != LUA_YIELD || go_on(co) != LUA_OK) return false;
  memcpy(ended, (const void *)co, NEAR);
  co = begin(L, fail, &status);
  memcpy(failed, (const void *)co, NEAR);
  os_defined(fresh, NEAR); /* between its members there may be anything */
  os_defined(suspended, NEAR);
  os_defined(ended, NEAR);
  os_defined(failed, NEAR);
  if (status != LUA_ERRRUN) return false;
  for (uint32_t i = 1; i < NEAR; i++) {
    if (fresh[i] != LUA_OK || suspended[i] != LUA_YIELD || ended[i] != LUA_OK ||
        failed[i] != LUA_ERRRUN)
      continue;
    at->status = i;
    n++;
  }
  return n == 1;
}

#if CAST_LUAJIT || UINTPTR_MAX <= UINT32_MAX
static void find_allow(lua_State *L, cast_seal_layout *at) {
  CAST_UNUSED(L);
  CAST_UNUSED(at);
}
#else
/* Bytes of a lua_State in which the place is looked for; none has fewer. */
#define WIDE (CAST_LUA >= 504 ? NEAR : CAST_LUA == 501 ? 184 : 208)

static const char copy_key = 0; /* in the registry: where watch copies to */

/* A hook: copies the lua_State as it is in a hook. */
static void watch(lua_State *L, lua_Debug *ar) {
  CAST_UNUSED(ar);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &copy_key);
  memcpy(lua_touserdata(L, -1), (const void *)L, WIDE);
  lua_pop(L, 1);
}

/* Up to 5.3 the mask of hooks stands before it, a byte or an int: other bytes
   change in the same way. */
static bool is_behind_mask(const unsigned char *in, uint32_t i) {
  return CAST_LUA >= 504 || in[i - 1] == LUA_MASKCOUNT ||
         (i >= 4 && in[i - 4] == LUA_MASKCOUNT);
}

/* Finds the byte that is 1, but 0 in a hook, unless it is not alone. */
static void find_allow(lua_State *L, cast_seal_layout *at) {
  static const char text[] = "local x = 1 x = x + 1";
  unsigned char before[WIDE], in[WIDE], after[WIDE];
  lua_State *co = lua_newthread(L);
  int nres, n = 0;
  memset(in, 1, sizeof in);
  memcpy(before, (const void *)co, WIDE);
  lua_pushlightuserdata(L, in);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &copy_key);
  if (cast_lua_load(co, text, sizeof text - 1, "=casting", "t") != LUA_OK)
    lua_error(L);
  lua_sethook(co, watch, LUA_MASKCOUNT, 1);
  if (cast_lua_resume(co, 0, &nres) != LUA_OK) return;
  memcpy(after, (const void *)co, WIDE);
  os_defined(before, WIDE);
  os_defined(in, WIDE);
  os_defined(after, WIDE);
  for (uint32_t i = 1; i < WIDE; i++) {
    if (before[i] != 1 || in[i] != 0 || after[i] != 1 || !is_behind_mask(in, i))
      continue;
    at->allow = i;
    n++;
  }
  if (n != 1) at->allow = 0;
}
#endif

#if CAST_LUAJIT
#define FRAMES 96   /* bytes of the smallest lua_State, nearly */
#define CLOSE 16384 /* between two frames of C functions that call each other */

/* Looks for the address of its own C frame in its lua_State: an address above
   this function's, and near it. */
static int look(lua_State *L) {
  cast_seal_layout *at = lua_touserdata(L, lua_upvalueindex(1));
  uintptr_t here = (uintptr_t)__builtin_frame_address(0), word;
  for (uint32_t i = 8; at->frame == 0 && i < FRAMES; i += sizeof word) {
    memcpy(&word, (const unsigned char *)L + i, sizeof word);
    if (word > here && word - here < CLOSE) at->frame = i;
  }
  return 0;
}

/* That address must be NULL again when the coroutine does not run. */
static bool find_frame(lua_State *L, cast_seal_layout *at) {
  lua_State *co = lua_newthread(L);
  const void *frame = at;
  lua_pushlightuserdata(co, at);
  lua_pushcclosure(co, look, 1);
  if (go_on(co) != LUA_OK || at->frame == 0) return false;
  memcpy(&frame, (const unsigned char *)co + at->frame, sizeof frame);
  return frame == NULL;
}
#else
static bool find_frame(lua_State *L, cast_seal_layout *at) {
  CAST_UNUSED(L);
  CAST_UNUSED(at);
  return true;
}
#endif

/* -- trying --------------------------------------------------------------- */

/* Does sealing with that layout do what it is for? */
static bool is_right(lua_State *L, const cast_seal_layout *at) {
  int status;
  lua_State *co = begin(L, yield, &status);
  if (status != LUA_YIELD || lua_status(co) != LUA_YIELD) return false;
  cast_seal_as(at, co);
  if (!CAST_LUAJIT && lua_status(co) != LUA_OK) return false;
  status = go_on(co);
  if (status == LUA_OK || status == LUA_YIELD) return false;
  cast_unseal_as(at, co);
  return lua_status(co) == LUA_YIELD && go_on(co) == LUA_OK &&
         lua_status(co) == LUA_OK;
}

typedef struct lesson {
  bool done;           /* it was found out, whatever the result */
  cast_seal_layout at; /* zeros: nothing can be sealed */
} lesson;

static int learn(lua_State *L) {
  lesson *l = lua_touserdata(L, 1);
  cast_seal_layout at = {0};
  l->done = true;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (find_status(L, &at) && find_frame(L, &at) && is_right(L, &at)) l->at = at;
  find_allow(L, &l->at);
  return 0;
}

void cast_seal_learn(void) {
  static cast_once once;
  lesson l = {.done = false};
  if (cast_once_is_known(&once)) return;
  /* Without memory for it, the next state that is made tries again. */
  if (cast_stock_run(learn, &l) && l.done)
    cast_once_tell(&once, &cast_seal_at, &l.at, sizeof l.at);
}
