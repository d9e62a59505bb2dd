/* descriptor.c - a descriptor of the system's that tasks wait for.
   SPDX-License-Identifier: MIT

   See descriptor.h. Descriptors lie in pages that stay for ever, so that an
   event which was told late finds one in its place, perhaps of another
   generation. */
#include "descriptor.h"

#include "../../include/casting.h"
#include "../fork.h"
#include "../limits.h"
#include "../mem.h"

#define OPEN 0x80000000u /* in `users`: not closed */

/* -- the table ------------------------------------------------------------ */

#define PAGE CAST_DESCRIPTOR_PAGE
#define PAGES CAST_DESCRIPTOR_PAGES

/* Also by number: which descriptor has the number n of the system's. */
typedef struct page {
  cast_descriptor at[PAGE];
} page;
typedef struct numbers {
  cast_descriptor *at[PAGE];
} numbers;

static struct {
  cast_lock lock;
  uint32_t used;            /* (lock) places that were ever used */
  uint32_t live;            /* (lock) of these, those that are used now */
  cast_descriptor *unused;  /* (lock) */
  page *pages[PAGES];       /* (lock); (i) once `used` covers it */
  numbers *numbers[PAGES];  /* (lock) */
  _Atomic uint32_t covered; /* (a) `used`, for those without the lock */
} table = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

/* Memory that the table may need, taken before its lock is, and freed after it
   if another thread was faster. */
typedef struct supply {
  page *page;
  numbers *numbers;
} supply;

/* Under the lock: a place; NULL: it lacks a page, or there are too many. */
static cast_descriptor *take_place_locked(supply *more) {
  cast_descriptor *d = table.unused;
  uint32_t n = table.used;
  if (d != NULL) {
    table.unused = d->next_free;
    table.live++;
    return d;
  }
  if (n == PAGE * PAGES) return NULL;
  if (table.pages[n / PAGE] == NULL) {
    if (more->page == NULL) return NULL;
    table.pages[n / PAGE] = more->page;
    more->page = NULL;
  }
  d = &table.pages[n / PAGE]->at[n % PAGE];
  d->place = n;
  cast_lock_init(&d->lock, CAST_RANK_EVENT);
  cast_list_init(&d->side[0].waiters);
  cast_list_init(&d->side[1].waiters);
  table.used = n + 1;
  table.live++;
  /* PAIR places: release the page. */
  atomic_store_explicit(&table.covered, n + 1, memory_order_release);
  return d;
}

static cast_descriptor *at_place(uint32_t n) {
  /* PAIR places: acquire the page. */
  if (n >= atomic_load_explicit(&table.covered, memory_order_acquire))
    return NULL;
  return &table.pages[n / PAGE]->at[n % PAGE];
}

static bool is_number(int fd) { return fd >= 0 && (uint32_t)fd / PAGE < PAGES; }

/* Under the lock: where it is noted which descriptor has the number fd; NULL:
   that lacks memory. */
static cast_descriptor **number_locked(int fd, supply *more) {
  uint32_t n = (uint32_t)fd;
  numbers **at = &table.numbers[n / PAGE];
  if (*at == NULL && more != NULL) {
    *at = more->numbers;
    more->numbers = NULL;
  }
  return *at != NULL ? &(*at)->at[n % PAGE] : NULL;
}

/* Takes the memory for one more descriptor with that number. False: there is
   none, or there can be no more descriptors. */
static bool get_supply(int fd, supply *more) {
  bool page_due, numbers_due, full;
  more->page = NULL;
  more->numbers = NULL;
  if (!is_number(fd)) return false;
  cast_lock_take(&table.lock);
  full = table.unused == NULL && table.used == PAGE * PAGES;
  page_due = !full && table.unused == NULL && table.used % PAGE == 0 &&
             table.pages[table.used / PAGE] == NULL;
  numbers_due = table.numbers[(uint32_t)fd / PAGE] == NULL;
  cast_lock_drop(&table.lock);
  if (full) return false;
  if (page_due && (more->page = cast_calloc(sizeof(page))) == NULL)
    return false;
  if (numbers_due && (more->numbers = cast_calloc(sizeof(numbers))) == NULL) {
    cast_free(more->page);
    return false;
  }
  return true;
}

