/* worker.c - tests of the pool's threads: start, preempt, end.
   SPDX-License-Identifier: MIT

   The pool is started here without a runtime, so there is no monitor. */
#include "fixture.h"

#include "../../src/timer.h"

static _Atomic uint32_t nsysmon_wakes; /* (a) */

static void wake_sysmon(void) { unit_count(&nsysmon_wakes); }

static void open_pool(uint32_t cores) {
  cast_contexts_init();
  cast_timers_init();
  cast_workers_init();
  cast_sched_init(cores, cast_worker_start, wake_sysmon);
}

static void close_pool(void) {
  cast_sched_stop();
  assert_true(cast_workers_join(os_now() + PATIENCE_NS));
  assert_int_equal(cast_sched_workers(), 0);
  cast_sched_fini();
  cast_timers_fini();
  cast_contexts_fini();
}

static void await(_Atomic uint32_t *n, uint32_t enough) {
  uint64_t patience = os_now() + PATIENCE_NS;
  /* Acquire, as counting it releases. */
  while (atomic_load_explicit(n, memory_order_acquire) < enough) {
    assert_true(os_now() < patience);
    os_cede();
  }
}

static void count(_Atomic uint32_t *n) {
  atomic_fetch_add_explicit(n, 1, memory_order_release);
}

/* Asks it to close, and drops the handle: nobody can wait here. */
static void let_go(unit_session *s) {
  unit_ask_to_close(s, NULL);
  cast_unref(&s->base.object);
}

/* -- who runs it ---------------------------------------------------------- */

static _Atomic uint32_t ndone; /* (a) */

static bool look(unit_task *t) {
  cast_worker *w = cast_worker_of(t->base.session);
  CAST_ALWAYS(w != NULL && cast_runner_session(&w->runner) == t->base.session);
  CAST_ALWAYS(w->core != NULL && w->runner.worker == w);
  CAST_ALWAYS(t->base.session->runner == &w->runner);
  if (t->at++ == 0) {
    cast_task_yield(&t->base);
    return false;
  }
  count(&ndone);
  return true;
}

static void worker_of_a_session(void **state) {
  CAST_UNUSED(state);
  unit_write(&ndone, 0);
  unit_write(&unit_nfreed, 0);
  open_pool(2);
  assert_null(cast_worker_of(NULL));
  for (uint32_t i = 1; i <= 20; i++) {
    unit_session *s = unit_session_new();
    cast_unref(&unit_spawn(s, look, NULL)->base.object);
    await(&ndone, i);
    let_go(s);
  }
  await(&unit_nfreed, 20);
  close_pool();
}

/* -- start and end -------------------------------------------------------- */

static void started_and_joined(void **state) {
  CAST_UNUSED(state);
  for (uint32_t round = 0; round < unit_times(300); round++) {
    uint32_t n = round % 5;
    open_pool(1 + round % 4);
    unit_write(&ndone, 0);
    unit_write(&unit_nfreed, 0);
    if (round % 7 == 0) assert_int_equal(cast_sched_first(), 0);
    for (uint32_t i = 0; i < n; i++) {
      unit_session *s = unit_session_new();
      cast_unref(&unit_spawn(s, look, NULL)->base.object);
      cast_unref(&s->base.object);
    }
    await(&unit_nfreed, n);
    assert_int_equal(ndone, n);
    close_pool();
  }
}

static _Atomic uint32_t go_on; /* (a) */

static bool spin_until(unit_task *t) {
  count(&ndone);
  while (unit_read(&go_on) == 0) os_cede();
  CAST_UNUSED(t);
  return true;
}

static void join_gives_up_in_time(void **state) {
  CAST_UNUSED(state);
  open_pool(2);
  unit_write(&ndone, 0);
  unit_write(&go_on, 0);
  unit_session *s = unit_session_new();
  cast_unref(&unit_spawn(s, spin_until, NULL)->base.object);
  cast_unref(&s->base.object);
  await(&ndone, 1);
  cast_sched_stop();
  assert_false(cast_workers_join(1));
  uint64_t deadline = os_now() + 5 * MS;
  assert_false(cast_workers_join(deadline));
  assert_true(os_now() >= deadline);
  unit_write(&go_on, 1);
  close_pool();
}

static void no_memory_for_a_worker(void **state) {
  CAST_UNUSED(state);
  open_pool(2);
  for (int i = 0; i < 3; i++) {
    cast_mem_fail_at(1);
    assert_int_equal(cast_sched_first(), CASTING_ENOMEM);
    assert_true(cast_mem_has_failed());
    assert_int_equal(cast_sched_busy(), 0);
    assert_int_equal(cast_sched_workers(), 0);
  }
  cast_mem_fail_at(0);
  /* The first can be had, and no other: all sessions run all the same. */
  unit_write(&ndone, 0);
  unit_write(&unit_nfreed, 0);
  assert_int_equal(cast_sched_first(), 0);
  unit_session *s[10];
  for (int i = 0; i < 10; i++) s[i] = unit_session_new();
  unit_task *t[10];
  for (int i = 0; i < 10; i++) t[i] = unit_task_new(&s[i]->base, look, NULL);
  cast_mem_fail_from(1);
  for (int i = 0; i < 10; i++)
    assert_int_equal(cast_task_start(&t[i]->base, NULL), 0);
  await(&ndone, 10);
  cast_mem_fail_at(0);
  for (int i = 0; i < 10; i++) {
    cast_unref(&t[i]->base.object);
    let_go(s[i]);
  }
  await(&unit_nfreed, 10);
  close_pool();
}

