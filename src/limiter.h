/* limiter.h - limiters: so many tokens a second for tasks of all sessions.
   SPDX-License-Identifier: MIT

   A bucket of tokens that fills at a steady rate up to `burst` tokens, as one
   number: `full_ns`, when it will be full if nobody takes any. To take n tokens
   moves that time on by what n take to flow in, which is possible if it is then
   no further off than what `burst` tokens take. (ATM's generic cell rate
   algorithm.) Who has to wait is queued, and served by a timer of the process,
   which is set for the first of the queue. Lock: the limiter's
   (CAST_RANK_CHAN); the timer is set after its release. Invariants, while the
   lock is held:
   1. Tokens are taken by who is served, in the critical section that claims its
      wait; so who gives up while it waits has taken none.
   2. First come, first served: tokens are taken at once only if nobody waits,
      and only the first of the queue is served.
   3. If somebody waits, then the timer is set for the first one's time, or for
      an earlier one; or somebody who has changed who is the first is about to
      set it: who has queued itself, the timer's function, and who leaves the
      queue without tokens.
   4. `passive` of the timer is false if, and only if, somebody waits. */
#ifndef CAST_LIMITER_H
#define CAST_LIMITER_H

#include "account.h"
#include "timer.h"
#include "wait.h"

typedef struct cast_limiter {
  cast_object object; /* references: handles, messages, waits */
  cast_timer timer;   /* (timer lock) keeps its place in the heap */
  cast_lock lock;
  double token_ns;       /* (i) what one token takes to flow in */
  uint64_t burst_ns;     /* (i) what `burst` of them take */
  uint32_t burst;        /* (i) the most tokens there are */
  uint64_t full_ns;      /* (lock) see above */
  cast_list queue;       /* (lock) waiters, the oldest first; `index` of each
                            is how many tokens it wants */
  cast_account *account; /* (i) a sandbox's, one reference; else NULL */
} cast_limiter;

extern const cast_type cast_limiter_type;

/* `rate` tokens a second, burst / rate no more than CAST_FILL_SECONDS; for the
   session with that id and that account, or NULL. One reference for the caller.
   NULL: out of memory, or too much for the account. */
cast_limiter *cast_limiter_new(
  double rate, uint32_t burst, uint64_t session, cast_account *a);
/* The owner of t: takes n tokens, n <= burst. t is NULL: without waiting. 0,
   CAST_PARKED: t's waiter is queued; CASTING_EEMPTY. After a wait with another
   result than 0 the task calls cast_limiter_serve. */
int cast_limiter_take(cast_limiter *l, cast_task *t, uint32_t n);
/* Serves the queue, and sets the timer for the first that must wait on. `self`
   is the session that the calling thread runs, or NULL. */
void cast_limiter_serve(cast_limiter *l, cast_session *self);
/* How many tokens can be taken at once; 0 if somebody waits. */
uint32_t cast_limiter_available(cast_limiter *l);

#endif
