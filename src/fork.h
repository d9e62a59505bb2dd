/* fork.h - what a fork of the process leaves of casting.
   SPDX-License-Identifier: MIT

   The child of a fork has one thread, a copy of the one that has forked. All
   memory of casting's is there, but what other threads were doing at that
   moment will never be finished: they may have held any lock. So if there were
   others (threads of casting's, or threads of the program that have called it),
   nothing works in the child that needs a lock or a thread: `cast_forked` is
   true, calls from outside are refused, nothing is freed, and the child ends as
   if casting were not there. If there were none, casting works in the child as
   it did in the parent.

   User code may fork in the middle of a function of casting's (in a finalizer
   or a __save); that function goes on in the child. So in the child no lock is
   waited for (lock.c), no thread is started (worker.c), no errand is sent
   (errand.c), no object ends (object.c), and memory comes from places that no
   thread of the parent can have been changing (region.c, big.c). */
#ifndef CAST_FORK_H
#define CAST_FORK_H

#include "base.h"

/* (i) Is this such a child? Written before anything else runs in it. */
extern bool cast_forked;
/* The message of calls that are refused then. */
#define CAST_FORKED_TEXT "casting was used before this process was forked"

/* Called by each thread of the program before it uses casting: a second one is
   noted. Threads of the pool need not call it. */
void cast_fork_note(void);
/* Called before one of casting's threads starts that may be the first of them
   (sysmon, the errands' thread); with false if it could not be started. */
void cast_fork_threads(bool yes);
/* Called when the runtime has stopped: all threads of casting's have ended, and
   no thread of the program uses it. */
void cast_fork_forget(void);

/* Has these functions called around each fork, by the thread that forks;
   `child` is called after cast_forked has been set. To be called once: 0 or
   CASTING_ENOMEM. */
int cast_fork_watch(
  void (*before)(void), void (*parent)(void), void (*child)(void));

#endif
