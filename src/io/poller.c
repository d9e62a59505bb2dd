/* poller.c - the one set of descriptors of the process, and who looks at it.
   SPDX-License-Identifier: MIT

   See poller.h. */
#include "poller.h"

#include "../../include/casting.h"
#include "../fork.h"

static struct {
  cast_lock lock;
  os_poller set;                 /* (lock) until `made`, then (i) */
  _Atomic bool made;             /* (a) written under the lock */
  cast_poller_dispatch dispatch; /* (i) */
  _Atomic uint32_t token;        /* (a) 1: somebody looks */
  /* Two numbers, of which each is read alone: one less the other would be
     wrong while both change. */
  _Atomic uint32_t pooled; /* (a) descriptors of sessions of the pool, */
  _Atomic uint32_t hosted; /* (a) and others, that hosts alone wait for */
  _Atomic uint32_t away;   /* (a) hosts with loops of their own */
  _Atomic uint32_t hosts;  /* (a) */
  _Atomic uint32_t looks;  /* (a) written by the holder of the token */
  _Atomic uint32_t breaks; /* (a) threads in cast_poller_break: the set stays */
  /* (a) low half: how many deal out what they were told; high half: how often
     that was begun */
  _Atomic uint64_t dealing;
} poller = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

void cast_poller_init(cast_poller_dispatch dispatch) {
  poller.dispatch = dispatch;
}

void cast_poller_fini(void) {
  cast_lock_take(&poller.lock);
  /* Relaxed: written under this lock. */
  if (atomic_load_explicit(&poller.made, memory_order_relaxed)) {
    CAST_ASSERT(!cast_poller_taken());
    /* PAIR breaks: not made any more, before it is looked who breaks it. */
    atomic_store_explicit(&poller.made, false, memory_order_seq_cst);
    while (atomic_load_explicit(&poller.breaks, memory_order_seq_cst) != 0)
      os_cede();
    os_poller_fini(&poller.set);
  }
  /* Of descriptors that outlive the runtime (cast_descriptors_fini). */
  atomic_store_explicit(&poller.pooled, 0, memory_order_relaxed);
  atomic_store_explicit(&poller.hosted, 0, memory_order_relaxed);
  cast_lock_drop(&poller.lock);
}

void cast_poller_forked(void) {
  /* Those of the parent are not here. */
  atomic_store_explicit(&poller.breaks, 0, memory_order_relaxed);
  /* Relaxed: the child has one thread. */
  if (!atomic_load_explicit(&poller.made, memory_order_relaxed)) return;
  os_poller_forked(&poller.set);
  atomic_store_explicit(&poller.made, false, memory_order_relaxed);
}

/* -- the set -------------------------------------------------------------- */

int cast_poller_make(void) {
  int rc = 0;
  /* PAIR poller: acquire the set. */
  if (CAST_LIKELY(atomic_load_explicit(&poller.made, memory_order_acquire)))
    return 0;
  cast_lock_take(&poller.lock);
  if (!atomic_load_explicit(&poller.made, memory_order_relaxed)) {
    rc = os_poller_init(&poller.set);
    /* PAIR poller: release the set to those who did not make it. */
    if (rc == 0)
      atomic_store_explicit(&poller.made, true, memory_order_release);
  }
  cast_lock_drop(&poller.lock);
  return rc;
}

/* A thread that relies on others counts itself first, and then looks whether
   the token is free; a holder gives it up before it reads the counts when it
   rests. */
static void count(_Atomic uint32_t *n, bool up) {
  /* PAIR token: one order of both. */
  if (up)
    atomic_fetch_add_explicit(n, 1, memory_order_seq_cst);
  else
    atomic_fetch_sub_explicit(n, 1, memory_order_seq_cst);
}

static _Atomic uint32_t *number_of(bool pooled) {
  return pooled ? &poller.pooled : &poller.hosted;
}

int cast_poller_add(int fd, uint64_t key, bool pooled) {
  int rc;
  if (CAST_UNLIKELY(cast_forked) || cast_poller_make() != 0)
    return CASTING_ENOMEM;
  if (CAST_UNLIKELY(cast_poller_owns(fd))) return OS_EPERM; /* in no set */
  rc = os_poller_add(&poller.set, fd, key);
  if (rc == OS_EEXIST) {
    /* Of a descriptor that has lost its number, or is about to leave. */
    os_poller_remove(&poller.set, fd);
    rc = os_poller_add(&poller.set, fd, key);
  }
  if (rc != 0) return rc == OS_ENOMEM ? CASTING_ENOMEM : rc;
  count(number_of(pooled), true);
  return 0;
}

bool cast_poller_owns(int fd) {
  /* PAIR poller: acquire the set. */
  return atomic_load_explicit(&poller.made, memory_order_acquire) &&
         (fd == poller.set.fd || fd == poller.set.breaker);
}

int cast_poller_renew(int fd, uint64_t key) {
  int rc = os_poller_add(&poller.set, fd, key);
  if (rc == 0 || rc == OS_EEXIST) return 0;
  return rc == OS_ENOMEM ? CASTING_ENOMEM : rc;
}

