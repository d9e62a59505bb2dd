/* host.h - the thread of a main program, which is not one of the pool.
   SPDX-License-Identifier: MIT

   A host is a Lua state that other code runs: the stock interpreter, or a
   program that embeds Lua. Its main program is a task that always blocks in
   place: while it waits, the same OS thread runs the other tasks of the state
   on a second C stack; when its wait is over, the thread goes back to the
   first. So the stack of a task that blocks in place never lies on top of the
   main program's.

   A host that has asked for its descriptor has an event loop of its own, and
   calls cast_host_poll when the descriptor is readable. In between, its session
   is idle and `away`: any task that becomes ready, woken by others, by the
   alarm or by the main program itself, sets the event (DESIGN, R57).

   While the host runs tasks, a timer (its *watch*) checks now and then whether
   a task that computes must be interrupted: Ctrl-C is meant for the main
   program, but its handler, which runs in this thread, can only leave a note
   (ops->urgent). The same timer makes sysmon look for a deadlock after the
   host has gone to sleep (deadlock.h).

   Owner: the thread that runs the host's state; it may be another one in each
   call. Its session is never in a run queue. */
#ifndef CAST_HOST_H
#define CAST_HOST_H

#include "deadlock.h"
#include "slice.h"
#include "timer.h"
#include "worker.h"

/* What the thread of a host is doing. */
typedef enum cast_where {
  CAST_AT_MAIN,  /* it runs the main program, or other code of its own */
  CAST_AT_TASKS, /* the main program waits, and it runs tasks */
  CAST_AT_SLEEP  /* the main program waits, and it sleeps */
} cast_where;

typedef struct cast_host {
  cast_runner runner;       /* what it runs tasks with */
  cast_session *session;    /* (i) the main session */
  cast_task *main;          /* (i) the main program */
  os_event event;           /* set by the waker of the idle session */
  _Atomic uintptr_t thread; /* (a) the thread whose stack was adopted last */
  os_context *own;          /* (w) that thread's own stack */
  cast_slot *slot;          /* (w) its slot for preempt signals, or NULL */
  cast_timer watch;         /* checks for signals while tasks run */
  cast_sleeper sleeper;     /* what deadlock.c needs of the host */
  /* (w) The binding's report of a deadlock, or NULL. */
  cast_object *deadlock_report;
  _Atomic uint32_t where;      /* (a) a cast_where; written by the owner */
  _Atomic uint32_t watched;    /* (a) 1: the watch is set */
  _Atomic uint32_t preempting; /* (a) 1: the watch may be signalling now */
  _Atomic uint32_t polls;      /* (a) 1: it sleeps in the poller */
  _Atomic uint32_t woken;      /* (a) 1: its session was woken in this rest */
  _Atomic uint32_t nrests; /* (a) how often it went to sleep in the poller */
  uint32_t checked;        /* (sysmon) in this one no signal was missed: R52 */
  bool prepared;           /* (w) set under the lock of the list of hosts, in
                              which others read it: `event` is initialised */
  bool begins;             /* (w) the main program's wait has just begun */
  bool relies;             /* (w) it sleeps, and others look for it */
  uint32_t nspins;         /* (w) */
  bool pollable;           /* (w) the program has asked for the descriptor */
} cast_host;

/* `session` was initialised as running, `main` is not started. */
int cast_host_init(cast_host *h, cast_session *session, cast_task *main);
void cast_host_fini(cast_host *h);
/* Owner, with sysmon running, before the host waits or is polled: 0 or
   CASTING_ENOMEM. It makes the event, and with it a descriptor. A process that
   has only loaded casting has none yet, and may fork (fork.h). */
int cast_host_prepare(cast_host *h);
/* Owner, before the main program may block: reserves a C stack. 0 or
   CASTING_ENOMEM. */
int cast_host_reserve(cast_host *h);
/* Main program, after cast_host_reserve, its wait being armed: blocks until the
   wait is over, and runs tasks meanwhile. */
void cast_host_block(cast_host *h);
/* Main program, after cast_host_reserve: runs the tasks that are ready, once
   each. If there is none, it waits for one until deadline_ns (0: not at all),
   or until stop(arg), which is called before sleeping and after a signal,
   returns true. 0, CASTING_ETIMEOUT, CASTING_EINTR. */
int cast_host_poll(
  cast_host *h, uint64_t deadline_ns, bool (*stop)(void *), void *arg);
/* Main program: returns the descriptor, -1 if there is none. From now on, while
   the main program is not in a blocking call, the descriptor is readable when a
   task is ready. */
int cast_host_fd(cast_host *h);
/* Main program, before it uses its session by itself: ends being `away`. */
void cast_host_return(cast_host *h);
/* Owner, before the host ends: no thread signals it or looks at it any more. */
void cast_host_unwatch(cast_host *h);
/* Is fd the number of a host's event? Any thread. */
bool cast_hosts_own(int fd);
/* In the child of a fork, between cast_sleepers_lock and cast_sleepers_unlock:
   gives each host an event that it does not share with the parent. */
void cast_hosts_forked(void);
/* The ops->wake of a host's session. */
void cast_host_wake(cast_host *h);

#endif
