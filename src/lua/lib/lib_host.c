/* lib_host.c - driving the main session's tasks from a loop of the host's own.
   SPDX-License-Identifier: MIT

   A program with an event loop of its own waits for the descriptor there, and
   polls when that is readable (host.h). */
#include "lib_host.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../fork.h"
#include "../../host.h"
#include "../../os/os.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/interrupt.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/last.h"
#include "../stop/preempt.h"
#include "../stop/scope.h"
#include "../task/enter.h"
#include "lib.h"

/* Has a signal handler set a hook, as lua.c's does on Ctrl-C? Then the poll
   ends, and the hook is called. */
static bool has_hook(void *arg) { return cast_hook_has_changed(arg); }

/* Raises unless the main program calls. */
static void check_main(lua_State *L, cast_state *S, const char *what) {
  if (S->host == NULL || S->session.current != &S->main->base)
    cast_lua_error(L, "%s: only the main program can do that", what);
}

/* The deadline of a call of t with that one. */
static uint64_t with_scopes(cast_ltask *t, uint64_t deadline_ns) {
  uint64_t scopes;
  if (CAST_LIKELY(!cast_scope_is_needed(t))) return deadline_ns;
  scopes = cast_scope_deadline(t, os_now());
  return scopes < deadline_ns ? scopes : deadline_ns;
}

/* The main program does not wait as a task here, so its scopes are looked at
   before and after. A poll may be a finalizer's, while the state closes: it
   ends in time then, too (last.h). */
bool cast_state_poll(lua_State *L, cast_state *S, uint64_t deadline_ns) {
  cast_ltask *t;
  int rc;
  check_main(L, S, "poll");
  t = cast_enter(L, S, OS_FOREVER);
  deadline_ns = with_scopes(t, deadline_ns);
  if (cast_last_is_waiting(S)) deadline_ns = cast_last_until(S, deadline_ns);
  rc = cast_host_poll(S->host, deadline_ns, has_hook, S);
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
  if (cast_last_is_waiting(S)) cast_last_over(L, S);
  if (rc == CASTING_EINTR) cast_call_hook(L, S);
  if (rc == CASTING_ETIMEOUT && cast_scope_is_needed(t))
    cast_stop_check(L, t, os_now());
  return rc == 0;
}

int cast_state_fd(lua_State *L, cast_state *S) {
  check_main(L, S, "fd");
  /* In the child of a fork the descriptor still exists, and is never
     readable. */
  if (cast_forked) return S->host->event.fd;
  cast_state_prepare(L, S);
  return cast_host_fd(S->host);
}

/* casting.poll([timeout]) --> true if tasks had something to do */
int cast_lib_poll(lua_State *L) {
  cast_state *S = cast_state_here(L);
  uint64_t deadline = lua_isnoneornil(L, 1) ? 0 : cast_deadline(L, 1);
  lua_pushboolean(L, cast_state_poll(L, S, deadline));
  return 1;
}

/* casting.fd() --> descriptor | nil */
int cast_lib_fd(lua_State *L) {
  cast_state *S = cast_state_boxed(L);
  int fd;
  if (S == NULL) cast_raise_closed(L);
  fd = cast_state_fd(L, S);
  if (fd < 0) return 0;
  lua_pushinteger(L, fd);
  return 1;
}
