/* lib_report.h - task dumps: casting.report, and deadlocks.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_REPORT_H
#define CAST_LIB_REPORT_H

#include "../compat/compat.h"
#include "../state/state.h"

/* casting.report([limit]): a dump of all tasks. */
int cast_lib_report(lua_State *L);
/* Called when a host is made: if CASTING_REPORT_ON_QUIT is in the environment,
   SIGQUIT prints dumps from now on. */
void cast_report_when_asked(void);
/* Host: the main program's wait has just ended with CAST_DEADLOCK, and all that
   it waited for is still in place. Begins a dump of all tasks. */
void cast_deadlock_begin_report(lua_State *L, cast_state *S);
/* Afterwards: waits for that dump, and raises the error that has it. */
int cast_deadlock_raise(lua_State *L, cast_state *S);

#endif