/* -- preempt signals ------------------------------------------------------ */

static _Atomic uint32_t npreempts; /* (a) */

/* As in a signal handler. */
static void on_preempt(cast_session *s) {
  unit_task *t =
    atomic_load_explicit(&unit_session_of(s)->running, memory_order_relaxed);
  if (t == NULL) return;
  /* What a preempt signal is for: something of the task that runs. */
  CAST_ALWAYS(t->base.session == s && t->run != NULL);
  unit_count(&npreempts);
}

static const cast_session_ops preempted_ops = {
  .wake = unit_wake,
  .resume = unit_resume,
  .close = unit_on_close,
  .free = unit_session_free,
  .preempt = on_preempt,
};

static unit_session *preempted_session(void) {
  CAST_ALWAYS(cast_sched_first() == 0);
  unit_session *s = unit_session_with(&preempted_ops, false);
  CAST_ALWAYS(s != NULL);
  return s;
}

static bool until_signalled(unit_task *t) {
  CAST_UNUSED(t);
  uint64_t patience = os_now() + PATIENCE_NS;
  count(&ndone);
  /* The clock: ThreadSanitizer hands signals on in library calls only. */
  while (unit_read(&npreempts) == 0) CAST_ALWAYS(os_now() < patience);
  return true;
}

static void preempt_reaches_who_computes(void **state) {
  CAST_UNUSED(state);
  open_pool(2);
  cast_workers_preempt(NULL); /* nobody there */
  for (uint32_t i = 0; i < unit_times(50); i++) {
    unit_session *s = preempted_session();
    unit_write(&ndone, 0);
    unit_write(&npreempts, 0);
    unit_write(&unit_nfreed, 0);
    cast_unref(&unit_spawn(s, until_signalled, NULL)->base.object);
    await(&ndone, 1);
    cast_workers_preempt(NULL);
    let_go(s);
    await(&unit_nfreed, 1);
    cast_workers_preempt(NULL); /* nobody runs */
  }
  close_pool();
}

static bool short_life(unit_task *t) {
  for (uint64_t k = unit_random(&t->seed) % 200; k > 0; k--) os_relax();
  if (t->at++ > unit_random(&t->seed) % 4) return true;
  if (!unit_over(t) && t->at % 2 != 0) {
    if (unit_sleep(t, os_now() + unit_random(&t->seed) % 3000) == CAST_PARKED)
      return false;
  }
  cast_task_yield(&t->base);
  return false;
}

/* At any moment: of a task's start and end, of a switch of stacks, of a close,
   of a worker's start and end. */
static void preempt_at_any_moment(void **state) {
  CAST_UNUSED(state);
  uint32_t n = unit_times(100);
  for (uint32_t round = 0; round < 20; round++) {
    open_pool(1 + round % 3);
    unit_write(&unit_nfreed, 0);
    for (uint32_t i = 0; i < n; i++) {
      unit_session *s = preempted_session();
      for (uint32_t k = 0; k < 3; k++) {
        unit_task *t = unit_spawn_as(NULL, s, short_life, NULL, k == 0);
        cast_unref(&t->base.object);
        cast_workers_preempt(NULL);
      }
      cast_unref(&s->base.object);
      /* No monitor: alarms ring here. */
      cast_timer_sleep(cast_timer_ticket(), 1);
    }
    uint64_t patience = os_now() + PATIENCE_NS;
    while (unit_read(&unit_nfreed) < n) {
      assert_true(os_now() < patience);
      cast_workers_preempt(NULL);
      cast_timer_sleep(cast_timer_ticket(), os_now() + MS / 10);
      uint64_t next = FOREVER;
      (void)cast_workers_check(os_now(), &next);
    }
    close_pool();
  }
}

/* -- elastic -------------------------------------------------------------- */

static _Atomic uint32_t gate;   /* (a) 1: those that sleep may go on */
static _Atomic uint32_t nstuck; /* (a) tasks asleep in "foreign code" */

/* As a read from a slow device: casting knows nothing of this sleep. */
static bool sleep_in_c(unit_task *t) {
  CAST_UNUSED(t);
  count(&nstuck);
  while (unit_read(&gate) == 0) (void)os_wait(&gate, 0, FOREVER);
  count(&ndone);
  return true;
}

static bool finish_at_once(unit_task *t) {
  CAST_UNUSED(t);
  count(&ndone);
  return true;
}

