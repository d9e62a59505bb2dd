/* auxiliary.c - what every room needs beside Lua's own auxiliary library.
   SPDX-License-Identifier: MIT

   Errors and outcomes in the words that users see, and seconds as deadlines. It
   needs nothing of a state of ours. */
#include "auxiliary.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../os/os.h"
#include "../../timer.h"
#include "../../types.h"
#include "compat.h"

_Noreturn void cast_raise_memory(lua_State *L) {
  luaL_checkstack(L, 1, NULL);
  lua_pushliteral(L, CAST_NO_MEMORY);
  lua_error(L);
  cast_panic(__FILE__, __LINE__, "lua_error returned");
}

bool cast_is_memory_error(lua_State *L, int i) {
  return lua_type(L, i) == LUA_TSTRING &&
         strcmp(lua_tostring(L, i), CAST_NO_MEMORY) == 0;
}

int cast_push_failure(lua_State *L, int result) {
  lua_pushnil(L);
  switch (result) {
  case CASTING_ECLOSED: lua_pushliteral(L, "closed"); break;
  case CASTING_ETIMEOUT: lua_pushliteral(L, "timeout"); break;
  case CASTING_EFULL: lua_pushliteral(L, "full"); break;
  case CASTING_EEMPTY: lua_pushliteral(L, "empty"); break;
  case CASTING_EINTR: lua_pushliteral(L, "interrupted"); break;
  case CASTING_ENOMEM: cast_raise_memory(L);
  default: cast_panic(__FILE__, __LINE__, "outcome without a word");
  }
  return 2;
}

int cast_push_interrupt(lua_State *L, int result) {
  if (result == CASTING_ECANCELLED || result == CAST_DEADLOCK) return 0;
  return cast_push_failure(L, result);
}

uint64_t cast_period(double seconds) {
  double ns = seconds * 1e9;
  return ns < 9e18 ? (uint64_t)ns : OS_FOREVER; /* more than 285 years */
}

uint64_t cast_deadline_in(double seconds) {
  uint64_t ns = cast_period(seconds);
  return ns == OS_FOREVER ? OS_FOREVER : cast_timer_end(os_now(), ns);
}

/* It is sysmon's thread, or the first worker's: without these nothing
   would ever run, so there is no going on. */
_Noreturn void cast_raise_thread(lua_State *L) {
  cast_lua_error(L, "no thread can be started");
  cast_panic(__FILE__, __LINE__, "lua_error returned");
}
