/* account.c - what a sandbox and all that it has made use together.
   SPDX-License-Identifier: MIT

   See account.h for owners and invariants. Locks: cast_members_lock, for the
   lists, and for the end of sessions. All atomics are relaxed: a figure says
   nothing about other memory. The references order the end of an account after
   all that was charged to it (PAIR refs). */
#include "account.h"

#include "mem.h"

cast_lock cast_members_lock = CAST_LOCK_STATIC(CAST_RANK_LEAF);

/* -- life ----------------------------------------------------------------- */

/* Accounts can be below each other to any depth, so this does not recurse: the
   parents whose last reference was this one's are freed in the loop. */
static void account_free(cast_object *o) {
  for (;;) {
    cast_account *a = CAST_CONTAINER(o, cast_account, object);
    cast_account *parent = a->parent;
    CAST_ASSERT(cast_account_used(a, CAST_BYTES) == 0);
    CAST_ASSERT(cast_account_used(a, CAST_TASKS) == 0);
    CAST_ASSERT(cast_list_is_empty(&a->made));
    CAST_ASSERT(cast_list_is_empty(&a->ends));
    CAST_ASSERT(a->open == 0);
    cast_free(a);
    if (parent == NULL || !cast_unref_last(&parent->object)) return;
    o = &parent->object;
  }
}

static const cast_type account_type = {"account", account_free, NULL};

cast_account *cast_account_new(cast_account *parent, const uint64_t *max) {
  cast_account *a = cast_calloc(sizeof *a);
  if (a == NULL) return NULL;
  cast_object_init(&a->object, &account_type);
  a->parent = cast_account_ref(parent);
  memcpy(a->max, max, sizeof a->max);
  cast_list_init(&a->made);
  cast_list_init(&a->ends);
  return a;
}

/* -- charging ------------------------------------------------------------- */

/* How much more one figure may become; UINT64_MAX: as much as wanted. */
static uint64_t room(const cast_account *a, cast_use use, uint64_t used) {
  if (a->max[use] == 0) return UINT64_MAX;
  return used < a->max[use] ? a->max[use] - used : 0;
}

static bool take_one(cast_account *a, cast_use use, uint64_t n) {
  uint64_t used = atomic_load_explicit(&a->used[use], memory_order_relaxed);
  do {
    if (n > room(a, use, used)) return false;
  } while (!atomic_compare_exchange_weak_explicit(&a->used[use], &used,
    used + n, memory_order_relaxed, memory_order_relaxed));
  return true;
}

/* Gives n back to a and those above it, up to `end`, which is left out. */
static void give_below(
  cast_account *a, const cast_account *end, cast_use use, uint64_t n) {
  for (; a != end; a = a->parent) {
    uint64_t old =
      atomic_fetch_sub_explicit(&a->used[use], n, memory_order_relaxed);
    CAST_ASSERT(old >= n);
    CAST_UNUSED(old);
  }
}

bool cast_account_take(cast_account *a, cast_use use, uint64_t n) {
  for (cast_account *at = a; at != NULL; at = at->parent) {
    if (take_one(at, use, n)) continue;
    give_below(a, at, use, n);
    return false;
  }
  return true;
}

void cast_account_add(cast_account *a, cast_use use, uint64_t n) {
  for (; a != NULL; a = a->parent)
    atomic_fetch_add_explicit(&a->used[use], n, memory_order_relaxed);
}

void cast_account_give(cast_account *a, cast_use use, uint64_t n) {
  give_below(a, NULL, use, n);
}

bool cast_account_hold(cast_account *a, size_t bytes) {
  if (!cast_account_take(a, CAST_BYTES, bytes)) return false;
  (void)cast_account_ref(a);
  return true;
}

void cast_account_release(cast_account *a, size_t bytes) {
  cast_account_give(a, CAST_BYTES, bytes);
  cast_account_unref(a);
}

/* -- figures -------------------------------------------------------------- */

uint64_t cast_account_left(const cast_account *a, cast_use use) {
  uint64_t left = UINT64_MAX;
  for (; a != NULL; a = a->parent) {
    uint64_t here = room(a, use, cast_account_used(a, use));
    if (here < left) left = here;
  }
  return left;
}

uint64_t cast_account_max(const cast_account *a, cast_use use) {
  uint64_t max = 0;
  for (; a != NULL; a = a->parent)
    if (a->max[use] != 0 && (max == 0 || a->max[use] < max)) max = a->max[use];
  return max;
}

const cast_account *cast_account_full(const cast_account *a, cast_use use) {
  while (a != NULL && room(a, use, cast_account_used(a, use)) > 0)
    a = a->parent;
  return a;
}

bool cast_account_is_below(const cast_account *a, const cast_account *above) {
  while (a != NULL && a != above) a = a->parent;
  return a != NULL;
}

/* -- sessions ------------------------------------------------------------- */

bool cast_account_enter(cast_account *a) {
  bool ending = false;
  cast_lock_take(&cast_members_lock);
  for (; a != NULL; a = a->parent) {
    a->open++;
    ending = ending || a->ending;
  }
  cast_lock_drop(&cast_members_lock);
  return ending;
}