/* Looks as sysmon does, until n has counted enough. */
static void look_until(_Atomic uint32_t *n, uint32_t enough) {
  uint64_t patience = os_now() + PATIENCE_NS;
  while (atomic_load_explicit(n, memory_order_acquire) < enough) {
    uint64_t next = FOREVER;
    assert_true(os_now() < patience);
    (void)cast_workers_check(os_now(), &next);
    (void)os_wait(n, unit_read(n), os_now() + MS);
  }
}

/* All permits are with threads that sleep in C; others must go on, first one
   after the other gets stuck itself, then one that does not. */
static void stuck_threads_are_made_up_for(void **state) {
  enum { N = 6 };
  unit_session *s[N + 1];
  CAST_UNUSED(state);
  unit_write(&gate, 0);
  unit_write(&nstuck, 0);
  unit_write(&ndone, 0);
  unit_write(&unit_nfreed, 0);
  open_pool(2);
  for (int i = 0; i < N; i++) {
    s[i] = unit_session_new();
    cast_unref(&unit_spawn(s[i], sleep_in_c, NULL)->base.object);
  }
  look_until(&nstuck, N);
  assert_true(cast_sched_workers() >= N);
  s[N] = unit_session_new();
  cast_unref(&unit_spawn(s[N], finish_at_once, NULL)->base.object);
  look_until(&ndone, 1);
  /* Nobody uses a permit now, so an idle process may fall asleep. */
  uint64_t patience = os_now() + PATIENCE_NS;
  while (cast_sched_busy() > 0) {
    uint64_t next = FOREVER;
    assert_true(os_now() < patience);
    (void)cast_workers_check(os_now(), &next);
    (void)os_wait(&ndone, 1, os_now() + MS);
  }
  assert_false(cast_sched_has_waiting());
  unit_write(&gate, 1);
  os_wake(&gate, N);
  await(&ndone, N + 1);
  for (int i = 0; i <= N; i++) let_go(s[i]);
  await(&unit_nfreed, N + 1);
  close_pool();
}

/* With no minimum all threads end, in a while; and are there when needed. */
static void idle_threads_retire(void **state) {
  CAST_UNUSED(state);
  unit_write(&unit_nfreed, 0);
  unit_write(&ndone, 0);
  open_pool(3);
  cast_sched_bounds(0, CAST_WORKERS_MAX);
  for (uint32_t round = 1; round <= 2; round++) {
    unit_session *s[4];
    for (int i = 0; i < 4; i++) {
      s[i] = unit_session_new();
      cast_unref(&unit_spawn(s[i], finish_at_once, NULL)->base.object);
    }
    await(&ndone, 4 * round);
    for (int i = 0; i < 4; i++) let_go(s[i]);
    await(&unit_nfreed, 4 * round);
    if (round == 1) assert_true(cast_workers_join(os_now() + PATIENCE_NS));
    /* From now on those stay that come. */
    cast_sched_bounds(CAST_WORKERS_MAX, CAST_WORKERS_MAX);
  }
  assert_true(cast_sched_workers() > 0);
  close_pool();
}

/* A task that leaves its slice when signalled, as the binding's hook does. */
static bool until_preempted(unit_task *t) {
  uint64_t patience = os_now() + PATIENCE_NS;
  if (t->at++ == 0) {
    unit_write(&npreempts, 0);
    while (unit_read(&npreempts) == 0) CAST_ALWAYS(os_now() < patience);
    cast_task_preempt(&t->base);
    return false;
  }
  CAST_ALWAYS(unit_read(&ndone) >= 1); /* the other had its turn */
  count(&ndone);
  return true;
}

static void slices_end_when_others_wait(void **state) {
  CAST_UNUSED(state);
  unit_write(&unit_nfreed, 0);
  unit_write(&ndone, 0);
  open_pool(1);
  cast_sched_bounds(1, 1);
  unit_session *s = preempted_session(), *other = unit_session_new();
  cast_unref(&unit_spawn(s, until_preempted, NULL)->base.object);
  cast_unref(&unit_spawn(other, finish_at_once, NULL)->base.object);
  look_until(&ndone, 2);
  let_go(s);
  let_go(other);
  await(&unit_nfreed, 2);
  close_pool();
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(worker_of_a_session, unit_clean),
    cmocka_unit_test_teardown(started_and_joined, unit_clean),
    cmocka_unit_test_teardown(join_gives_up_in_time, unit_clean),
    cmocka_unit_test_teardown(no_memory_for_a_worker, unit_clean),
    cmocka_unit_test_teardown(preempt_reaches_who_computes, unit_clean),
    cmocka_unit_test_teardown(preempt_at_any_moment, unit_clean),
    cmocka_unit_test_teardown(stuck_threads_are_made_up_for, unit_clean),
    cmocka_unit_test_teardown(idle_threads_retire, unit_clean),
    cmocka_unit_test_teardown(slices_end_when_others_wait, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
