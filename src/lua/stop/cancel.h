/* cancel.h - cancellations: the error, and asking for it.
   SPDX-License-Identifier: MIT */
#ifndef CAST_CANCEL_H
#define CAST_CANCEL_H

#include "../../types.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* Pushes a cancellation error; `reason` may be NULL. */
void cast_cancel_push(lua_State *L, cast_chars reason);
/* What t meets: its cancellation, or that its session's budget is used up. */
void cast_cancel_push_of(lua_State *L, cast_ltask *t);
bool cast_cancel_is_error(lua_State *L, int i);
/* Asks t's session to cancel it; any thread. Out of memory, without the
   reason: this never fails. */
void cast_ltask_cancel(cast_ltask *t, cast_session *self, cast_chars reason);
/* The same for all tasks that it has when it comes to it. 0, CASTING_ENOMEM. */
int cast_state_cancel(cast_state *S, cast_session *self, cast_chars reason);
/* Are there such requests that nobody has come to? */
static inline bool cast_cancel_has_requests(cast_state *S) {
  /* Relaxed: asked again. */
  return atomic_load_explicit(&S->cancel.all_requests, memory_order_relaxed) !=
         NULL;
}
/* Drops these; nobody has the session any more. */
void cast_cancel_fini(cast_state *S);
/* Owner: cancels all for good; no more tasks are taken. */
void cast_cancel_close(cast_session *s);
/* Owner: its tasks never go on: they leave all queues. */
void cast_cancel_abandon(cast_state *S);
/* Has somebody asked for it? Any thread. */
bool cast_cancel_is_requested(cast_ltask *t);
cast_chars cast_cancel_reason(cast_ltask *t);
/* Owner: t is cancelled, if that was asked for but not yet served. */
void cast_cancel_observe(cast_ltask *t);
/* Owner: the task ends; from now on it is too late to ask. */
void cast_cancel_end(cast_ltask *t);
/* A cancellation that is asked for later, when nothing may be allocated.
   NULL: out of memory. */
typedef struct cast_request cast_request;
cast_request *cast_cancel_prepare(void);
#define CAST_REASON_MAX 240              /* bytes of its reason */
char *cast_cancel_text(cast_request *q); /* to be written before it is asked */
/* Gives it away. */
void cast_cancel_send(cast_request *q, cast_ltask *t, cast_session *self);
void cast_cancel_drop(cast_request *q); /* NULL does nothing */
/* The task is being freed. */
void cast_cancel_forget(cast_ltask *t);

#endif
