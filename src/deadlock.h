/* deadlock.h - nothing can ever run again, and a main program waits.
   SPDX-License-Identifier: MIT

   A program is dead when every host's main program waits without a deadline
   and its session is idle, no worker has a session, no job is queued, no timer
   is set whose firing would wake anybody, and nobody outside has announced
   that he may (cast_deadlock_expect). The process's first thread must be one of
   those that wait: elsewhere it may do anything, such as make another host.
   Then each main program is told.

   Who looks: sysmon, just before it would sleep for ever, so looking costs
   those nothing who run. All that may turn a program dead later wakes
   sysmon, or has set a timer, so that it looks again (DESIGN, R90 to R93):
   a. the last worker with a permit rests: sysmon is awake while one runs;
   b. one without a permit rests: it wakes sysmon (sched.c);
   c. a host rests: its watch fires later (host.c);
   d. a timer has fired: sysmon is awake;
   e. the last announcement is taken back, or a host ends: that wakes sysmon.
   Locks: the list of rests (CAST_RANK_HOST). */
#ifndef CAST_DEADLOCK_H
#define CAST_DEADLOCK_H

#include "event.h"

/* A host, as seen from here. */
typedef struct cast_sleeper {
  cast_list link;          /* (lock) */
  cast_session *session;   /* (i) */
  _Atomic uint32_t sleeps; /* (a) odd: it rests without a deadline */
  uint32_t seen;           /* (lock) */
  _Atomic bool first;      /* (a) its thread is the process's first one */
  cast_post
    deadlock_post; /* pushed into the session; its owner ends the wait */
  _Atomic uint32_t posted; /* (a) deadlock_post is in the session's inbox */
} cast_sleeper;

/* `run` is called by the owner with &r->deadlock_post; it calls
   cast_sleeper_told first. After delisting no post is pushed any more. */
void cast_sleeper_enlist(cast_sleeper *r, cast_session *s,
  void (*run)(cast_session *s, cast_post *p, bool closed));
void cast_sleeper_delist(cast_sleeper *r);
void cast_sleeper_told(cast_sleeper *r);
/* The host's thread. Begin: its session is idle, and it sleeps next. End: it
   is up, and has not touched the session yet. */
static inline void cast_sleeper_toggle(cast_sleeper *r) {
  /* PAIR sleeper: what was queued or set before is seen by who sees it rest;
     and by the time that it is up, the looker has lost. */
  atomic_fetch_add_explicit(&r->sleeps, 1, memory_order_seq_cst);
}

/* Into all[]: the sessions of hosts, with a weak reference each, `room` at
   most. */
uint32_t cast_sleeper_sessions(cast_session **all, uint32_t room);

/* Around a fork, which is to find the list of hosts whole: nobody changes it
   until it is let go of, in the parent and in the child. Meanwhile: the host
   after `r`, or the first one; NULL: there is none. */
void cast_sleepers_lock(void);
void cast_sleepers_unlock(void);
cast_sleeper *cast_sleepers_next(cast_sleeper *r);

/* Somebody outside may yet wake tasks. Counted. */
void cast_deadlock_expect(void);
void cast_deadlock_unexpect(void);
/* Sysmon. True: posts are on their way. */
bool cast_deadlock_detect(void);

#endif
