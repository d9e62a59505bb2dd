/* fork.c - tests of what the runtime does in the child of a fork.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "../../src/big.h"
#include "../../src/fork.h"
#include "../../src/region.h"

static void is_fresh(void *arg) {
  CAST_UNUSED(arg);
  CAST_ALWAYS(!cast_forked);
  CAST_ALWAYS(cast_runtime_ref() == 0 && cast_sched_first() == 0);
  CAST_ALWAYS(cast_sched_workers() == 1);
  cast_runtime_unref(true);
}

static void is_refused(void *arg) {
  CAST_UNUSED(arg);
  CAST_ALWAYS(cast_forked);
  CAST_ALWAYS(cast_runtime_ref() == CASTING_EFORKED);
  cast_runtime_unref(true);
}

static void note_main(void *arg) {
  CAST_UNUSED(arg);
  cast_fork_note();
}

static void by_threads_of_ours(void **state) {
  CAST_UNUSED(state);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(cast_runtime_ref(), 0);
    assert_true(unit_child(is_fresh, NULL));
    assert_int_equal(cast_sysmon_start(), 0);
    assert_int_equal(cast_sysmon_start(), 0);
    assert_true(unit_child(is_refused, NULL));
    if (i > 0) assert_int_equal(cast_sched_first(), 0);
    assert_true(unit_child(is_refused, NULL));
    cast_runtime_unref(true);
    assert_true(unit_child(is_fresh, NULL));
  }
}

static void by_threads_of_the_programs(void **state) {
  CAST_UNUSED(state);
  os_thread t;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(cast_runtime_ref(), 0);
    cast_fork_note();
    cast_fork_note();
    assert_true(unit_child(is_fresh, NULL));
    assert_int_equal(os_thread_start(&t, note_main, NULL, "fork"), 0);
    os_thread_join(&t);
    assert_true(unit_child(is_refused, NULL));
    cast_runtime_unref(true);
    assert_true(unit_child(is_fresh, NULL));
  }
}

static void fork_main(void *arg) {
  CAST_UNUSED(arg);
  CAST_ALWAYS(unit_child(is_refused, NULL));
}

/* The one that forks has not called, but another one may be calling. */
static void by_a_thread_that_has_not_called(void **state) {
  CAST_UNUSED(state);
  os_thread t;
  assert_int_equal(cast_runtime_ref(), 0);
  assert_int_equal(os_thread_start(&t, fork_main, NULL, "fork"), 0);
  os_thread_join(&t);
  assert_true(unit_child(is_fresh, NULL));
  cast_runtime_unref(true);
}

/* A thread holds locks, wherever that is, while the process forks. */
static cast_lock low, high;
static _Atomic uint32_t stage;

static void hold_main(void *arg) {
  CAST_UNUSED(arg);
  cast_fork_note();
  cast_lock_take(&low);
  cast_lock_take(&high);
  unit_write(&stage, 1);
  while (unit_read(&stage) != 2) os_cede();
  cast_lock_drop(&high);
  cast_lock_drop(&low);
}

static void take_twice(void *arg) {
  CAST_UNUSED(arg);
  CAST_ALWAYS(cast_forked);
  for (int i = 0; i < 2; i++) {
    cast_lock_take(&low);
    cast_lock_take(&high);
    cast_lock_drop(&low);
    cast_lock_drop(&high);
  }
  CAST_ALWAYS(cast_lock_holds_none());
}

static void locks_of_others(void **state) {
  CAST_UNUSED(state);
  os_thread t;
  assert_int_equal(cast_runtime_ref(), 0);
  cast_lock_init(&low, CAST_RANK_SESSION);
  cast_lock_init(&high, CAST_RANK_LEAF);
  assert_int_equal(os_thread_start(&t, hold_main, NULL, "fork"), 0);
  while (unit_read(&stage) != 1) os_cede();
  assert_true(unit_child(take_twice, NULL));
  unit_write(&stage, 2);
  os_thread_join(&t);
  cast_runtime_unref(true);
}

/* The list of hosts changes while the process forks. */
static void come_and_go(void *arg) {
  CAST_UNUSED(arg);
  while (unit_read(&stage) == 0) {
    unit_host *h = unit_open(1);
    (void)unit_sleep(h->main, os_now());
    unit_shut(h);
  }
}

static void nothing(void *arg) { CAST_UNUSED(arg); }