static void return_supply(supply *more) {
  cast_free(more->page);
  cast_free(more->numbers);
}

static void give_place(cast_descriptor *d) {
  cast_lock_take(&table.lock);
  d->next_free = table.unused;
  table.unused = d;
  table.live--;
  cast_lock_drop(&table.lock);
}

/* -- waking --------------------------------------------------------------- */

/* Under the lock: claims waiters, into `woken`: all, or up to the first one
   that accepts. A select takes nothing, so it does not count. */
static void claim_locked(
  cast_descriptor *d, int side, bool all, int result, cast_list *woken) {
  cast_list *l;
  while ((l = cast_list_shift(&d->side[side].waiters)) != NULL) {
    cast_waiter *w = CAST_CONTAINER(l, cast_waiter, link);
    bool one = !all && atomic_load_explicit(&w->wait->state,
                         memory_order_relaxed) == CAST_WAIT_ONE;
    if (!cast_wait_claim(w->wait)) continue;
    w->wait->result = result;
    w->wait->index = w->index;
    cast_list_push(woken, l);
    if (one) return;
  }
}

/* Without the lock. Sessions that have become ready go into `jobs`, or, where
   that is NULL, to the scheduler. */
static void wake(cast_list *woken, cast_session *self, cast_jobs *jobs) {
  cast_list *l;
  while ((l = cast_list_shift(woken)) != NULL) {
    cast_task *t = cast_wait_task(CAST_CONTAINER(l, cast_waiter, link)->wait);
    cast_job *job;
    if (jobs == NULL || t->session == NULL || t->session == self) {
      cast_task_wake(t, self);
      continue;
    }
    job = cast_task_ready_job(t);
    if (job != NULL) cast_jobs_add(jobs, job);
  }
}

/* -- its life ------------------------------------------------------------- */

static void end(cast_object *o);
const cast_type cast_descriptor_type = {"descriptor", end, NULL};

static uint64_t key_of(const cast_descriptor *d) {
  return (uint64_t)d->generation << 32 | d->place;
}

static void init(cast_descriptor *d, int fd, unsigned how) {
  cast_lock_take(&d->lock); /* a late event may look at it */
  cast_object_init(&d->object, &cast_descriptor_type);
  d->fd = fd;
  d->how = (uint8_t)how;
  d->generation++;
  d->added = d->pooled = d->closing = d->released = false;
  d->watch = NULL;
  for (int i = 0; i < 2; i++) atomic_init(&d->side[i].ready, false);
  atomic_init(&d->ended, false);
  atomic_init(&d->kept, -1);
  atomic_init(&d->paused_ns, 0);
  atomic_init(&d->users, OPEN | 1);
  cast_lock_drop(&d->lock);
}

/* A place for a descriptor, which is not noted under its number yet. */
static cast_descriptor *make(int fd, unsigned how) {
  cast_descriptor *d;
  do {
    supply more;
    if (!get_supply(fd, &more)) return NULL;
    cast_lock_take(&table.lock);
    d = take_place_locked(&more);
    (void)number_locked(fd, &more);
    cast_lock_drop(&table.lock);
    return_supply(&more);
  } while (d == NULL); /* others were faster, so that the page is full */
  init(d, fd, how);
  return d;
}

/* The number is d's from now on, or (NULL) none of a descriptor. The program
   has closed it behind our back if another one has it, and it is another file's
   now: who waits for the old one waits for nothing. Since the number is not
   noted for the old one any more, that does not close it. */
static void take_number(int fd, cast_descriptor *d) {
  cast_descriptor *before = NULL, **at;
  cast_lock_take(&table.lock);
  at = number_locked(fd, NULL);
  if (at != NULL) {
    before = *at;
    *at = d;
  }
  if (before != NULL && !cast_ref_if_alive(&before->object)) before = NULL;
  cast_lock_drop(&table.lock);
  if (before == NULL) return;
  (void)cast_descriptor_close(before, NULL);
  cast_unref(&before->object);
}

void cast_descriptor_lost(int fd) {
  if (is_number(fd)) take_number(fd, NULL);
}

