/* deadlock.c - finds out that no task can ever run again.
   SPDX-License-Identifier: MIT

   The look is no snapshot, but as good as one: it reads the hosts twice, and
   anything that happens in between shows in the second reading. Let m be the
   moment, between the two readings, at which the scheduler was found quiet
   (under its lock). A host whose `sleeps` is the same odd number both times
   was asleep at m. Its session is idle at the second reading, so it was idle at
   m, because only the host's thread makes it idle. And no thread outside has
   announced anything meanwhile. So at m no thread could run a task or wake one,
   except sysmon, which fires the timers; but sysmon is the thread
   that looks. (Model deadlock.pml; DESIGN, R90 to R93.) */
#include "deadlock.h"

#include "io/descriptor.h"
#include "sched.h"
#include "timer.h"

static struct {
  cast_lock lock;
  cast_list sleepers; /* (lock) all hosts */
  bool ready;         /* (lock) the list is initialised */
  /* (a) Low half: the number of announcements that hold; high half: how many
     were ever made, so that a look sees one that came and went. */
  _Atomic uint64_t expected;
} dead = {.lock = CAST_LOCK_STATIC(CAST_RANK_HOST)};

#define ONE_MORE (((uint64_t)1 << 32) + 1)

void cast_deadlock_expect(void) {
  /* PAIR expect: the look reads it at its beginning and at its end. */
  atomic_fetch_add_explicit(&dead.expected, ONE_MORE, memory_order_seq_cst);
}

void cast_deadlock_unexpect(void) {
  /* PAIR expect: as above. PAIR wake_sysmon: lowered before `asleep` is read;
     sysmon announces its sleep before it looks. */
  uint64_t old =
    atomic_fetch_sub_explicit(&dead.expected, 1, memory_order_seq_cst);
  CAST_ASSERT((uint32_t)old > 0);
  if ((uint32_t)old == 1) cast_sched_wake_sysmon();
}

void cast_sleeper_enlist(cast_sleeper *r, cast_session *s,
  void (*run)(cast_session *s, cast_post *p, bool closed)) {
  r->session = s;
  r->deadlock_post.run = run;
  cast_lock_take(&dead.lock);
  if (!dead.ready) cast_list_init(&dead.sleepers);
  dead.ready = true;
  cast_list_push(&dead.sleepers, &r->link);
  cast_lock_drop(&dead.lock);
}

void cast_sleeper_delist(cast_sleeper *r) {
  cast_lock_take(&dead.lock);
  cast_list_remove(&r->link);
  cast_lock_drop(&dead.lock);
  cast_sched_wake_sysmon(); /* the remaining hosts may be deadlocked now */
}

uint32_t cast_sleeper_sessions(cast_session **all, uint32_t room) {
  uint32_t n = 0;
  cast_lock_take(&dead.lock);
  for (cast_list *l = dead.ready ? dead.sleepers.next : &dead.sleepers;
       n < room && l != &dead.sleepers; l = l->next) {
    all[n] = CAST_CONTAINER(l, cast_sleeper, link)->session;
    cast_session_ref_weak(all[n++]);
  }
  cast_lock_drop(&dead.lock);
  return n;
}

void cast_sleepers_lock(void) { cast_lock_take(&dead.lock); }

void cast_sleepers_unlock(void) { cast_lock_drop(&dead.lock); }

cast_sleeper *cast_sleepers_next(cast_sleeper *r) {
  cast_list *l;
  CAST_ASSERT(cast_lock_is_held(&dead.lock));
  if (!dead.ready) return NULL;
  l = r != NULL ? r->link.next : dead.sleepers.next;
  return l != &dead.sleepers ? CAST_CONTAINER(l, cast_sleeper, link) : NULL;
}

void cast_sleeper_told(cast_sleeper *r) {
  /* PAIR posted: release the post, which may be pushed again. */
  atomic_store_explicit(&r->posted, 0, memory_order_release);
}

/* First reading: are all hosts asleep, one of them in the first thread? */
static bool are_all_asleep_locked(void) {
  bool first = false;
  if (!dead.ready) return false;
  for (cast_list *l = dead.sleepers.next; l != &dead.sleepers; l = l->next) {
    cast_sleeper *r = CAST_CONTAINER(l, cast_sleeper, link);
    /* PAIR sleeper: acquire what the host has done before it sleeps. */
    r->seen = atomic_load_explicit(&r->sleeps, memory_order_seq_cst);
    if (r->seen % 2 == 0) return false;
    /* Relaxed: written before the host went to sleep. */
    first |= atomic_load_explicit(&r->first, memory_order_relaxed);
  }
  return first;
}

/* Second reading: have all of them slept since the first one, with nothing to
   do? */
static bool are_still_asleep_locked(void) {
  for (cast_list *l = dead.sleepers.next; l != &dead.sleepers; l = l->next) {
    cast_sleeper *r = CAST_CONTAINER(l, cast_sleeper, link);
    /* PAIR sleeper: read after everything else that the look depends on. */
    if (!cast_session_is_idle(r->session) ||
        atomic_load_explicit(&r->sleeps, memory_order_seq_cst) != r->seen)
      return false;
  }
  return true;
}

/* Pushes the post about the deadlock to each host, unless it is on its way. */
static void tell_all_locked(void) {
  for (cast_list *l = dead.sleepers.next; l != &dead.sleepers; l = l->next) {
    cast_sleeper *r = CAST_CONTAINER(l, cast_sleeper, link);
    /* PAIR posted: acquire; the owner is done with the post of last time. */
    if (atomic_exchange_explicit(&r->posted, 1, memory_order_acquire) == 0)
      cast_session_push(r->session, NULL, &r->deadlock_post);
  }
}

bool cast_deadlock_detect(void) {
  /* PAIR expect: read before everything else. */
  uint64_t before = atomic_load_explicit(&dead.expected, memory_order_seq_cst);
  uint32_t dealt, again;
  bool yes;
  if ((uint32_t)before != 0 || cast_poller_deals(&dealt)) return false;
  cast_lock_take(&dead.lock);
  yes = are_all_asleep_locked() && cast_sched_is_quiet() &&
        !cast_timers_have_pending() && !cast_descriptors_awaited() &&
        are_still_asleep_locked() &&
        /* PAIR expect: read again after everything else. PAIR deal. */
        atomic_load_explicit(&dead.expected, memory_order_seq_cst) == before &&
        !cast_poller_deals(&again) && again == dealt;
  if (yes) tell_all_locked();
  cast_lock_drop(&dead.lock);
  return yes;
}
