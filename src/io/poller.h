/* poller.h - the one set of descriptors of the process, and who looks at it.
   SPDX-License-Identifier: MIT

   After Go's netpoll: there is no thread that only polls. A worker with empty
   queues looks, and the first one to rest sleeps in the set instead of on its
   word; so does a host while its main program waits. Whoever looks holds the
   token, so that there is one at a time, and hands on what it was told: it ends
   the waits, and gets the sessions that became ready as a chain of jobs, to be
   queued all at once.

   Invariants:
   1. Only the holder of the token calls os_poller_wait.
   2. While a session of the pool has a descriptor in the set, then either
      somebody holds the token, or sysmon is awake and looks at each tick,
      or a worker has been woken that will look (cast_sched_cover).
   3. A program that has put nothing into the set makes no system call for it,
      and pays one relaxed load where a worker finds no work.

   Locks: none of its own but for starting; the token is an atomic word. */
#ifndef CAST_POLLER_H
#define CAST_POLLER_H

#include "../limits.h"
#include "../lock.h"
#include "../os/os.h"
#include "../runq.h"

struct cast_session;

/* Sessions that have become ready, first in, first out. */
typedef struct cast_jobs {
  cast_job *first, *last;
  uint32_t n;
} cast_jobs;

static inline void cast_jobs_add(cast_jobs *jobs, cast_job *job) {
  job->next = NULL;
  if (jobs->first == NULL)
    jobs->first = job;
  else
    jobs->last->next = job;
  jobs->last = job;
  jobs->n++;
}

/* Ends the waits that the events are about. `self` is the session that the
   calling thread runs, or NULL. */
typedef void (*cast_poller_dispatch)(
  const os_ready *ready, int n, struct cast_session *self, cast_jobs *jobs);

/* At the start and the end of the runtime. The set itself is made when the
   first descriptor comes, so that a later wait does not fail for want of a
   descriptor for the set. */
void cast_poller_init(cast_poller_dispatch dispatch);
void cast_poller_fini(void);
/* In the child of a fork: the set is the parent's, so it is given up. If the
   child may use casting, the next descriptor makes another one. No task of the
   child waits for anything in the old set: a task that waits has started
   sysmon, and after that no child may use casting. */
void cast_poller_forked(void);

/* -- the set -------------------------------------------------------------- */

/* Makes the set if there is none yet: 0, or what os_poller_init says. Whoever
   is about to make a socket calls this first, to tell of a shortage. */
int cast_poller_make(void);
/* 0, CASTING_ENOMEM, or OS_EPERM, OS_EEXIST, OS_EBADF. `pooled`: it is waited
   for in a session of the pool. */
int cast_poller_add(int fd, uint64_t key, bool pooled);
/* Is that a number of the set's own? */
bool cast_poller_owns(int fd);
/* Of one that was added: again, if the set has forgotten it, since its file was
   closed. Results as above. */
int cast_poller_renew(int fd, uint64_t key);
/* Before a wait for a descriptor in the set, by a thread that was told EAGAIN:
   see os_poller_arm. */
void cast_poller_arm(int fd, uint64_t key, uint32_t what);
/* remove: false if the descriptor has been closed, so that it is in the set no
   more. */
void cast_poller_drop(int fd, bool pooled, bool remove);
/* It is waited for in another kind of session than before. */
void cast_poller_pooled(bool pooled);
/* A host waits for its descriptors in a loop that is not ours (casting.fd), or
   does so no longer: workers look for it. */
void cast_poller_away(bool away);

/* -- looking -------------------------------------------------------------- */

/* Is there something to look at, for a worker or sysmon; for a host? A
   hint: relaxed. */
bool cast_poller_wanted(void);
bool cast_poller_wanted_by_host(void);
/* The token. False: somebody has it. */
bool cast_poller_take(void);
void cast_poller_give(void);
/* Does somebody look, or sleep in it? A hint. */
bool cast_poller_taken(void);
/* What a look has told, until it is dealt out. */
typedef struct cast_told {
  int n; /* the result of os_poller_wait */
  os_ready ready[CAST_POLLER_BATCH];
} cast_told;
/* With the token: looks (deadline_ns 0), or sleeps. */
void cast_poller_ask(
  cast_told *told, uint64_t deadline_ns, bool (*stop)(void *), void *arg);
/* Ends the waits that *told is about; then cast_poller_dealt is due, as soon as
   the jobs are queued. */
void cast_poller_deal(
  const cast_told *told, struct cast_session *self, cast_jobs *jobs);
void cast_poller_dealt(const cast_told *told);
/* For the deadlock detector: is anything being dealt out? And a number that
   changes whenever something was. */
bool cast_poller_deals(uint32_t *count);
/* Whoever sleeps in the set, or is about to, returns. */
void cast_poller_break(void);
/* A host comes or goes; whether there is no other one. Where there are several,
   none can be relied on to look for the others. */
void cast_poller_host(bool comes);
bool cast_poller_one_host(void);
/* How often somebody has looked, to be compared with an earlier number. */
uint32_t cast_poller_looks(void);

#endif
