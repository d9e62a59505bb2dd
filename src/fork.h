/* fork.h - what a fork of the process leaves of casting.
   SPDX-License-Identifier: MIT

   The child of a fork has one thread, a copy of the one that has forked. All
   that casting had is there, but whatever the others were just doing will never
   be finished: they may have held any lock. So in the child of a process in
   which there *were* others, threads of ours or such of the program's as have
   called casting, nothing works any more that needs a lock, or a thread:
   `cast_forked` is true, such calls are refused where they come in, nothing is
   freed, and the child ends as if casting were not there. In any other child
   casting is what it was in the parent: nobody was in the middle of anything.

   Should code of the user's have forked in the middle of one of our own
   functions (a finalizer, a __save), then that goes on in the child, too. So
   there a lock is never waited for (lock.c), no thread is started (worker.c),
   no errand is sent (errand.c), no object ends (object.c), and memory comes
   from where nobody else was (region.c, big.c). */
#ifndef CAST_FORK_H
#define CAST_FORK_H

#include "base.h"

/* (i) Written before anything else runs in the process. */
extern bool cast_forked;
/* What is said then. */
#define CAST_FORKED_TEXT "casting was used before this process was forked"

/* The calling thread is about to use casting. Those that run in sessions of the
   pool need not say so. */
void cast_fork_note(void);
/* A thread of ours is about to be started, of those that can be the first; or
   that could not be. */
void cast_fork_threads(bool yes);
/* They do no more, and nobody uses casting. */
void cast_fork_forget(void);

/* Once: has these called around each fork, by the thread that forks; `child`
   when cast_forked has been set. 0, CASTING_ENOMEM. */
int cast_fork_watch(
  void (*before)(void), void (*parent)(void), void (*child)(void));

#endif
