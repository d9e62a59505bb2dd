/* semaphore.c - tests of semaphores: order, hand-over, the end of a holder.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "../../src/semaphore.h"

/* -- one thread ----------------------------------------------------------- */

enum { TASKS = 6 };

static unit_session *still;
static unit_task *task[TASKS];
static cast_semaphore *sem;
static cast_permit *permit[TASKS];

static void begin(uint32_t size) {
  still = unit_still();
  sem = cast_semaphore_new(size, NULL);
  assert_non_null(sem);
  for (size_t i = 0; i < TASKS; i++) {
    task[i] = unit_task_new(&still->base, NULL, NULL);
    assert_non_null(task[i]);
    permit[i] = NULL;
  }
}

static void finish(void) {
  for (size_t i = 0; i < TASKS; i++) {
    if (permit[i] != NULL) cast_unref(&permit[i]->object);
    cast_unref(&task[i]->base.object);
  }
  assert_int_equal(cast_semaphore_available(sem), sem->size);
  cast_unref(&sem->object);
  unit_still_end(still);
}

/* Task i acquires a new permit, and drops its reference to the last one. */
static int acquire(size_t i, uint32_t weight, bool waits) {
  if (permit[i] != NULL) cast_unref(&permit[i]->object);
  permit[i] = cast_permit_new(sem, weight, NULL);
  assert_non_null(permit[i]);
  return cast_permit_acquire(permit[i], &task[i]->base, waits);
}

static bool release(size_t i) {
  return cast_permit_release(permit[i], &still->base);
}

static void end_task(size_t i) {
  cast_event_set(&task[i]->base.done, &still->base);
}

/* The next ready task is task i, its wait ended with `result`. */
static void expect_ready(size_t i, int result) {
  unit_task *t = unit_still_next(still);
  assert_ptr_equal(t, task[i]);
  assert_int_equal(t->base.wait.result, result);
  cast_wait_done(&t->base);
  cast_msg_drop(&t->base.waiter.msg);
  assert_int_equal(cast_permit_is_held(permit[i]), result == 0);
}

static void expect_nobody(void) { assert_null(unit_still_next(still)); }

static void so_many_and_no_more(void **state) {
  CAST_UNUSED(state);
  begin(3);
  assert_int_equal(acquire(0, 1, true), 0);
  assert_int_equal(acquire(1, 2, true), 0);
  assert_int_equal(cast_semaphore_available(sem), 0);
  assert_int_equal(acquire(2, 1, false), CASTING_EFULL);
  assert_false(cast_permit_is_held(permit[2]));
  assert_false(release(2));
  assert_true(release(1));
  assert_false(release(1));
  assert_int_equal(cast_semaphore_available(sem), 2);
  assert_int_equal(acquire(2, 2, false), 0);
  assert_true(release(0));
  assert_true(release(2));
  expect_nobody();
  finish();
}

static void first_come_first_served(void **state) {
  CAST_UNUSED(state);
  begin(2);
  assert_int_equal(acquire(0, 2, true), 0);
  assert_int_equal(acquire(1, 1, true), CAST_PARKED);
  assert_int_equal(acquire(2, 2, true), CAST_PARKED);
  assert_int_equal(acquire(3, 1, true), CAST_PARKED);
  assert_true(release(0));
  expect_ready(1, 0);
  expect_nobody(); /* 3 would fit, but 2 comes first */
  assert_int_equal(cast_semaphore_available(sem), 1);
  assert_int_equal(acquire(4, 1, false), CASTING_EFULL);
  assert_true(release(1));
  expect_ready(2, 0);
  expect_nobody();
  assert_true(release(2));
  expect_ready(3, 0);
  assert_true(release(3));
  finish();
}

static void several_are_served_at_once(void **state) {
  CAST_UNUSED(state);
  begin(4);
  assert_int_equal(acquire(0, 4, true), 0);
  for (size_t i = 1; i < TASKS; i++)
    assert_int_equal(acquire(i, 1, true), CAST_PARKED);
  assert_true(release(0));
  for (size_t i = 1; i < 5; i++) expect_ready(i, 0);
  expect_nobody();
  assert_true(release(3));
  expect_ready(5, 0);
  for (size_t i = 1; i < TASKS; i++) assert_int_equal(release(i), i != 3);
  finish();
}

static void who_leaves_lets_others_pass(void **state) {
  CAST_UNUSED(state);
  begin(2);
  assert_int_equal(acquire(0, 1, true), 0);
  assert_int_equal(acquire(1, 2, true), CAST_PARKED);
  assert_int_equal(acquire(2, 1, true), CAST_PARKED);
  assert_true(cast_wait_end(&task[1]->base, CASTING_ETIMEOUT));
  expect_ready(1, CASTING_ETIMEOUT);
  expect_nobody();
  cast_permit_drop(permit[1], &still->base);
  cast_permit_drop(permit[1], &still->base); /* again: nothing */
  expect_ready(2, 0);
  assert_int_equal(cast_semaphore_available(sem), 0);
  assert_true(release(2));
  assert_true(release(0));
  finish();
}