cast_descriptor *cast_descriptor_new(int fd, unsigned how) {
  cast_descriptor *d;
  if (cast_poller_make() != 0 || (d = make(fd, how)) == NULL) return NULL;
  take_number(fd, d);
  return d;
}

/* The descriptor that has the number, with a reference; NULL: none. */
static cast_descriptor *find(int fd) {
  cast_descriptor *d, **at;
  cast_lock_take(&table.lock);
  at = number_locked(fd, NULL);
  d = at != NULL ? *at : NULL;
  if (d != NULL && !cast_ref_if_alive(&d->object)) d = NULL;
  cast_lock_drop(&table.lock);
  return d;
}

bool cast_descriptor_owns(int fd) {
  cast_descriptor *d = is_number(fd) ? find(fd) : NULL;
  bool owns = d != NULL && (d->how & CAST_BORROWED) == 0;
  if (d != NULL) cast_unref(&d->object);
  return owns;
}

cast_descriptor *cast_descriptor_borrow(int fd) {
  cast_descriptor *d, *mine, **at;
  bool leaving = false;
  if (!is_number(fd)) return NULL;
  if ((d = find(fd)) != NULL) return d;
  if ((mine = make(fd, CAST_BORROWED)) == NULL) return NULL;
  do {
    if (leaving) os_cede();
    cast_lock_take(&table.lock);
    at = number_locked(fd, NULL);
    d = *at;
    /* One that is noted without a reference is about to leave the number, and
       closes it if it is its own. */
    leaving = d != NULL && !cast_ref_if_alive(&d->object);
    if (leaving && d->how & CAST_BORROWED) leaving = false, d = NULL;
    if (d == NULL) *at = d = mine;
    cast_lock_drop(&table.lock);
  } while (leaving);
  if (d != mine) cast_unref(&mine->object);
  return d;
}

/* It is in the set no more, and its number is free. False: the number is
   another descriptor's by now. */
static bool leave_set(cast_descriptor *d) {
  cast_descriptor **at;
  bool added, has_number;
  cast_lock_take(&d->lock);
  added = d->added;
  d->added = false;
  cast_lock_drop(&d->lock);
  cast_lock_take(&table.lock);
  at = number_locked(d->fd, NULL);
  has_number = at != NULL && *at == d;
  if (has_number) *at = NULL;
  /* Within the lock: a descriptor that is given the number next may enter the
     set only after this one has left it. */
  if (added) cast_poller_drop(d->fd, d->pooled, has_number);
  cast_lock_drop(&table.lock);
  return has_number;
}

static void shut(cast_descriptor *d) {
  if (CAST_UNLIKELY(cast_forked)) return;
  /* The program may have closed the number behind our back, and the set has
     got it (as for cast_descriptor_lost). */
  if (leave_set(d) && (d->how & CAST_BORROWED) == 0 && !d->released &&
      !cast_poller_owns(d->fd))
    os_close(d->fd);
}

bool cast_descriptor_begin(cast_descriptor *d) {
  uint32_t n = atomic_load_explicit(&d->users, memory_order_relaxed);
  while (n & OPEN)
    /* Relaxed: whoever closes it waits for the count, see below. */
    if (atomic_compare_exchange_weak_explicit(
          &d->users, &n, n + 1, memory_order_relaxed, memory_order_relaxed))
      return true;
  return false;
}

void cast_descriptor_end(cast_descriptor *d) {
  /* PAIR users: the last one closes it after all that the others did. */
  if (atomic_fetch_sub_explicit(&d->users, 1, memory_order_acq_rel) == 1)
    shut(d);
}

bool cast_descriptor_close(cast_descriptor *d, cast_session *self) {
  cast_list woken;
  bool first;
  cast_list_init(&woken);
  cast_lock_take(&d->lock);
  first = !d->closing;
  d->closing = true;
  d->watch = NULL;
  claim_locked(d, CAST_READ, true, CASTING_ECLOSED, &woken);
  claim_locked(d, CAST_WRITE, true, CASTING_ECLOSED, &woken);
  cast_lock_drop(&d->lock);
  if (!first) return false;
  /* PAIR users: no new ones; and the one that stands for being open goes. */
  (void)atomic_fetch_and_explicit(&d->users, ~OPEN, memory_order_acq_rel);
  cast_descriptor_end(d);
  wake(&woken, self, NULL);
  return true;
}