void cast_poller_arm(int fd, uint64_t key, uint32_t what) {
  os_poller_arm(&poller.set, fd, key, what);
}

void cast_poller_drop(int fd, bool pooled, bool remove) {
  if (CAST_UNLIKELY(cast_forked)) return; /* the set is the parent's */
  /* PAIR poller: acquire. The runtime may have ended. */
  if (!atomic_load_explicit(&poller.made, memory_order_acquire)) return;
  if (remove) os_poller_remove(&poller.set, fd);
  count(number_of(pooled), false);
}

void cast_poller_pooled(bool pooled) {
  count(number_of(pooled), true); /* so it is in one of them at any time */
  count(number_of(!pooled), false);
}

void cast_poller_away(bool away) { count(&poller.away, away); }

/* -- looking -------------------------------------------------------------- */

static uint32_t hint(_Atomic uint32_t *n) {
  return atomic_load_explicit(n, memory_order_relaxed);
}

bool cast_poller_wanted(void) {
  /* PAIR token. */
  if (atomic_load_explicit(&poller.pooled, memory_order_seq_cst) != 0)
    return true;
  return CAST_UNLIKELY(
           atomic_load_explicit(&poller.away, memory_order_seq_cst) != 0) &&
         hint(&poller.hosted) != 0;
}

bool cast_poller_wanted_by_host(void) { return hint(&poller.hosted) != 0; }

bool cast_poller_taken(void) {
  /* PAIR token. */
  return atomic_load_explicit(&poller.token, memory_order_seq_cst) != 0;
}

bool cast_poller_take(void) {
  uint32_t none = 0;
  /* PAIR poller: acquire the set; the counts do not. */
  if (cast_poller_taken() ||
      !atomic_load_explicit(&poller.made, memory_order_acquire))
    return false;
  /* PAIR token: acquire what the last holder has left, the set's events. */
  return atomic_compare_exchange_strong_explicit(
    &poller.token, &none, 1, memory_order_seq_cst, memory_order_seq_cst);
}

void cast_poller_give(void) {
  CAST_ASSERT(cast_poller_taken());
  /* PAIR token: release; and before the counts and the busy cores are read. */
  atomic_store_explicit(&poller.token, 0, memory_order_seq_cst);
}

/* Nothing would ever be told again, and looking, or sleeping, would not end. */
_Noreturn static void give_up(void) {
  cast_panic(__FILE__, __LINE__,
    "the program has closed a descriptor of casting's own, an epoll set");
}

void cast_poller_ask(
  cast_told *told, uint64_t deadline_ns, bool (*stop)(void *), void *arg) {
  CAST_ASSERT(cast_poller_taken() && cast_lock_holds_none());
  told->n = os_poller_wait(
    &poller.set, told->ready, CAST_POLLER_BATCH, deadline_ns, stop, arg);
  if (CAST_UNLIKELY(told->n == OS_EBADF)) give_up();
  /* Relaxed: a count that only the holder of the token writes. */
  atomic_store_explicit(
    &poller.looks, hint(&poller.looks) + 1, memory_order_relaxed);
}

#define ONE_MORE (((uint64_t)1 << 32) + 1)

void cast_poller_deal(
  const cast_told *told, struct cast_session *self, cast_jobs *jobs) {
  if (told->n <= 0) return;
  /* PAIR deal: before the first wait is claimed, which is in no queue any more
     then, and in no other place where it would be seen. */
  atomic_fetch_add_explicit(&poller.dealing, ONE_MORE, memory_order_seq_cst);
  poller.dispatch(told->ready, told->n, self, jobs);
}

void cast_poller_dealt(const cast_told *told) {
  if (told->n <= 0) return;
  /* PAIR deal: all that was woken is where it can be seen. */
  atomic_fetch_sub_explicit(&poller.dealing, 1, memory_order_seq_cst);
}

bool cast_poller_deals(uint32_t *count) {
  /* PAIR deal: read twice by the looker. */
  uint64_t n = atomic_load_explicit(&poller.dealing, memory_order_seq_cst);
  *count = (uint32_t)(n >> 32);
  return (uint32_t)n != 0;
}

void cast_poller_host(bool comes) { count(&poller.hosts, comes); }

bool cast_poller_one_host(void) { return hint(&poller.hosts) <= 1; }

void cast_poller_break(void) {
  /* A thread of the program's, which wakes somebody in casting_channel_send,
     may come here while the runtime ends. PAIR breaks: counted, before it is
     looked whether there is a set: then that stays open until the count is
     down, and no number is written to that is another file's by now. */
  atomic_fetch_add_explicit(&poller.breaks, 1, memory_order_seq_cst);
  /* Without a set nobody sleeps in it. */
  if (atomic_load_explicit(&poller.made, memory_order_seq_cst) &&
      CAST_UNLIKELY(os_poller_break(&poller.set) != 0))
    give_up();
  /* PAIR breaks: release; the set may be closed now. */
  atomic_fetch_sub_explicit(&poller.breaks, 1, memory_order_release);
}

uint32_t cast_poller_looks(void) { return hint(&poller.looks); }
