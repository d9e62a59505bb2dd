/* lock.c - tests of the lock: exclusion, waiting, ranks.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include "../../src/lock.h"
#include "../../src/os/os.h"

enum { THREADS = 4, ROUNDS = 20000, CHANNELS = 5 };

static cast_lock lock;
static uint64_t counter; /* (lock) */

static void need_debug(void) {
  if (CAST_DEBUG < 1) skip();
}

static void take_and_drop(void **state) {
  CAST_UNUSED(state);
  cast_lock_init(&lock, CAST_RANK_LEAF);
  for (int i = 0; i < 3; i++) {
    cast_lock_take(&lock);
    assert_true(cast_lock_is_held(&lock));
    assert_int_equal(lock.word, 1);
    cast_lock_drop(&lock);
    assert_int_equal(lock.word, 0);
    assert_true(cast_lock_holds_none());
  }
}

static void count(void *arg) {
  CAST_UNUSED(arg);
  for (int i = 0; i < ROUNDS; i++) {
    cast_lock_take(&lock);
    counter++;
    cast_lock_drop(&lock);
    if (i % 64 == 0) os_cede();
  }
}

static void excludes(void **state) {
  CAST_UNUSED(state);
  os_thread thread[THREADS];
  cast_lock_init(&lock, CAST_RANK_LEAF);
  counter = 0;
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(os_thread_start(&thread[i], count, NULL, "lock"), 0);
  for (int i = 0; i < THREADS; i++) os_thread_join(&thread[i]);
  assert_int_equal(counter, THREADS * ROUNDS);
  assert_int_equal(lock.word, 0);
}

static void take_once(void *arg) {
  CAST_UNUSED(arg);
  CAST_ALWAYS(CAST_DEBUG < 1 || !cast_lock_is_held(&lock));
  cast_lock_take(&lock);
  counter++;
  cast_lock_drop(&lock);
}

static _Atomic uint32_t arrived;

static void take_late(void *arg) {
  atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed);
  take_once(arg);
}

/* All waiters have come, and some nap, before the lock is dropped once. */
static void waiters_get_it(void **state) {
  CAST_UNUSED(state);
  os_thread thread[THREADS];
  for (int round = 0; round < 50; round++) {
    cast_lock_init(&lock, CAST_RANK_LEAF);
    counter = 0;
    atomic_store_explicit(&arrived, 0, memory_order_relaxed);
    cast_lock_take(&lock);
    for (int i = 0; i < THREADS; i++)
      assert_int_equal(os_thread_start(&thread[i], take_late, NULL, "lock"), 0);
    while (atomic_load_explicit(&arrived, memory_order_relaxed) < THREADS)
      os_cede();
    for (int i = 0; i < round; i++) os_cede();
    assert_int_equal(counter, 0);
    cast_lock_drop(&lock);
    for (int i = 0; i < THREADS; i++) os_thread_join(&thread[i]);
    assert_int_equal(counter, THREADS);
    assert_int_equal(lock.word, 0);
  }
}

static void ranks_in_order(void **state) {
  CAST_UNUSED(state);
  static cast_lock low, channel[CHANNELS], high;
  cast_lock_init(&low, CAST_RANK_SESSION);
  cast_lock_init(&high, CAST_RANK_SCHED);
  for (int i = 0; i < CHANNELS; i++)
    cast_lock_init(&channel[i], CAST_RANK_CHAN);
  cast_lock_take(&low);
  for (int i = 0; i < CHANNELS; i++) cast_lock_take(&channel[i]);
  cast_lock_take(&high);
  /* Out of order: the middle, the oldest, then the rest. */
  cast_lock_drop(&channel[2]);
  cast_lock_drop(&low);
  if (CAST_DEBUG >= 1) {
    assert_false(cast_lock_is_held(&low));
    assert_true(cast_lock_is_held(&channel[3]));
    assert_false(cast_lock_holds_none());
  }
  cast_lock_drop(&high);
  cast_lock_drop(&channel[4]);
  cast_lock_take(&channel[4]);
  for (int i = 0; i < CHANNELS; i++)
    if (i != 2) cast_lock_drop(&channel[i]);
  assert_true(cast_lock_holds_none());
}

typedef struct pair {
  cast_lock first, second;
  cast_lock *taken[2];
} pair;

static void take_both(void *arg) {
  pair *p = arg;
  cast_lock_take(p->taken[0]);
  cast_lock_take(p->taken[1]);
}

static bool pair_dies(cast_rank first, cast_rank second, bool swapped) {
  static pair p;
  cast_lock_init(&p.first, first);
  cast_lock_init(&p.second, second);
  p.taken[0] = swapped ? &p.second : &p.first;
  p.taken[1] = swapped ? &p.first : &p.second;
  return unit_dies(take_both, &p);
}

static void wrong_ranks_are_proofs_broken(void **state) {
  CAST_UNUSED(state);
  need_debug();
  assert_true(pair_dies(CAST_RANK_SCHED, CAST_RANK_CHAN, false));
  assert_true(pair_dies(CAST_RANK_SCHED, CAST_RANK_SCHED, false));
  assert_true(pair_dies(CAST_RANK_CHAN, CAST_RANK_CHAN, true));
  assert_false(pair_dies(CAST_RANK_CHAN, CAST_RANK_CHAN, false));
  assert_false(pair_dies(CAST_RANK_CHAN, CAST_RANK_SCHED, false));
}

static void drop_unheld(void *arg) { cast_lock_drop(arg); }

static void drop_by_another_is_a_proof_broken(void **state) {
  CAST_UNUSED(state);
  need_debug();
  cast_lock_init(&lock, CAST_RANK_LEAF);
  assert_true(unit_dies(drop_unheld, &lock));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(take_and_drop),
    cmocka_unit_test(excludes),
    cmocka_unit_test(waiters_get_it),
    cmocka_unit_test(ranks_in_order),
    cmocka_unit_test(wrong_ranks_are_proofs_broken),
    cmocka_unit_test(drop_by_another_is_a_proof_broken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