bool cast_descriptor_release(cast_descriptor *d, cast_session *self) {
  cast_lock_take(&d->lock);
  /* The thread that closes it sees the flag (PAIR users): that comes after the
     end of all uses, and this before the close. */
  if (!d->closing) d->released = true;
  cast_lock_drop(&d->lock);
  return cast_descriptor_close(d, self);
}

bool cast_descriptor_close_forked(cast_descriptor *d) {
  /* Relaxed: there is one thread. Those of the parent that were using the
     number are not here; the queues may be in any state, and are left. */
  uint32_t n =
    atomic_fetch_and_explicit(&d->users, ~OPEN, memory_order_relaxed);
  cast_descriptor **at; /* looked at without the lock, for the same reason */
  CAST_ASSERT(cast_forked);
  if ((n & OPEN) == 0) return false;
  at = number_locked(d->fd, NULL);
  if (at != NULL && *at == d && (d->how & CAST_BORROWED) == 0) os_close(d->fd);
  return true;
}

/* The last reference has gone: no one waits, and no one uses it. */
static void end(cast_object *o) {
  cast_descriptor *d = CAST_CONTAINER(o, cast_descriptor, object);
  if (atomic_load_explicit(&d->users, memory_order_relaxed) & OPEN)
    cast_descriptor_close(d, NULL);
  CAST_ASSERT(atomic_load_explicit(&d->users, memory_order_relaxed) == 0);
  give_place(d);
}

void cast_descriptors_fini(void) {
  cast_descriptor *d;
  /* Messages that C code keeps may have some, which are in no set now. */
  for (uint32_t i = 0; (d = at_place(i)) != NULL; i++) {
    cast_lock_take(&d->lock);
    d->added = false;
    cast_lock_drop(&d->lock);
  }
  cast_lock_take(&table.lock);
  if (table.live == 0) {
    for (uint32_t i = 0; i < PAGES; i++) {
      cast_free(table.pages[i]);
      cast_free(table.numbers[i]);
      table.pages[i] = NULL;
      table.numbers[i] = NULL;
    }
    table.unused = NULL;
    table.used = 0;
    atomic_store_explicit(&table.covered, 0, memory_order_relaxed);
  }
  cast_lock_drop(&table.lock);
}

/* -- waiting -------------------------------------------------------------- */

/* Under the lock: it is put into the set, unless its number is another one's by
   now, which may be in the set already: then it is about to be closed. The file
   of a number of the program's may be another by now: the set has forgotten the
   old one then, and takes the new one. */
static int add_locked(cast_descriptor *d, bool pooled) {
  int rc = CASTING_ECLOSED;
  if (cast_poller_make() != 0) return CASTING_ENOMEM;
  cast_lock_take(&table.lock);
  if (*number_locked(d->fd, NULL) == d)
    rc = d->added ? cast_poller_renew(d->fd, key_of(d))
                  : cast_poller_add(d->fd, key_of(d), pooled);
  cast_lock_drop(&table.lock);
  return rc == 0 || rc == CASTING_ENOMEM || rc == CASTING_ECLOSED
           ? rc
           : CASTING_EINVAL;
}

/* Under the lock: it is in the set, and counted for the right kind of session.
   0 or an error. */
static int enter_set_locked(cast_descriptor *d, int side, bool pooled) {
  int rc;
  if (CAST_UNLIKELY(d->how & CAST_UNPOLLED)) return 0;
  if (d->added && d->how & CAST_BORROWED && (rc = add_locked(d, pooled)) != 0)
    return rc;
  if (CAST_LIKELY(d->added)) {
    cast_poller_arm(
      d->fd, key_of(d), side == CAST_READ ? OS_READABLE : OS_WRITABLE);
    /* It stays the pool's while a task waits for it that may be the pool's. */
    if (d->pooled != pooled &&
        (pooled || (cast_list_is_empty(&d->side[CAST_READ].waiters) &&
                     cast_list_is_empty(&d->side[CAST_WRITE].waiters)))) {
      cast_poller_pooled(pooled);
      d->pooled = pooled;
    }
    return 0;
  }
  if ((rc = add_locked(d, pooled)) != 0) return rc;
  d->added = true;
  d->pooled = pooled;
  return 0;
}