bool cast_account_leave(cast_account *a) {
  bool last;
  cast_lock_take(&cast_members_lock);
  CAST_ASSERT(a->open > 0);
  last = --a->open == 0;
  cast_lock_drop(&cast_members_lock);
  return last;
}

/* A caller that has ended an account above this one asks the sessions of this
   one to close, too. */
bool cast_account_end(cast_account *a) {
  bool ending, others;
  cast_lock_take(&cast_members_lock);
  ending = a->ending;
  for (const cast_account *at = a->parent; at != NULL && !ending;
       at = at->parent)
    ending = at->ending;
  a->ending = true;
  others = a->open > 1;
  cast_lock_drop(&cast_members_lock);
  return !ending && others;
}

void cast_account_note_end(cast_account *a, uint64_t now_ns) {
  cast_lock_take(&cast_members_lock);
  for (; a != NULL; a = a->parent)
    if (a->ending &&
        atomic_load_explicit(&a->ends_ns, memory_order_relaxed) == 0)
      atomic_store_explicit(&a->ends_ns, now_ns, memory_order_relaxed);
  cast_lock_drop(&cast_members_lock);
}

uint64_t cast_account_ends(const cast_account *a) {
  uint64_t first = UINT64_MAX;
  for (; a != NULL; a = a->parent) {
    uint64_t at = atomic_load_explicit(&a->ends_ns, memory_order_relaxed);
    if (at != 0 && at < first) first = at;
  }
  return first;
}

/* -- what may lead to itself ---------------------------------------------- */

/* The charge, and a reference to the account, are the caller's, and go to the
   member. */
static cast_member *make_member(cast_account *a, cast_object *o, size_t bytes) {
  cast_member *m = cast_calloc(sizeof *m);
  if (m == NULL) {
    cast_account_release(a, bytes);
    return NULL;
  }
  m->object = o;
  m->account = a;
  m->bytes = bytes;
  cast_lock_take(&cast_members_lock);
  cast_list_push(&a->made, &m->link);
  cast_lock_drop(&cast_members_lock);
  return m;
}

cast_member *cast_member_new(cast_account *a, cast_object *o, size_t bytes) {
  bytes += sizeof(cast_member);
  if (!cast_account_hold(a, bytes)) return NULL;
  return make_member(a, o, bytes);
}

cast_member *cast_member_add(cast_account *a, cast_object *o) {
  cast_account_add(a, CAST_BYTES, sizeof(cast_member));
  return make_member(cast_account_ref(a), o, sizeof(cast_member));
}

void cast_member_free(cast_member *m) {
  cast_lock_take(&cast_members_lock);
  cast_list_remove(&m->link);
  cast_lock_drop(&cast_members_lock);
  cast_account_release(m->account, m->bytes);
  cast_free(m);
}

/* -- what ends with a session --------------------------------------------- */

void cast_dependent_add(cast_account *a, cast_dependent *d) {
  cast_lock_take(&cast_members_lock);
  d->holders = 2;
  cast_list_push(&a->ends, &d->link);
  cast_lock_drop(&cast_members_lock);
}

bool cast_dependent_drop(cast_dependent *d) {
  bool last;
  cast_lock_take(&cast_members_lock);
  if (!cast_list_is_empty(&d->link)) d->holders--;
  cast_list_remove(&d->link);
  last = --d->holders == 0;
  cast_lock_drop(&cast_members_lock);
  return last;
}

void cast_account_close(cast_account *a) {
  cast_list *l;
  do {
    cast_lock_take(&cast_members_lock);
    l = cast_list_shift(&a->ends);
    cast_lock_drop(&cast_members_lock);
    if (l != NULL) {
      cast_dependent *d = CAST_CONTAINER(l, cast_dependent, link);
      d->end(d);
    }
  } while (l != NULL);
}

/* -- charges -------------------------------------------------------------- */

static void charge_free(cast_object *o) {
  cast_charge *c = CAST_CONTAINER(o, cast_charge, object);
  cast_account *a = c->account;
  cast_charge_end(c);
  cast_free(c);
  cast_account_unref(a);
}

const cast_type cast_charge_type = {"charge", charge_free, NULL};

cast_charge *cast_charge_new(cast_account *a, size_t bytes) {
  cast_charge *c;
  if (bytes > SIZE_MAX - sizeof *c) return NULL;
  bytes += sizeof *c;
  if (!cast_account_hold(a, bytes)) return NULL;
  c = cast_alloc(sizeof *c);
  if (c == NULL) {
    cast_account_release(a, bytes);
    return NULL;
  }
  cast_object_init(&c->object, &cast_charge_type);
  c->account = a;
  atomic_init(&c->bytes, bytes);
  return c;
}

void cast_charge_end(cast_charge *c) {
  /* Relaxed: a figure. */
  size_t bytes = atomic_exchange_explicit(&c->bytes, 0, memory_order_relaxed);
  cast_account_give(c->account, CAST_BYTES, bytes);
}
