/* cancel.h - cancellations: the error, and asking for it.
   SPDX-License-Identifier: MIT

   How a task comes from being asked to its end is drawn in scope.c. */
#ifndef CAST_CANCEL_H
#define CAST_CANCEL_H

#include "../../limits.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* Pushes a cancellation error; reason.at may be NULL. */
void cast_cancel_push(lua_State *L, cast_chars reason);
/* What t meets: its cancellation, or that its session's budget is used up. */
void cast_cancel_push_of(lua_State *L, cast_ltask *t);
/* Is the value at index i a cancellation error, of this Lua state? */
bool cast_cancel_is_error(lua_State *L, int i);
/* Asks t's session to cancel t; any thread. self: the session that the caller
   runs, or NULL. Never fails: without memory the reason is left out. */
void cast_ltask_cancel(cast_ltask *t, cast_session *self, cast_chars reason);
/* The same for all tasks that S has when its owner serves the request. 0,
   CASTING_ENOMEM. */
int cast_state_cancel(cast_state *S, cast_session *self, cast_chars reason);
/* Are there such requests that the owner has not served? */
static inline bool cast_cancel_has_requests(cast_state *S) {
  /* Relaxed: asked again. */
  return atomic_load_explicit(&S->cancel.all_requests, memory_order_relaxed) !=
         NULL;
}
/* Drops these; no thread has the session any more. */
void cast_cancel_fini(cast_state *S);
/* Owner: cancels all for good; no more tasks are taken. */
void cast_cancel_close(cast_session *s);
/* Owner: the tasks of S never go on; they leave all queues. */
void cast_cancel_abandon(cast_state *S);
/* Has the owner of S look at its tasks. Any thread; `self` is the session that
   it runs, or NULL. Cannot fail. */
void cast_cancel_look(cast_state *S, cast_session *self);
/* Has somebody asked that t ends? Any thread. */
bool cast_cancel_is_requested(cast_ltask *t);
/* The text of the first who asked, if there is any. Any thread that has a
   reference to t. */
cast_chars cast_cancel_reason(cast_ltask *t);
/* Owner: t becomes cancelled now if that was asked for but not served yet. */
void cast_cancel_observe(cast_ltask *t);
/* Owner: the task ends; from now on it is too late to ask. */
void cast_cancel_end(cast_ltask *t);
/* After that: how many bytes the reason of t takes. */
size_t cast_cancel_bytes(const cast_ltask *t);
/* A request that is made beforehand, for where nothing may be allocated (at the
   end of a task, for one that is linked to it). */
typedef struct cast_request cast_request;
/* NULL: out of memory. */
cast_request *cast_cancel_prepare(void);
/* Room for the reason, to be written before the request is asked. */
char *cast_cancel_text(cast_request *q);
/* Asks that t ends, as cast_ltask_cancel; q is given away. */
void cast_cancel_send(cast_request *q, cast_ltask *t, cast_session *self);
/* Frees a request that was not asked; NULL: nothing. */
void cast_cancel_drop(cast_request *q);
/* t is being freed, and gives its reason up. */
void cast_cancel_forget(cast_ltask *t);

#endif