/* The task does not go on after its wait, but ends. */
static void who_ends_after_a_wait_lets_others_pass(void **state) {
  CAST_UNUSED(state);
  begin(1);
  assert_int_equal(acquire(0, 1, true), 0);
  assert_int_equal(acquire(1, 1, true), CAST_PARKED);
  assert_int_equal(acquire(2, 1, true), CAST_PARKED);
  assert_true(release(0));
  expect_ready(1, 0); /* has it, and does not know it yet */
  expect_nobody();
  end_task(1);
  expect_ready(2, 0);
  assert_int_equal(acquire(3, 1, true), CAST_PARKED);
  assert_int_equal(acquire(4, 1, true), CAST_PARKED);
  assert_true(cast_wait_end(&task[3]->base, CASTING_ECANCELLED));
  expect_ready(3, CASTING_ECANCELLED);
  end_task(3);
  assert_true(release(2));
  expect_ready(4, 0);
  end_task(4);
  finish();
}

static void the_end_of_a_task_releases(void **state) {
  CAST_UNUSED(state);
  begin(2);
  assert_int_equal(acquire(0, 2, true), 0);
  assert_int_equal(acquire(1, 2, true), CAST_PARKED);
  end_task(0);
  assert_false(release(0));
  expect_ready(1, 0);
  /* Nobody else has the permit. */
  cast_unref(&permit[1]->object);
  permit[1] = NULL;
  assert_int_equal(cast_semaphore_available(sem), 0);
  end_task(1);
  assert_int_equal(cast_semaphore_available(sem), 2);
  /* Nobody has the semaphore any more. */
  cast_semaphore *other = cast_semaphore_new(1, NULL);
  cast_permit *p = cast_permit_new(other, 1, NULL);
  assert_int_equal(cast_permit_acquire(p, &task[2]->base, true), 0);
  cast_unref(&other->object);
  cast_unref(&p->object);
  end_task(2);
  /* A task that has ended gets none. */
  assert_int_equal(acquire(2, 1, true), CASTING_ECLOSED);
  finish();
}

static void given_to_another_task(void **state) {
  CAST_UNUSED(state);
  begin(1);
  assert_int_equal(acquire(0, 1, true), 0);
  assert_true(cast_permit_give(permit[0], &still->base, &task[1]->base));
  assert_true(cast_permit_give(permit[0], &still->base, &task[1]->base));
  end_task(0);
  assert_true(cast_permit_is_held(permit[0]));
  assert_int_equal(acquire(2, 1, true), CAST_PARKED);
  assert_false(cast_permit_give(permit[2], &still->base, &task[3]->base));
  end_task(1);
  assert_false(cast_permit_is_held(permit[0]));
  expect_ready(2, 0);
  assert_int_equal(acquire(3, 1, true), CAST_PARKED);
  /* To one that has ended: it is released at once. */
  assert_true(cast_permit_give(permit[2], &still->base, &task[1]->base));
  expect_ready(3, 0);
  assert_false(cast_permit_give(permit[2], &still->base, &task[3]->base));
  assert_true(release(3));
  finish();
}

static void close_ends_the_waits(void **state) {
  CAST_UNUSED(state);
  begin(1);
  assert_int_equal(acquire(0, 1, true), 0);
  assert_int_equal(acquire(1, 1, true), CAST_PARKED);
  assert_int_equal(acquire(2, 1, true), CAST_PARKED);
  assert_false(cast_semaphore_is_closed(sem));
  assert_true(cast_semaphore_close(sem, &still->base));
  assert_false(cast_semaphore_close(sem, &still->base));
  assert_true(cast_semaphore_is_closed(sem));
  expect_ready(1, CASTING_ECLOSED);
  expect_ready(2, CASTING_ECLOSED);
  cast_permit_drop(permit[1], &still->base);
  end_task(2);
  assert_true(cast_permit_is_held(permit[0]));
  assert_int_equal(acquire(3, 1, true), CASTING_ECLOSED);
  assert_int_equal(acquire(3, 1, false), CASTING_ECLOSED);
  assert_true(release(0));
  assert_int_equal(acquire(3, 1, false), CASTING_ECLOSED);
  finish();
}

static void no_memory(void **state) {
  CAST_UNUSED(state);
  begin(1);
  cast_mem_fail_at(1);
  assert_null(cast_semaphore_new(1, NULL));
  cast_mem_fail_at(1);
  assert_null(cast_permit_new(sem, 1, NULL));
  permit[0] = cast_permit_new(sem, 1, NULL);
  permit[1] = cast_permit_new(sem, 1, NULL);
  cast_mem_fail_from(1);
  assert_int_equal(cast_permit_acquire(permit[0], &task[0]->base, true), 0);
  assert_int_equal(
    cast_permit_acquire(permit[1], &task[1]->base, true), CAST_PARKED);
  assert_true(release(0));
  expect_ready(1, 0);
  end_task(1);
  cast_mem_fail_at(0);
  finish();
}

