/* host.h - the thread of a main program, which is not of the pool.
   SPDX-License-Identifier: MIT

   A host is a Lua state that somebody else runs: the stock interpreter, or a
   program that embeds Lua. Its main program is a task that always blocks in
   place: while it waits, the same OS thread runs the state's other tasks on a
   second C stack; when its wait is over, the thread goes back to the first. So
   a main-state task that blocks in place never buries the main program.

   A host that has asked for its descriptor has a loop of its own, and calls
   cast_host_poll when the descriptor is readable. Meanwhile its session is
   idle and `away`: whatever becomes ready in it, by others, by its alarm or
   by the main program itself, sets the event (DESIGN, R57).

   While it runs tasks, a timer looks now and then whether one that computes
   must be disturbed: Ctrl-C is for the main program, and its handler runs in
   this thread, but only leaves a note (ops->urgent). That timer is also what
   makes sysmon look once the host rests (deadlock.h). */
#ifndef CAST_HOST_H
#define CAST_HOST_H

#include "deadlock.h"
#include "slice.h"
#include "timer.h"
#include "worker.h"

/* What a host's thread is at. */
typedef enum cast_where {
  CAST_AT_MAIN,
  CAST_AT_TASKS,
  CAST_AT_SLEEP
} cast_where;

typedef struct cast_host {
  cast_runner runner;
  cast_session *session;    /* (i) of the main state */
  cast_task *main;          /* (i) the main program */
  os_event event;           /* set when the session was idle and is woken */
  _Atomic uintptr_t thread; /* (a) for which runner.at was adopted */
  os_context *own;          /* (w) that thread's own stack */
  cast_slot *slot;          /* (w) by which that thread can be signalled */
  cast_timer watch;
  cast_sleeper sleeper; /* while the main program waits without a deadline */
  cast_object *deadlock_report; /* (w) the binding's, about a deadlock */
  _Atomic uint32_t where;       /* (a) a cast_where; written by the owner */
  _Atomic uint32_t watched;     /* (a) 1: the timer is set */
  _Atomic uint32_t preempting;  /* (a) 1: the timer is about to signal */
  bool prepared;                /* (w) `event` is there */
  bool begins;                  /* (w) the main program's wait has just begun */
  bool pollable;                /* (w) the descriptor was asked for */
} cast_host;

/* `session` was initialised as running, `main` is not started. */
int cast_host_init(cast_host *h, cast_session *session, cast_task *main);
void cast_host_fini(cast_host *h);
/* Owner, before all that follows, and with sysmon running: 0 or
   CASTING_ENOMEM. A host that is not prepared has no descriptor: a process that
   has only loaded casting may fork (fork.h). */
int cast_host_prepare(cast_host *h);
/* Owner, before the main program may block: 0 or CASTING_ENOMEM. */
int cast_host_reserve(cast_host *h);
/* Main program, its wait being armed and room reserved: blocks. */
void cast_host_block(cast_host *h);
/* Main program, room reserved: runs what is ready in the session, once. If
   nothing is, waits for it to deadline_ns (0: not at all), or until stop(arg)
   says so when asked, which is before sleeping and after a signal. 0,
   CASTING_ETIMEOUT, CASTING_EINTR. */
int cast_host_poll(
  cast_host *h, uint64_t deadline_ns, bool (*stop)(void *), void *arg);
/* Main program: the descriptor, readable while something is ready, from now
   on always when the main program is not in a blocking call. -1: none. */
int cast_host_fd(cast_host *h);
/* Main program, before it works on its session by itself: not away. */
void cast_host_return(cast_host *h);
/* Owner: the host's thread is not signalled any more. */
void cast_host_unwatch(cast_host *h);
/* In the child of a fork, the list of rests being held: no host's descriptor is
   the parent's any more. */
void cast_hosts_forked(void);
/* The session's ops->wake. */
void cast_host_wake(cast_host *h);

#endif
