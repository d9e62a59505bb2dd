/* outcome.h - how a task has ended, and what it leaves to who joins it.
   SPDX-License-Identifier: MIT */
#ifndef CAST_OUTCOME_H
#define CAST_OUTCOME_H

#include "../../buffer.h"
#include "../../msg.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* Pushes how t ended: true, results... or false, error. `self` is the task
   (or main program) that asks; its waiter.msg is scratch. */
int cast_ltask_outcome(
  lua_State *L, cast_state *S, cast_ltask *self, cast_ltask *t);
/* Another session is about to get a handle of t. False: it has ended, and
   only its own session can share it (cast_ltask_cross). */
bool cast_ltask_share(cast_ltask *t);
/* A handle of t is about to cross: its results must be able to. Raises. */
void cast_ltask_cross(lua_State *L, cast_state *S, cast_ltask *t);
/* What can go to other sessions of a task's end. */
typedef struct cast_results {
  cast_msg msg; /* empty, too, if there are no results */
  cast_crossing crossing;
} cast_results;
/* Its coroutine has ended with `nres` results on the stack of `co`. What is
   found out is put into the task when nothing runs any more that might use
   it. */
typedef struct cast_ending {
  cast_state *S;
  cast_ltask *t;
  lua_State *co;
  int nres;
  bool failed;                  /* it is an error, and no results */
  bool asked;                   /* its __tostring was called */
  bool tabled;                  /* they are in a table there */
  bool described;               /* texts of a failure are there */
  bool in_close;                /* a __close handler has raised it */
  cast_coroutine aside;         /* where an error is put, or NULL */
  cast_buffer error, traceback; /* of a failure */
  cast_buffer stack;            /* its own part of the latter */
  cast_buffer before; /* in_close: that of the failure before; empty */
  cast_msg msg;       /* the same, for casting.on_error */
  cast_results results;
} cast_ending;
/* Protected, with a cast_ending: keeps the results for who joins. */
int cast_ltask_keep(lua_State *L);
/* Nothing uses the task's waiter any more: it has these. */
void cast_ltask_have(cast_ltask *t, cast_results *r);

#endif
