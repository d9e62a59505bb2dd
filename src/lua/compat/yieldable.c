/* yieldable.c - can a coroutine yield where it is now?
   SPDX-License-Identifier: MIT

   A task that cannot yield blocks in place (park.c). From 5.3 on, and in
   LuaJIT, Lua tells whether it can. */
#include "yieldable.h"

#include "../../base.h"
#include "../../os/os.h"
#include "compat.h"

#if CAST_LUA >= 503 || CAST_LUAJIT
bool cast_is_yieldable(lua_State *L) { return lua_isyieldable(L) != 0; }
void cast_probe(lua_State *L) { CAST_UNUSED(L); }
#else
/* 5.1 and 5.2 know it but do not tell. The answer is a 16-bit counter in
   lua_State: nCcalls (a coroutine can yield while it equals the next one,
   baseCcalls) in 5.1, nny (it can yield while that is 0) in 5.2. The probe
   finds its place by watching which counter follows the depth of C calls. If
   none does, or more than one, no coroutine is taken to be able to yield, and
   tasks block in place, which is always right.
   Owner: the process; the first host writes it. */
#define PROBE_SPAN (20 * sizeof(void *)) /* all within lua_State */
#define PROBE_DEPTH 4
static struct {
  uint16_t at[PROBE_DEPTH][PROBE_SPAN / 2];
  int depth;
  size_t found; /* index of the counter + 1; 0: unknown */
} probe;

static int probe_step(lua_State *L) {
  memcpy(probe.at[probe.depth], (const void *)L, PROBE_SPAN);
  os_defined(probe.at[probe.depth], PROBE_SPAN); /* there may be anything */
  if (++probe.depth == PROBE_DEPTH) return 0;
  lua_pushcfunction(L, probe_step);
  lua_call(L, 0, 0);
  return 0;
}

static bool probe_matches(size_t i) {
  for (int d = 0; d < PROBE_DEPTH; d++) {
#if CAST_LUA == 501
    if (probe.at[d][i] != probe.at[0][i] + d) return false;
    if (probe.at[d][i + 1] != probe.at[0][i]) return false;
#else
    if (probe.at[d][i] != d) return false;
#endif
  }
  return CAST_LUA != 501 || probe.at[0][i] > 0;
}

void cast_probe(lua_State *L) {
  lua_State *co;
  int nres, matches = 0;
  if (probe.depth != 0) return;
  co = lua_newthread(L);
  lua_pushcfunction(co, probe_step);
  if (cast_lua_resume(co, 0, &nres) == LUA_OK)
    for (size_t i = 0; i + 1 < PROBE_SPAN / 2; i++)
      if (probe_matches(i)) {
        probe.found = i + 1;
        matches++;
      }
  if (matches != 1) probe.found = 0;
  lua_pop(L, 1);
}

bool cast_is_yieldable(lua_State *L) {
  uint16_t now[2];
  if (probe.found == 0) return false;
  memcpy(now, (const char *)L + (probe.found - 1) * 2, sizeof now);
#if CAST_LUA == 501
  return now[0] == now[1];
#else
  return now[0] == 0;
#endif
}
#endif
