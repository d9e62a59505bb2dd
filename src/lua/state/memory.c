/* memory.c - a session's own Lua state, in the session's memory; its end.
   SPDX-License-Identifier: MIT

   The allocator is that of the session's slabs (slab.h), which counts and
   limits what the state uses. Where an older version does something with memory
   that a session could not bear, this file makes up for it.
   Owner: the session's; the allocator runs in the same thread. */
#include "memory.h"

#include "../../account.h"
#include "../../base.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../os/os.h"
#include "../../slab.h"
#include "../compat/compat.h"
#include "../compat/finalizer.h"
#include "../compat/recorder.h"
#include "cleanup.h"
#include "interrupt.h"
#include "protect.h"
#include "state.h"

/* -- grants --------------------------------------------------------------- */

/* Relaxed: the owner alone writes it, and others read it as a figure. */
static void set_granted(cast_state *S, size_t size) {
  atomic_store_explicit(&S->memory.granted, size, memory_order_relaxed);
}

static size_t grant_step(const cast_state *S) {
  size_t step = S->memory.max / CAST_GRANT_STEPS;
  return step < CAST_GRANT_STEP ? step + 1 : CAST_GRANT_STEP;
}

/* Takes so much more from the account that there may be `wanted` bytes: steps,
   or just that if less is left. */
static void grant_more(cast_state *S, size_t wanted) {
  cast_account *a = S->session.account;
  size_t least = wanted - cast_memory_granted(S), more = least,
         step = grant_step(S);
  if (least <= SIZE_MAX - step) more = (least + step - 1) / step * step;
  if (!cast_account_take(a, CAST_BYTES, more)) {
    more = least;
    if (!cast_account_take(a, CAST_BYTES, more)) return;
  }
  set_granted(S, cast_memory_granted(S) + more);
}

/* slabs.regrant. What slabs.max is more than the grant is room that the state
   has for a while without being charged for it. */
static void regrant(cast_slabs *s, size_t wanted) {
  cast_state *S = CAST_CONTAINER(s, cast_state, memory.slabs);
  size_t step = grant_step(S), keep = wanted + step;
  size_t beside = s->max - cast_memory_granted(S);
  if (s->max == 0) return; /* lifted: memory.c, cast_state_collect */
  wanted = wanted > beside ? wanted - beside : 0;
  if (wanted > cast_memory_granted(S)) {
    grant_more(S, wanted);
  } else if (keep < cast_memory_granted(S)) {
    cast_account_give(
      S->session.account, CAST_BYTES, cast_memory_granted(S) - keep);
    set_granted(S, keep);
  }
  s->max = cast_memory_granted(S) + beside;
  s->low =
    cast_memory_granted(S) > 2 * step ? cast_memory_granted(S) - 2 * step : 0;
}

bool cast_memory_grant(cast_state *S) {
  uint64_t left = cast_account_left(S->session.account, CAST_BYTES);
  size_t step = grant_step(S);
  size_t first = left < step ? (size_t)left : step;
  if (first == 0 || !cast_account_take(S->session.account, CAST_BYTES, first))
    return false;
  set_granted(S, first);
  S->memory.slabs.max = first;
  S->memory.slabs.regrant = regrant;
  return true;
}

/* A task that has ended, and whose handle is elsewhere, keeps the slab that its
   struct lies in. */
void cast_memory_ungrant(cast_state *S) {
  cast_account *a = S->session.account;
  size_t left = S->memory.slabs.nslabs * (size_t)CAST_SLAB_SIZE;
  cast_account_add(a, CAST_BYTES, left);
  cast_account_give(a, CAST_BYTES, cast_memory_granted(S));
  set_granted(S, left);
  S->memory.slabs.max = S->memory.slabs.low = 0;
  S->memory.slabs.regrant = NULL;
}

/* -- the state ------------------------------------------------------------ */

/* An error was raised outside of any protected call: a mistake of ours, for
   which 5.1 would end the process without a word. */
