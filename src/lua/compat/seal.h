/* seal.h - coroutines that only the scheduler goes on with.
   SPDX-License-Identifier: MIT

   The coroutine of a task that waits, or waits for its turn, is suspended for
   Lua, and code that has it as a value could resume it, in the middle of its
   wait. So it is sealed: Lua takes it for one that runs, and refuses to resume
   or to close it, for everybody (coroutine.resume of any state, lua_resume of
   C). */
#ifndef CAST_SEAL_H
#define CAST_SEAL_H

#include "../../base.h"
#include "compat.h"

/* Where in a lua_State it says that it is suspended; 0: not known. */
typedef struct cast_seal_layout {
  uint32_t status; /* the byte that lua_status tells */
  uint32_t allow;  /* the byte that is 0 while no hook may be called */
#if CAST_LUAJIT
  uint32_t frame; /* the address of its latest C frame */
#endif
} cast_seal_layout;
extern cast_seal_layout cast_seal_at;

/* Finds it out, if nobody has yet: before the others are called. */
void cast_seal_learn(void);

#if CAST_LUAJIT
extern const void *const cast_seal_frame;
#endif

static inline void cast_seal_as(const cast_seal_layout *at, lua_State *co) {
#if CAST_LUAJIT
  if (CAST_LIKELY(at->frame != 0))
    memcpy((unsigned char *)co + at->frame, &cast_seal_frame,
      sizeof cast_seal_frame);
#else
  if (CAST_LIKELY(at->status != 0)) ((unsigned char *)co)[at->status] = LUA_OK;
#endif
}

/* (The status is set on LuaJIT, too: an error that was caught in the coroutine,
   as in cast_lua_reserve, has changed it.) */
static inline void cast_unseal_as(const cast_seal_layout *at, lua_State *co) {
#if CAST_LUAJIT
  const void *none = NULL;
  if (CAST_LIKELY(at->frame != 0))
    memcpy((unsigned char *)co + at->frame, &none, sizeof none);
#endif
  if (CAST_LIKELY(at->status != 0))
    ((unsigned char *)co)[at->status] = LUA_YIELD;
}

/* Seals a coroutine that has yielded. */
static inline void cast_seal(lua_State *co) { cast_seal_as(&cast_seal_at, co); }

/* Makes a coroutine that has yielded one that has failed, with the error on its
   top: nobody goes on with it, and its __close handlers get that error. */
static inline void cast_seal_fail(lua_State *co) {
  if (CAST_LIKELY(cast_seal_at.status != 0))
    ((unsigned char *)co)[cast_seal_at.status] = LUA_ERRRUN;
}

/* In a hook that raises an error: hooks may be called again. Lua allows them
   only when a protected call has caught the error. So neither an error handler
   that is called for it could be stopped, nor the __close handlers of a
   coroutine that it ends. (LuaJIT has no such byte in a coroutine.) */
static inline void cast_hooks_allow(lua_State *L) {
  if (CAST_LIKELY(cast_seal_at.allow != 0))
    ((unsigned char *)L)[cast_seal_at.allow] = 1;
}

/* Before a sealed coroutine is resumed. */
static inline void cast_unseal(lua_State *co) {
  cast_unseal_as(&cast_seal_at, co);
}

#endif