int cast_descriptor_join(
  cast_descriptor *d, int side, cast_task *t, cast_waiter *w) {
  bool pooled =
    t->session == NULL || !t->session->hosted || !cast_poller_one_host();
  int rc;
  cast_lock_take(&d->lock);
  if (d->closing) {
    rc = CASTING_ECLOSED;
  } else if ((rc = enter_set_locked(d, side, pooled)) == 0 &&
             !cast_descriptor_is_ready(d, side)) {
    w->wait = &t->wait;
    w->lock = &d->lock;
    if (w == &t->waiter) {
      cast_wait_arm(t, CAST_WAIT_ONE);
      w->index = 0;
    }
    cast_list_push(&d->side[side].waiters, &w->link);
    rc = CAST_PARKED;
  }
  cast_lock_drop(&d->lock);
  return rc;
}

int cast_descriptor_watch(cast_descriptor *d, cast_watch *w, bool pooled) {
  int rc = CASTING_ECLOSED;
  cast_lock_take(&d->lock);
  if (!d->closing) rc = enter_set_locked(d, CAST_READ, pooled);
  if (rc == 0) d->watch = w;
  cast_lock_drop(&d->lock);
  return rc;
}

int cast_descriptor_wait(cast_descriptor *d, int side, cast_task *t) {
  return cast_descriptor_join(d, side, t, &t->waiter);
}

/* Under the lock: an event, or what somebody has left of one. */
static void become_ready_locked(
  cast_descriptor *d, int side, cast_list *woken) {
  /* PAIR edge: release. */
  atomic_store_explicit(&d->side[side].ready, true, memory_order_release);
  claim_locked(d, side, (d->how & CAST_ACCEPTS) == 0, 0, woken);
}

void cast_descriptor_pass(cast_descriptor *d, int side, cast_session *self) {
  cast_list woken;
  cast_list_init(&woken);
  cast_lock_take(&d->lock);
  become_ready_locked(d, side, &woken);
  cast_lock_drop(&d->lock);
  wake(&woken, self, NULL);
}

bool cast_descriptor_is_awaited(cast_descriptor *d, int side) {
  bool yes;
  cast_lock_take(&d->lock);
  yes = !cast_list_is_empty(&d->side[side].waiters);
  cast_lock_drop(&d->lock);
  return yes;
}

bool cast_descriptors_awaited(void) {
  cast_descriptor *d;
  for (uint32_t i = 0; (d = at_place(i)) != NULL; i++)
    if (cast_descriptor_is_awaited(d, CAST_READ) ||
        cast_descriptor_is_awaited(d, CAST_WRITE))
      return true;
  return false;
}

/* -- events --------------------------------------------------------------- */

static void tell(cast_watch *w, cast_session *self) {
  cast_object *o = w->object;
  w->tell(w, self);
  cast_unref(o);
}

void cast_descriptors_dispatch(
  const os_ready *ready, int n, cast_session *self, cast_jobs *jobs) {
  cast_list woken;
  cast_list_init(&woken);
  for (int i = 0; i < n; i++) {
    cast_descriptor *d;
    cast_watch *watch = NULL;
    if (ready[i].what == 0) continue; /* the break */
    d = at_place((uint32_t)ready[i].key);
    if (d == NULL) continue;
    cast_lock_take(&d->lock);
    if (d->generation == (uint32_t)(ready[i].key >> 32) && !d->closing) {
      /* PAIR edge: release; before the wake. */
      if (ready[i].what & OS_ENDED)
        atomic_store_explicit(&d->ended, true, memory_order_release);
      if (ready[i].what & OS_READABLE)
        become_ready_locked(d, CAST_READ, &woken);
      if (ready[i].what & OS_WRITABLE)
        become_ready_locked(d, CAST_WRITE, &woken);
      if (ready[i].what & OS_READABLE) watch = d->watch;
      if (watch != NULL && !cast_ref_if_alive(watch->object)) watch = NULL;
    }
    cast_lock_drop(&d->lock);
    if (CAST_UNLIKELY(watch != NULL)) tell(watch, self);
  }
  wake(&woken, self, jobs);
}
