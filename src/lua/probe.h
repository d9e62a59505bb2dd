/* probe.h - what a lua_State knows and does not tell.
   SPDX-License-Identifier: MIT */
#ifndef CAST_PROBE_H
#define CAST_PROBE_H

#include "../base.h"
#include "compat.h"

/* Where it is in a lua_State; 0: not known. */
typedef struct cast_probe_layout {
  uint32_t yield; /* what says whether one can yield (5.1, 5.2) */
  uint32_t calls; /* nCcalls (5.2, 5.3) */
  uint32_t hooks; /* allowhook (not LuaJIT) */
} cast_probe_layout;
extern cast_probe_layout cast_probe_at;

/* Finds it out, if nobody has yet: before the others are called. */
void cast_probe(void);
/* Can L yield to whoever resumed it? */
static inline bool cast_yieldable(lua_State *L) {
#if CAST_LUA >= 503 || CAST_LUAJIT
  return lua_isyieldable(L) != 0;
#else
  uint32_t at = cast_probe_at.yield;
  uint16_t now[2];
  if (at == 0) return false;
  memcpy(now, (const char *)L + at, sizeof now);
  return CAST_LUA == 501 ? now[0] == now[1] : now[0] == 0;
#endif
}

#if !CAST_LUAJIT
/* Are hooks called in L? Not in hooks, nor in finalizers that were called from
   there. True if it is not known. */
static inline bool cast_has_hooks(const lua_State *L) {
  uint32_t at = cast_probe_at.hooks;
  return at == 0 || ((const unsigned char *)L)[at] != 0;
}
#endif
#if CAST_LUA == 502 || CAST_LUA == 503
/* The depth of calls in C; 0: not known. */
uint16_t cast_calls_get(lua_State *L);
void cast_calls_set(lua_State *L, uint16_t calls);
#endif

#endif
