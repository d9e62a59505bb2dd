/* deadlock.h - finds out that no task can ever run again.
   SPDX-License-Identifier: MIT

   A program is deadlocked when all of this holds: the main program of every
   host waits without a deadline, and its session is idle; no worker has a
   session; no job is queued; no timer is set that would make a task ready; and
   no other thread has announced that it may wake a task (cast_deadlock_expect).
   Moreover the first thread of the process must be one of those that wait: if
   it runs other code, it may do anything, such as make another host. Then a
   post is pushed into the session of each host, which ends the wait of its main
   program with an error.

   Sysmon looks, just before its deep sleep, so that the look costs running
   threads nothing. Each event that may leave the program deadlocked later wakes
   sysmon, or has set a timer, so that it looks again (DESIGN, R90 to R93):
   a. the last worker with a permit goes idle: sysmon is awake until then;
   b. a worker without a permit goes idle: it wakes sysmon (idle.c);
   c. a host goes to sleep: the timer of its watch fires later (host.c);
   d. a timer has fired: sysmon is awake;
   e. the last announcement is taken back, or a host ends: these wake it.
   Locks: CAST_RANK_HOST for the list of hosts. */
#ifndef CAST_DEADLOCK_H
#define CAST_DEADLOCK_H

#include "event.h"

/* What the look needs of a host. */
typedef struct cast_sleeper {
  cast_list link;          /* (lock) in the list of hosts */
  cast_session *session;   /* (i) its main session */
  _Atomic uint32_t sleeps; /* (a) odd: it sleeps, and has no deadline */
  uint32_t seen;           /* (lock) `sleeps` as the first reading found it */
  _Atomic bool first;      /* (a) its thread is the process's first one */
  cast_post deadlock_post; /* (i) pushed into the session's inbox */
  _Atomic uint32_t posted; /* (a) 1: deadlock_post is in the inbox */
} cast_sleeper;

/* Enters a host into the list. `run` is called by the owner of the session with
   &r->deadlock_post, and must call cast_sleeper_told first. After
   cast_sleeper_delist no post is pushed any more. */
void cast_sleeper_enlist(cast_sleeper *r, cast_session *s,
  void (*run)(cast_session *s, cast_post *p, bool closed));
void cast_sleeper_delist(cast_sleeper *r);
void cast_sleeper_told(cast_sleeper *r);
/* Called by the host's thread before it sleeps, when its session is idle; and
   again when it has woken up, before it touches the session. */
static inline void cast_sleeper_toggle(cast_sleeper *r) {
  /* PAIR sleeper: a look that sees the host asleep sees what it has queued or
     set before; and a look that has begun before the host is up fails, since it
     reads the number twice. */
  atomic_fetch_add_explicit(&r->sleeps, 1, memory_order_seq_cst);
}

/* Stores the sessions of all hosts in all[], `room` at most, with a weak
   reference each. Returns their number. */
uint32_t cast_sleeper_sessions(cast_session **all, uint32_t room);

/* Called around a fork, so that the child finds the list of hosts consistent:
   nobody changes it from `lock` until `unlock`, in the parent and in the
   child. */
void cast_sleepers_lock(void);
void cast_sleepers_unlock(void);
/* In between: the host after r (NULL: the first one), or NULL. */
cast_sleeper *cast_sleepers_next(cast_sleeper *r);

/* Announces that a thread outside of the pool may wake tasks; counted. */
void cast_deadlock_expect(void);
/* Takes one announcement back. */
void cast_deadlock_unexpect(void);
/* Sysmon: looks. True if the program is deadlocked: the posts were pushed. */
bool cast_deadlock_detect(void);

#endif