static int on_panic(lua_State *L) {
  const char *text = lua_tostring(L, -1);
  cast_panic(__FILE__, __LINE__, text != NULL ? text : "error without a text");
}

#if CAST_LUA < 502
void cast_state_starve(cast_state *S) {
#if CAST_LUAJIT
  /* If something is compiled just now, the next task that goes on does it. */
  if (S->session.current != NULL && lua_gethook(S->work) == NULL &&
      cast_recorder_rests(S->L, S->preempt.interpreted))
    cast_hook_put(S, S->work, S->binding->hook, 1);
#else
  S->session.ops->preempt(&S->session);
#endif
}

/* When an allocation fails, 5.1 and LuaJIT raise the error without looking for
   garbage. They look for it when twice as much is in use as was left the last
   time, which may be beyond the limit: a state that is there would be out of
   memory for ever. So half way to the limit, and wherever memory has failed,
   the state is called starved, and all garbage is collected at the next
   instruction (preempt.c): an allocator must not do that itself. */
static void *alloc_limited(void *ud, void *ptr, size_t osize, size_t nsize) {
  cast_slabs *s = ud;
  cast_state *S = CAST_CONTAINER(s, cast_state, memory.slabs);
  void *p = cast_slabs_lua(s, ptr, osize, nsize);
  if (CAST_UNLIKELY(nsize > osize && (p == NULL || cast_slabs_bytes(s) >
                                                     S->memory.collect_at))) {
    S->memory.starved = true;
    cast_state_starve(S);
  }
  return p;
}

/* How many bytes the state may use in all, as far as can be told now. */
static size_t most_bytes(const cast_state *S) {
  uint64_t left, bytes;
  if (cast_memory_granted(S) == 0) return S->memory.slabs.max;
  left = cast_account_left(S->session.account, CAST_BYTES);
  bytes = cast_memory_granted(S);
  return left < SIZE_MAX - bytes ? (size_t)(bytes + left) : SIZE_MAX;
}

static int collect_garbage(lua_State *L) {
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}

void cast_state_collect(cast_state *S) {
  cast_slabs *s = &S->memory.slabs;
  size_t max = s->max, bytes;
  s->max = 0; /* even calling it takes some */
  (void)cast_protect(S, collect_garbage, NULL);
  s->max = max;
  bytes = cast_slabs_bytes(s);
  if (bytes < s->low) s->regrant(s, bytes);
  max = most_bytes(S);
  /* Near the limit, too: LuaJIT needs room on the stack to call the hook, and
     has it where it has called it before. */
  S->memory.collect_at = bytes < max ? bytes + (max - bytes) / 2 : max;
  S->memory.starved = false;
}

/* The same for what is charged beside the state's own (slab.h). */
static void reclaim(cast_slabs *s) {
  cast_state *S = CAST_CONTAINER(s, cast_state, memory.slabs);
  S->memory.starved = true;
  cast_state_starve(S);
}
#else

/* Asks for more than there may be. First of all 5.2 and 5.3 take a step of the
   collector, in which finalizers are called, if it runs and is due. 5.2 looks
   for garbage only if it runs, so there it is made to run and not to be due. */
static int fail_to_allocate(lua_State *L) {
  const cast_state *S = lua_touserdata(L, 1);
  lua_gc(L, CAST_LUA == 502 ? LUA_GCRESTART : LUA_GCSTOP, 0);
  (void)cast_lua_newuserdata(L, S->memory.max);
  return 0;
}

/* Before an allocation fails, Lua looks for garbage, and calls no finalizers:
   so one that is sure to fail is how to have that done wherever no code of the
   program may run. */
void cast_state_collect(cast_state *S) {
  bool runs = lua_gc(S->work, LUA_GCISRUNNING, 0) > 0;
  (void)cast_protect(S, fail_to_allocate, S);
  lua_gc(S->work, runs ? LUA_GCRESTART : LUA_GCSTOP, 0);
}

