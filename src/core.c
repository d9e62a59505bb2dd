/* core.c - cores, permits, and the queues they look at.
   SPDX-License-Identifier: MIT

   The lock is the scheduler's (sched.c), which also explains the protocol of
   the reads without it (PAIR sleep). Owners and invariants: see core.h. Cores
   are never freed, so a stale pointer to one is harmless. */
#include "core.h"

static struct {
  cast_job *global;         /* (sched lock) the global queue */
  cast_job **global_tail;   /* (sched lock) where the next job is linked */
  _Atomic uint32_t nglobal; /* (a) its length; written under the lock */
  cast_core *idle;          /* (sched lock) cores that no worker owns */
  _Atomic uint32_t nbusy;   /* (a) permits in use; written under the lock */
  _Atomic uint32_t limit;   /* (a) permits there are; written under the lock */
  _Atomic int32_t spare;    /* (a) limit - nbusy; written under the lock */
  _Atomic uint32_t high;    /* (a) cores[high ..] were never used */
  cast_core cores[CAST_WORKERS_MAX]; /* all cores */
} all;

void cast_cores_init(uint32_t limit) {
  all.global = NULL;
  all.global_tail = &all.global;
  all.idle = NULL;
  atomic_init(&all.nglobal, 0);
  atomic_init(&all.nbusy, 0);
  atomic_init(&all.limit, limit);
  atomic_init(&all.spare, (int32_t)limit);
  /* A core is initialised when it is first used: the memory of those that are
     never used need not be touched. */
  atomic_init(&all.high, 0);
}

/* -- permits -------------------------------------------------------------- */

/* Relaxed: exact under the lock, which all callers hold. */
static uint32_t permits(void) {
  return atomic_load_explicit(&all.limit, memory_order_relaxed);
}

uint32_t cast_cores_busy(void) {
  /* PAIR wake_sysmon: sysmon reads it after it has announced its sleep. */
  return atomic_load_explicit(&all.nbusy, memory_order_seq_cst);
}

int32_t cast_cores_spare(void) {
  /* PAIR sleep: read after the caller's store of a job. */
  return atomic_load_explicit(&all.spare, memory_order_seq_cst);
}

int32_t cast_cores_spare_hint(void) {
  return atomic_load_explicit(&all.spare, memory_order_relaxed);
}

static uint32_t busy_locked(void) {
  return atomic_load_explicit(&all.nbusy, memory_order_relaxed);
}

static void set_busy_locked(uint32_t n) {
  /* PAIR wake_sysmon: sysmon reads it after it has announced its sleep. */
  atomic_store_explicit(&all.nbusy, n, memory_order_seq_cst);
  /* PAIR sleep: submitters read it after their store of the job. */
  atomic_store_explicit(
    &all.spare, (int32_t)(permits() - n), memory_order_seq_cst);
}

void cast_cores_limit_locked(uint32_t limit) {
  atomic_store_explicit(&all.limit, limit, memory_order_relaxed);
  set_busy_locked(busy_locked());
}

/* How many cores have ever been used. */
static uint32_t high(void) {
  /* PAIR sleep: a core is below `high` before it gets its first job. */
  return atomic_load_explicit(&all.high, memory_order_seq_cst);
}

/* A core that no worker owns; NULL if there is none. */
static cast_core *unused_locked(void) {
  cast_core *c = all.idle;
  uint32_t n = high();
  if (c != NULL) {
    all.idle = c->idle;
    return c;
  }
  if (n == CAST_WORKERS_MAX) return NULL;
  c = &all.cores[n];
  cast_runq_init(&c->queue);
  c->permit = false;
  c->streak = 0;
  atomic_store_explicit(&c->next, CAST_CORE_LOST, memory_order_relaxed);
  /* PAIR sleep: release the fresh core to threads that look into all queues. */
  atomic_store_explicit(&all.high, n + 1, memory_order_seq_cst);
  return c;
}