static void hosts_of_others(void **state) {
  CAST_UNUSED(state);
  os_thread t[2];
  unit_write(&stage, 0);
  for (int i = 0; i < 2; i++)
    assert_int_equal(os_thread_start(&t[i], come_and_go, NULL, "fork"), 0);
  for (uint32_t i = 0; i < unit_times(50); i++)
    assert_true(unit_child(nothing, NULL));
  unit_write(&stage, 1);
  for (int i = 0; i < 2; i++) os_thread_join(&t[i]);
}

/* Memory is about to be taken or given back while the process forks. */
static _Atomic uint32_t begun;

static void take_and_give(void *arg) {
  void *slabs[4], *block;
  CAST_UNUSED(arg);
  cast_fork_note();
  atomic_fetch_add_explicit(&begun, 1, memory_order_relaxed);
  while (unit_read(&stage) == 0) {
    for (int i = 0; i < 4; i++)
      CAST_ALWAYS((slabs[i] = cast_region_slab(i == 0)) != NULL);
    for (int i = 0; i < 4; i++) cast_region_give(slabs[i]);
    CAST_ALWAYS((block = cast_big_alloc(CAST_BIG_MIN)) != NULL);
    cast_big_free(block, CAST_BIG_MIN);
  }
}

enum { MANY = 2 * CAST_REGION_SLABS + 3 };

/* With slabs that its parent had in use. */
static void use_memory(void *arg) {
  void **mine = arg, *slabs[MANY], *blocks[2];
  CAST_ALWAYS(cast_forked);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < MANY; i++) {
      slabs[i] = cast_region_slab(i % 3 == 0);
      CAST_ALWAYS(slabs[i] != NULL && slabs[i] != mine[0]);
      memset((char *)slabs[i] + sizeof mine, i, CAST_SLAB_SIZE - sizeof mine);
    }
    for (int i = 0; i < MANY; i++) {
      CAST_ALWAYS(((unsigned char *)slabs[i])[CAST_SLAB_SIZE - 1] == (i & 255));
      cast_region_give(slabs[i]);
    }
    for (int i = 0; i < 2; i++)
      CAST_ALWAYS((blocks[i] = cast_big_alloc(CAST_BIG_MIN)) != NULL);
    CAST_ALWAYS(blocks[0] != blocks[1]);
    for (int i = 0; i < 2; i++) cast_big_free(blocks[i], CAST_BIG_MIN);
    cast_region_give(mine[1]);
    mine[1] = cast_region_slab(false);
  }
  cast_region_give(mine[0]);
  cast_region_give(mine[1]);
  cast_region_flush();
}

static void memory_of_others(void **state) {
  CAST_UNUSED(state);
  os_thread t[2];
  void *mine[2];
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip(); /* these have locks of their own */
#endif
  assert_int_equal(cast_runtime_ref(), 0);
  for (int i = 0; i < 2; i++)
    assert_non_null(mine[i] = cast_region_slab(i == 1));
  unit_write(&stage, 0);
  for (int i = 0; i < 2; i++)
    assert_int_equal(os_thread_start(&t[i], take_and_give, NULL, "fork"), 0);
  while (unit_read(&begun) < 2) os_cede();
  for (uint32_t i = 0; i < unit_times(30); i++)
    assert_true(unit_child(use_memory, mine));
  unit_write(&stage, 1);
  for (int i = 0; i < 2; i++) os_thread_join(&t[i]);
  for (int i = 0; i < 2; i++) cast_region_give(mine[i]);
  cast_runtime_unref(true);
}

static _Atomic uint32_t freed;

static void count_free(cast_object *o) {
  CAST_UNUSED(o);
  unit_write(&freed, 1);
}

static void drop(void *arg) {
  cast_unref(arg);
  CAST_ALWAYS(unit_read(&freed) == 0);
}

static void objects_stay(void **state) {
  CAST_UNUSED(state);
  static const cast_type type = {"thing", count_free, NULL};
  cast_object o;
  cast_object_init(&o, &type);
  assert_int_equal(cast_runtime_ref(), 0);
  assert_int_equal(cast_sysmon_start(), 0);
  assert_true(unit_child(drop, &o));
  cast_runtime_unref(true);
  cast_unref(&o);
  assert_int_equal(unit_read(&freed), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(by_threads_of_ours, unit_clean),
    cmocka_unit_test_teardown(by_threads_of_the_programs, unit_clean),
    cmocka_unit_test_teardown(by_a_thread_that_has_not_called, unit_clean),
    cmocka_unit_test_teardown(locks_of_others, unit_clean),
    cmocka_unit_test_teardown(memory_of_others, unit_clean),
    cmocka_unit_test_teardown(hosts_of_others, unit_clean),
    cmocka_unit_test_teardown(objects_stay, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