static void reclaim(cast_slabs *s) {
  cast_state_collect(CAST_CONTAINER(s, cast_state, memory.slabs));
}
#endif

#if CAST_LUA == 504
/* The allocator of a sandbox: a task that must stop, but executes no
   instruction where it could, gets no more room on its stack. */
static void *alloc_in_time(void *ud, void *ptr, size_t osize, size_t nsize) {
  cast_state *S = CAST_CONTAINER((cast_slabs *)ud, cast_state, memory.slabs);
  if (CAST_UNLIKELY(nsize >= CAST_OVERDUE_BYTES) &&
      (ptr == NULL || nsize > osize) && S->binding->overdue(S))
    return NULL;
  return cast_slabs_lua(ud, ptr, osize, nsize);
}
#endif

static lua_State *make_lua(cast_state *S) {
#if CAST_LUA == 504
  if (S->sandbox != NULL) return lua_newstate(alloc_in_time, &S->memory.slabs);
#endif
#if CAST_LUA >= 505
  return lua_newstate(cast_slabs_lua, &S->memory.slabs, (unsigned)os_entropy());
#elif CAST_LUA >= 502
  return lua_newstate(cast_slabs_lua, &S->memory.slabs);
#else
  S->memory.collect_at = S->memory.max / 2;
  return lua_newstate(
    S->memory.max != 0 ? alloc_limited : cast_slabs_lua, &S->memory.slabs);
#endif
}

#if CAST_LUAJIT

/* When memory fails in lua_newstate, LuaJIT crashes while it frees what there
   is, because its table of strings may not exist yet. So memory must not fail
   there: whether there is enough is tried before, and the limit is looked at
   after. */
static lua_State *make_surely(cast_state *S) {
  size_t max = S->memory.slabs.max;
  void *room = cast_alloc(CAST_STATE_ROOM);
  lua_State *L;
  if (room == NULL) return NULL;
  cast_free(room);
  S->memory.slabs.max = 0;
  cast_mem_spare(true);
  L = make_lua(S);
  /* Without GC64 only LuaJIT's own allocator will do. */
  if (L == NULL) L = luaL_newstate();
  cast_mem_spare(false);
  S->memory.slabs.max = max;
  if (L != NULL && cast_memory_granted(S) > 0) {
    regrant(&S->memory.slabs, cast_slabs_bytes(&S->memory.slabs));
    max = S->memory.slabs.max;
  }
  if (L != NULL && max != 0 && cast_slabs_bytes(&S->memory.slabs) > max) {
    lua_close(L);
    L = NULL;
  }
  return L;
}
#else
#define make_surely make_lua
#endif

lua_State *cast_state_new_lua(cast_state *S) {
  lua_State *L = make_surely(S);
  if (L == NULL) return NULL;
  S->memory.slabs.reclaim = reclaim;
  lua_atpanic(L, on_panic);
  cast_finalizer_watch(L);
#if CAST_HAS_OURS
  /* Each coroutine starts with a copy. */
  memcpy(lua_getextraspace(L), &S, sizeof S);
#endif
  return L;
}

/* Room for finalizers: one that there is no memory to call is left out, and
   what it was to give back is lost. Ours need a call and some stack. */
static int make_room(lua_State *L) {
  luaL_checkstack(L, CAST_CLOSING_SLOTS, NULL);
  return 0;
}

void cast_state_close_lua(cast_state *S) {
  uint32_t tries = 0;
  if (S->memory.slabs.max != 0) S->memory.slabs.max += CAST_CLOSING_ROOM;
  while (cast_lua_cpcall(S->L, make_room, S) != LUA_OK &&
         ++tries < CAST_CLOSING_TRIES)
    lua_settop(S->L, 0);
  lua_settop(S->L, 0);
  lua_close(S->L);
  cast_cleanup_run_all(S); /* what no finalizer was called for */
}
