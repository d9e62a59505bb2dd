/* budget.h - limits of what a session uses.
   SPDX-License-Identifier: MIT

   Processor time, see budget.c; and the errors about all limits. */
#ifndef CAST_BUDGET_H
#define CAST_BUDGET_H

#include "../../types.h"
#include "../compat/compat.h"

struct cast_state;

/* ops->meter: see types.h. */
void cast_budget_meter(cast_session *s, bool begins);
/* Owner, in a slice: has S used its processor time up? Then all its tasks are
   cancelled; else the watchdog is set to when that could be. */
bool cast_budget_is_spent(struct cast_state *S);
/* The same, but changes nothing. */
bool cast_budget_has_passed(struct cast_state *S);
/* Pushes the error of the tasks of a session that has used its budget up. */
void cast_budget_push(lua_State *L, struct cast_state *S);
/* Has cast_budget_is_spent been true? Any thread. */
bool cast_budget_is_over(struct cast_state *S);
/* In a function that is to begin a task in S: raises if S has used up its
   time. */
void cast_budget_check(lua_State *L, struct cast_state *S);
/* Raises "what: session 'name' why", with the place of the caller in Lua. */
_Noreturn void cast_state_refuse(
  lua_State *L, const struct cast_state *S, const char *what, const char *why);
/* Raises why a task could not be started: rc is that of cast_task_start. */
_Noreturn void cast_budget_refuse(lua_State *L, struct cast_state *S, int rc);
/* Pushes a table with what S may use and has used, and returns 1. Raises. */
int cast_session_stats(lua_State *L, struct cast_state *S);

#endif