/* -- many sessions -------------------------------------------------------- */

enum { SESSIONS = 4, EACH = 20, SIZE = 5, CORES = 4 };

static struct {
  cast_semaphore *sem;
  uint32_t count;        /* tries of each task */
  _Atomic uint32_t held; /* (a) places, as those count them who have them */
  _Atomic uint32_t got;  /* (a) permits */
  _Atomic uint32_t late; /* (a) timeouts */
} mix;

static void count_in(uint32_t weight) {
  uint32_t n =
    atomic_fetch_add_explicit(&mix.held, weight, memory_order_relaxed);
  CAST_ALWAYS(n + weight <= SIZE);
  unit_count(&mix.got);
}

static void count_out(uint32_t weight) {
  atomic_fetch_sub_explicit(&mix.held, weight, memory_order_relaxed);
}

/* Waits for a permit, some microseconds at most now and then. */
static int await_permit(unit_task *t, cast_permit *p) {
  uint64_t deadline = FOREVER;
  if (unit_random(&t->seed) % 3 == 0)
    deadline = os_now() + unit_random(&t->seed) % 60000;
  CAST_ALWAYS(unit_reserve(t, deadline) == 0);
  return unit_wait(t, cast_permit_acquire(p, &t->base, true), deadline);
}

/* `arg` is its permit. at: 0 it needs one, 1 it waits, 2 it has it and yields.
   One in eight permits is left to the end of its task. */
static bool acquire_many(unit_task *t) {
  cast_session *s = t->base.session;
  for (;;) {
    cast_permit *p = t->arg;
    int rc;
    if (t->at == 0) {
      if (t->n++ == mix.count) return true;
      p = cast_permit_new(
        mix.sem, 1 + (uint32_t)(unit_random(&t->seed) % SIZE), NULL);
      t->arg = p;
      t->at = 1;
      rc = await_permit(t, p);
    } else {
      CAST_ALWAYS(unit_over(t));
      rc = t->result;
    }
    if (rc == CAST_PARKED) return false;
    cast_msg_drop(&t->base.waiter.msg);
    if (t->at == 1 && rc == 0) {
      count_in(p->weight);
      t->at = 2;
      if (unit_random(&t->seed) % 2 == 0) {
        CAST_ALWAYS(unit_reserve(t, FOREVER) == 0);
        rc = unit_wait(t, cast_wait_turn(&t->base), FOREVER);
        if (rc == CAST_PARKED) return false;
      }
    }
    if (t->at == 2) {
      bool ends = unit_random(&t->seed) % 1024 == 0;
      count_out(p->weight);
      if (!ends) CAST_ALWAYS(cast_permit_release(p, s));
      cast_unref(&p->object);
      if (ends) return true;
    } else {
      CAST_ALWAYS(rc == CASTING_ETIMEOUT);
      unit_count(&mix.late);
      cast_permit_drop(p, s);
      cast_unref(&p->object);
    }
    t->at = 0;
  }
}

static void never_more_than_there_are(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(CORES);
  unit_session *s[SESSIONS];
  unit_task *t[SESSIONS][EACH];
  memset(&mix, 0, sizeof mix);
  mix.sem = cast_semaphore_new(SIZE, NULL);
  mix.count = unit_times(2000);
  for (size_t i = 0; i < SESSIONS; i++) {
    s[i] = unit_session_new();
    for (size_t k = 0; k < EACH; k++)
      t[i][k] = unit_spawn_as(NULL, s[i], acquire_many, NULL, k % 4 == 0);
  }
  for (size_t i = 0; i < SESSIONS; i++)
    for (size_t k = 0; k < EACH; k++) unit_join(h, t[i][k]);
  for (size_t i = 0; i < SESSIONS; i++) unit_close(h, s[i]);
  assert_int_equal(cast_semaphore_available(mix.sem), SIZE);
  assert_int_equal(mix.held, 0);
  assert_true(mix.got > 0);
  cast_unref(&mix.sem->object);
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(so_many_and_no_more, unit_clean),
    cmocka_unit_test_teardown(first_come_first_served, unit_clean),
    cmocka_unit_test_teardown(several_are_served_at_once, unit_clean),
    cmocka_unit_test_teardown(who_leaves_lets_others_pass, unit_clean),
    cmocka_unit_test_teardown(
      who_ends_after_a_wait_lets_others_pass, unit_clean),
    cmocka_unit_test_teardown(the_end_of_a_task_releases, unit_clean),
    cmocka_unit_test_teardown(given_to_another_task, unit_clean),
    cmocka_unit_test_teardown(close_ends_the_waits, unit_clean),
    cmocka_unit_test_teardown(no_memory, unit_clean),
    cmocka_unit_test_teardown(never_more_than_there_are, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
