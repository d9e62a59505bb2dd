/* probe.c - what a lua_State knows and does not tell.
   SPDX-License-Identifier: MIT

   None of this is in a header. In a state that is made for it is watched which
   fields change as they should; where none does, or more than one, nothing is
   known.

   Where can one yield? 5.1 and 5.2 have a 16-bit counter: nCcalls (yieldable
   while it equals the next one, baseCcalls) in 5.1, nny (yieldable while 0) in
   5.2. It follows the depth of C calls. If it is not known, tasks block in
   place, which is always right.

   In 5.2, and the first of 5.3, the counter after nny is nCcalls, the depth of
   calls in C. lua_resume sets it before it refuses a coroutine that runs, so
   whoever tried that with a task that waits in place would have it fail later,
   with a "C stack overflow": see nest.c.

   Is there a finalizer under way? A byte, allowhook, is 0 then on the coroutine
   that the collector ran in, as it is in hooks. (LuaJIT has it for all
   coroutines, and not there.) */
#include "probe.h"

#include "../once.h"
#include "stock.h"

/* -- counters ------------------------------------------------------------- */

/* Bytes of a lua_State that are looked at: up to allowhook. */
#if CAST_LUA == 503
#define SPAN (sizeof(void *) == 8 ? 208u : 116u)
#else
#define SPAN (20 * sizeof(void *))
#endif
#define SPAN_MAX 208
#define DEPTH 4
#define TRIES 2

cast_probe_layout cast_probe_at;

#if !CAST_LUAJIT
typedef struct lesson {
  uint16_t deep[DEPTH][SPAN_MAX / 2];
  int depth;
  unsigned char hooked[TRIES][SPAN_MAX], called[TRIES][SPAN_MAX];
  int tries;
  bool done;
  cast_probe_layout at;
} lesson;

static lesson *the_lesson(lua_State *L) {
  lesson *l;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &cast_probe_at);
  l = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return l;
}

#if CAST_LUA <= 503
static int step(lua_State *L) {
  lesson *l = the_lesson(L);
  memcpy(l->deep[l->depth], (const void *)L, SPAN);
  if (++l->depth == DEPTH) return 0;
  lua_pushcfunction(L, step);
  lua_call(L, 0, 0);
  return 0;
}

static bool follows(const lesson *l, size_t i) {
  for (int d = 0; d < DEPTH; d++)
    if (l->deep[d][i] != l->deep[0][i] + d) return false;
  return true;
}

static bool matches(const lesson *l, size_t i) {
  if (!follows(l, i)) return false;
#if CAST_LUA == 501
  for (int d = 0; d < DEPTH; d++)
    if (l->deep[d][i + 1] != l->deep[0][i]) return false;
  return l->deep[0][i] > 0;
#else
  return l->deep[0][i] == 0;
#endif
}

static void find_counters(lua_State *L, lesson *l) {
  lua_State *co = lua_newthread(L);
  uint32_t found = 0;
  int nres, n = 0;
  lua_pushcfunction(co, step);
  if (cast_lua_resume(co, 0, &nres) != LUA_OK) return;
  for (uint32_t i = 1; i + 1 < SPAN / 2; i++)
    if (matches(l, i)) {
      found = i;
      n++;
    }
  if (n != 1) return;
  l->at.yield = found * 2;
  if (CAST_LUA >= 502 && follows(l, found + 1)) l->at.calls = found * 2 + 2;
}
#else
static void find_counters(lua_State *L, lesson *l) {
  CAST_UNUSED(L);
  CAST_UNUSED(l);
}
#endif

/* -- hooks ---------------------------------------------------------------- */

static void in_hook(lua_State *L, lua_Debug *ar) {
  lesson *l = the_lesson(L);
  CAST_UNUSED(ar);
  memcpy(l->hooked[l->tries], (const void *)L, SPAN);
  lua_sethook(L, NULL, 0, 0);
}

static int in_call(lua_State *L) {
  lesson *l = the_lesson(L);
  memcpy(l->called[l->tries], (const void *)L, SPAN);
  return 0;
}

static bool try_hook(lua_State *L, lesson *l, const char *text) {
  lua_State *co = lua_newthread(L);
  int nres;
  if (cast_lua_load(co, text, strlen(text), "=casting", "t") != LUA_OK)
    return false;
  lua_pushcfunction(co, in_call);
  lua_sethook(co, in_hook, LUA_MASKCOUNT, 1);
  if (cast_lua_resume(co, 1, &nres) != LUA_OK) return false;
  l->tries++;
  return true;
}

static void find_hooks(lua_State *L, lesson *l) {
  uint32_t found = 0;
  int n = 0;
  if (!try_hook(L, l, "local f = ... f()") ||
      !try_hook(L, l, "local f = ... local function g() f() end g() g()"))
    return;
  for (uint32_t i = sizeof(void *); i < SPAN; i++) {
    bool is = true;
    for (int k = 0; is && k < TRIES; k++)
      is = l->hooked[k][i] == 0 && l->called[k][i] == 1;
    if (is) {
      found = i;
      n++;
    }
  }
  if (n == 1) l->at.hooks = found;
}

static int learn(lua_State *L) {
  lesson *l = lua_touserdata(L, 1);
  l->done = true;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pushlightuserdata(L, l);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &cast_probe_at);
  find_counters(L, l);
  find_hooks(L, l);
  return 0;
}

void cast_probe(void) {
  static cast_once once;
  lesson l = {.done = false};
  if (cast_once_known(&once)) return;
  /* Without memory for that it is tried again by the next state. */
  if (cast_stock_state(learn, &l) && l.done)
    cast_once_tell(&once, &cast_probe_at, &l.at, sizeof l.at);
}
#else
void cast_probe(void) {}
#endif

/* -- the depth of calls --------------------------------------------------- */

#if CAST_LUA == 502 || CAST_LUA == 503
uint16_t cast_calls_get(lua_State *L) {
  uint16_t calls = 0;
  if (cast_probe_at.calls != 0)
    memcpy(&calls, (const char *)L + cast_probe_at.calls, sizeof calls);
  return calls;
}

void cast_calls_set(lua_State *L, uint16_t calls) {
  if (cast_probe_at.calls != 0)
    memcpy((char *)L + cast_probe_at.calls, &calls, sizeof calls);
}
#endif
