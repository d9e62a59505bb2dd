/* lib_report.h - what every task waits for: casting.report, and deadlocks.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_REPORT_H
#define CAST_LIB_REPORT_H

#include "../compat/compat.h"
#include "../state/state.h"

int cast_lib_report(lua_State *L);
/* A host begins: if the environment wishes so, SIGQUIT has reports printed. */
void cast_report_when_asked(void);
/* Host, the main program's wait has just ended with CAST_DEADLOCK and is not
   taken apart yet: asks what all the tasks wait for. */
void cast_deadlock_begin_report(lua_State *L, cast_state *S);
/* Afterwards: raises the error with what was found, having waited for that. */
int cast_deadlock_raise(lua_State *L, cast_state *S);

#endif
