/* starve.c - memory that fails when a test wants it to; debug builds only.
   SPDX-License-Identifier: MIT

   internal.starve(n [, many]) (embed.c) makes the n-th allocation from now on
   fail, and with `many` so many in a row; n = 0 ends that. internal.starve()
   returns whether one has failed, how many blocks are allocated (see mem.h),
   and how many finalizers could not be called by now (finalizer.h).

   The allocations of a host's Lua state are not among these, as the host has
   its own allocator; unless CASTING_FAIL_HOST is in the environment when
   casting is loaded. Then that allocator is wrapped, and what the binding
   allocates in the host's state can fail, too. */
#include "../../base.h"
#include "../../mem.h"
#include "../compat/compat.h"
#include "../compat/finalizer.h"
#include "lib.h"

#if CAST_DEBUG >= 1

#include <stdlib.h>

/* The allocator of the process's first host. It is never reset: what a closing
   state frees last, with its allocator, is its own struct. */
static struct {
  lua_Alloc fn;
  void *ud;
} host;

/* The wrapper: only what allocates or grows can fail. */
static void *starve_host(void *ud, void *ptr, size_t osize, size_t nsize) {
  bool grows = nsize > 0 && (ptr == NULL || nsize > osize);
  CAST_UNUSED(ud);
  if (grows && cast_mem_must_fail()) return NULL;
  return host.fn(host.ud, ptr, osize, nsize);
}

void cast_starve_host(lua_State *L) {
  if (host.fn != NULL || getenv("CASTING_FAIL_HOST") == NULL) return;
  host.fn = lua_getallocf(L, &host.ud);
  lua_setallocf(L, starve_host, NULL);
}

/* internal.starve: see above. */
int cast_starve(lua_State *L) {
  if (lua_gettop(L) > 0) {
    lua_Integer n = luaL_checkinteger(L, 1), many = luaL_optinteger(L, 2, 1);
    luaL_argcheck(L, n >= 0 && many >= 1, 1, "a number of allocations");
    cast_mem_fail_run((uint64_t)n, (uint64_t)many);
    return 0;
  }
  lua_pushboolean(L, cast_mem_has_failed());
  lua_pushinteger(L, (lua_Integer)cast_mem_live());
  lua_pushinteger(L, (lua_Integer)cast_finalizers_lost());
  return 3;
}

#endif
