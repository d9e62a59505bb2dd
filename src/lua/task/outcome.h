/* outcome.h - how a task has ended, and what it leaves to who joins it.
   SPDX-License-Identifier: MIT */
#ifndef CAST_OUTCOME_H
#define CAST_OUTCOME_H

#include "../../buffer.h"
#include "../../msg.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* Pushes how t ended: true, results... or false, error; returns how many.
   `self` is the task (or main program) that asks; its waiter.msg is scratch.
   Raises. */
int cast_ltask_outcome(
  lua_State *L, cast_state *S, cast_ltask *self, cast_ltask *t);
/* Owner: the results of the task with the handle at that index live as long as
   the handle at index `by`, which has no other use for this. Raises. */
void cast_ltask_anchor(lua_State *L, int by, int handle);
/* What can go to other sessions of a task's end. */
typedef struct cast_results {
  cast_msg msg; /* empty, too, if there are no results */
  cast_crossing crossing;
  bool told; /* who gets the task's handle later gets others (ltask.h) */
} cast_results;
/* Any thread but the owner's (own: the owner's, which needs no lock): puts what
   t, which has ended, has for other sessions into *to, and says what it is. 0
   or CASTING_ENOMEM; *to is empty then, and if there is nothing. */
int cast_ltask_look(
  cast_ltask *t, bool own, cast_msg *to, cast_crossing *crossing);
/* Owner: packs the results of t, which has ended, and stored them: for sessions
   that get its handle (as: CAST_SHARED) or are told (CAST_TOLD). *r stays empty
   if they are gone. What moves in them is not taken out yet. May run Lua code,
   and raise; then nothing has changed. */
void cast_ltask_pack(
  lua_State *L, cast_state *S, cast_ltask *t, uint8_t as, cast_results *r);
/* A task is ending: its coroutine has ended with `nres` results on the stack of
   `co`. Code of the program runs meanwhile (finalizers, __tostring, __close
   handlers, __save) and may use the task, so what is found out stays here, and
   is put into the task when no such code runs any more. */
typedef struct cast_ending {
  cast_state *S;
  cast_ltask *t;
  lua_State *co;                /* NULL: there was no memory to keep an error */
  int nres;                     /* how many; an error is one */
  bool failed;                  /* it is an error, and no results */
  bool tabled;                  /* `co` has them in one table (push_results) */
  bool described;               /* `error` and `traceback` are complete */
  bool in_close;                /* a __close handler has raised the error */
  bool as_text;                 /* its report has the text of the error alone */
  bool complete;                /* `results` are (cast_crossing_end) */
  cast_coroutine aside;         /* where the error lies during handlers, or
                                   NULL */
  cast_buffer error, traceback; /* texts of a failure */
  cast_buffer stack;            /* that part of `traceback` which is its own */
  cast_buffer before;           /* in_close: the traceback of the failure, if
                                   any, after which the handlers were called */
  cast_msg msg;                 /* error and traceback for casting.on_error */
  cast_results results;         /* what can cross */
} cast_ending;
/* Called protected, with a cast_ending as its argument: keeps the results for
   tasks that join. */
int cast_ltask_keep(lua_State *L);
/* Puts *r into t, whose waiter is in no other use from now on. */
void cast_ltask_have(cast_ltask *t, cast_results *r);

#endif
