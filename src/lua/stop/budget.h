/* budget.h - limits of what a session uses.
   SPDX-License-Identifier: MIT */
#ifndef CAST_BUDGET_H
#define CAST_BUDGET_H

#include "../../types.h"
#include "../compat/compat.h"

struct cast_state;

/* ops->meter: see types.h. */
void cast_budget_meter(cast_session *s, bool begins);
/* Owner, in a slice: is the budget used up? Notes that. */
bool cast_budget_is_spent(struct cast_state *S);
/* Pushes what a task meets whose session has used its budget up. */
void cast_budget_push(lua_State *L, struct cast_state *S);
bool cast_budget_is_over(struct cast_state *S); /* any thread */
/* Raises "what: session 'name' why". */
_Noreturn void cast_state_refuse(
  lua_State *L, const struct cast_state *S, const char *what, const char *why);
/* Why a task could not be started. Raises. */
_Noreturn void cast_budget_refuse(lua_State *L, struct cast_state *S, int rc);
int cast_session_stats(lua_State *L, struct cast_state *S);

#endif
