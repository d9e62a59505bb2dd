/* protect.c - protected calls between slices.
   SPDX-License-Identifier: MIT

   Between slices, and between the turns of two tasks, no task runs. A finalizer
   that the collector calls there must not wait: the tasks that would run
   meanwhile would do so in the middle of such a call.
   Owner: the thread that runs the session. */
#include "protect.h"

#include "../../base.h"
#include "../../context.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../os/os.h"
#include "../compat/compat.h"
#include "interrupt.h"
#include "state.h"

#include <stdlib.h>

void cast_state_forked(cast_state *S, bool ok) {
  os_context *main;
  if (S->host == NULL) exit(ok ? EXIT_SUCCESS : EXIT_FAILURE);
  main = S->main->base.stack;
  if (main == NULL) return;
  S->main->base.stack = NULL;
  cast_runner_jump(S->session.runner, main);
}

/* Stops the collector, and with it finalizers; or starts it again. */
static void stop_collector(cast_state *S, lua_State *L, bool stop) {
#ifdef CAST_COLLECT
  S->protect.halted = stop; /* 5.1 cannot be asked */
#else
  CAST_UNUSED(S);
#endif
  lua_gc(L, stop ? LUA_GCSTOP : LUA_GCRESTART, 0);
}

int cast_protect(cast_state *S, lua_CFunction fn, void *arg) {
  lua_State *L = S->work;
  int top = lua_gettop(L), status;
  uint32_t tries = 0;
  bool again;
  S->protect.active++;
  do {
    /* At last without any finalizers. (The collector was on, or there would
       have been none that was refused; so it is started again below.) */
    if (++tries == CAST_REFUSED_MAX) stop_collector(S, L, true);
    S->protect.refused = false;
    status = cast_lua_cpcall(L, fn, arg);
    /* Ctrl-C has come just here, and raised its error in fn: the main program
       will raise it, and fn is called again. */
    again = status != LUA_OK && !S->interrupt.main_interrupted &&
            cast_hook_has_interrupted(S, L);
    lua_settop(L, top);
  } while (again || (status != LUA_OK && S->protect.refused &&
                      tries < CAST_REFUSED_MAX));
  if (tries >= CAST_REFUSED_MAX) stop_collector(S, L, false);
  S->protect.active--;
  if (CAST_UNLIKELY(cast_forked)) cast_state_forked(S, true);
  return status;
}

int cast_protect_amply(cast_state *S, lua_CFunction fn, void *arg) {
  bool limited = S->memory.slabs.max != 0;
  int status;
  if (limited) S->memory.slabs.max += CAST_FAILURE_ROOM;
  status = cast_protect(S, fn, arg);
  if (limited) S->memory.slabs.max -= CAST_FAILURE_ROOM;
  return status;
}

int cast_protect_finally(cast_state *S, lua_CFunction fn, void *arg) {
  int status = cast_protect(S, fn, arg);
  if (status == LUA_OK || S->memory.slabs.max == 0 || S->protect.refused)
    return status;
  return cast_protect_amply(S, fn, arg);
}
