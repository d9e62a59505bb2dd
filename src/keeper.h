/* keeper.h - threads that run one session each, outside of the pool.
   SPDX-License-Identifier: MIT

   A *keeper* is the thread of a session that has one of its own: it alone runs
   the session's Lua state, from the call that makes it to lua_close. It is a
   cast_worker without a core (sched.h), so what is written for workers holds
   for it: its runner has a `worker`, tasks of its session block in place, a
   preempt signal reaches it, and its thread is joined by the next one that
   ends. But the scheduler queues nothing for it, and the limits of the pool do
   not count it. worker.c starts it and has its loop; here is how it rests and
   is woken: see keeper.c.

   Before its session is released (session.h) a keeper is at the disposal of the
   thread that makes the session, and calls functions for that
   (cast_keeper_call). */
#ifndef CAST_KEEPER_H
#define CAST_KEEPER_H

#include "sched.h"

/* Counts a new keeper, which is awake. False: there are as many as there may
   be, or the runtime stops. */
bool cast_keeper_enlist(cast_worker *w);
/* Counts one that ends no more. */
void cast_keeper_delist(cast_worker *w);
/* The thread of w: rests until its session is to be run, then true; false: it
   is to end. Functions for the maker of the session are called meanwhile. */
bool cast_keeper_rest(cast_worker *w);
/* The thread that has replaced IDLE in the inbox of w's session: wakes it. */
void cast_keeper_wake(cast_worker *w);
/* The thread of w, between two slices: should sysmon have taken it for stuck,
   it counts as running again. */
void cast_keeper_recount(cast_worker *w);
/* Sysmon: the thread of w sleeps in foreign code. If it is still in the slice
   with that tick, sysmon need not stay awake for it. */
void cast_keeper_discount(cast_worker *w, uint32_t tick);

/* -- for the thread that makes its session -------------------------------- */

/* Has f(arg) called in w's thread, and waits for its end. False: it was not
   called, as the thread has no memory to begin, or as this is the child of a
   fork. */
bool cast_keeper_call(cast_worker *w, void (*f)(void *arg), void *arg);
/* No session is released to w, whose thread ends: nothing of w may be used
   after this. */
void cast_keeper_dismiss(cast_worker *w);

#endif