bool cast_core_regain_locked(cast_core *c) {
  CAST_ASSERT(!c->permit && cast_core_is_lost(c));
  if (busy_locked() >= permits()) return false;
  c->permit = true;
  /* Relaxed: only the owner puts jobs there. */
  atomic_store_explicit(&c->next, NULL, memory_order_relaxed);
  set_busy_locked(busy_locked() + 1);
  return true;
}

cast_core *cast_core_take_locked(void) {
  cast_core *c;
  if (busy_locked() >= permits()) return NULL;
  c = unused_locked();
  if (c == NULL) return NULL;
  CAST_ASSERT(cast_runq_len(&c->queue) == 0);
  c->idle = NULL;
  return cast_core_regain_locked(c) ? c : NULL;
}

void cast_core_lose_locked(cast_core *c) {
  cast_job *job;
  /* PAIR next: acquire the job from its worker. */
  job =
    atomic_exchange_explicit(&c->next, CAST_CORE_LOST, memory_order_acq_rel);
  if (job != NULL && job != CAST_CORE_LOST)
    cast_global_push_locked(job, job, 1);
  while ((job = cast_runq_take(&c->queue)) != NULL)
    cast_global_push_locked(job, job, 1);
  if (!c->permit) return;
  c->permit = false;
  set_busy_locked(busy_locked() - 1);
}

void cast_core_give_locked(cast_core *c) {
  CAST_ASSERT(cast_runq_len(&c->queue) == 0);
  cast_core_lose_locked(c);
  c->idle = all.idle;
  all.idle = c;
}

/* -- the global queue ----------------------------------------------------- */

void cast_global_push_locked(cast_job *first, cast_job *last, uint32_t n) {
  last->next = NULL;
  *all.global_tail = first;
  all.global_tail = &last->next;
  /* PAIR sleep: stored before the submitter looks for sleepers. */
  atomic_fetch_add_explicit(&all.nglobal, n, memory_order_seq_cst);
}

cast_job *cast_global_pop_locked(cast_core *c) {
  cast_job *job = all.global, *more;
  /* Relaxed: only changed under this lock. */
  uint32_t n = atomic_load_explicit(&all.nglobal, memory_order_relaxed);
  uint32_t share = n / (busy_locked() + 1), taken = 1;
  if (job == NULL) return NULL;
  if (share > CAST_RUNQ_SIZE / 2) share = CAST_RUNQ_SIZE / 2;
  all.global = job->next;
  while (taken < share && (more = all.global) != NULL) {
    cast_job *next = more->next;
    if (!cast_runq_push(&c->queue, more)) break;
    all.global = next;
    taken++;
  }
  if (all.global == NULL) all.global_tail = &all.global;
  /* PAIR sleep: in one order with the reads of workers about to sleep. */
  atomic_fetch_sub_explicit(&all.nglobal, taken, memory_order_seq_cst);
  return job;
}

bool cast_global_has_jobs(void) {
  return atomic_load_explicit(&all.nglobal, memory_order_relaxed) != 0;
}

/* -- all queues ----------------------------------------------------------- */

bool cast_cores_have_work(void) {
  /* PAIR sleep: read after nspinning was lowered. */
  if (atomic_load_explicit(&all.nglobal, memory_order_seq_cst) != 0)
    return true;
  for (uint32_t i = 0; i < high(); i++)
    if (cast_runq_len(&all.cores[i].queue) != 0) return true;
  return false;
}

cast_job *cast_cores_steal(cast_core *mine, uint32_t *seed) {
  uint32_t n = high(), at;
  *seed = *seed * 1664525u + 1013904223u;
  at = *seed % n;
  for (uint32_t i = 0; i < n; i++, at = at + 1 == n ? 0 : at + 1) {
    cast_core *c = &all.cores[at];
    cast_job *job;
    if (c == mine) continue;
    job = cast_runq_steal(&c->queue, &mine->queue);
    if (job != NULL) return job;
  }
  return NULL;
}
