/* sysmon.c - tests of sysmon: its sleep, timers, run-next slots that it
   releases.
   SPDX-License-Identifier: MIT

   Sysmon is compiled into this file, with a hook in front of its sleep:
   what happens between its last look and its sleep can so be made to happen. */
#include "fixture.h"

#include "../../src/timer.h"

static void hooked_sleep(uint32_t ticket, uint64_t until_ns);
#define cast_timer_sleep hooked_sleep
#include "../../src/sysmon.c"
#undef cast_timer_sleep

static _Atomic uint32_t nsleeps;    /* (a) futex: times that it went to sleep */
static _Atomic uint32_t ndeep;      /* (a) futex: into deep sleep */
static _Atomic uint32_t nticks;     /* (a) to sleep for a tick */
static void (*at_deep_sleep)(void); /* (i) while sysmon runs, or NULL */

static void hooked_sleep(uint32_t ticket, uint64_t until_ns) {
  if (until_ns == OS_FOREVER && at_deep_sleep != NULL) at_deep_sleep();
  unit_count(&nsleeps);
  unit_count(until_ns == OS_FOREVER ? &ndeep : &nticks);
  os_wake(&ndeep, 1);
  cast_timer_sleep(ticket, until_ns);
}

static void await(_Atomic uint32_t *n, uint32_t enough) {
  uint64_t patience = os_now() + PATIENCE_NS;
  while (unit_read(n) < enough) {
    assert_true(os_now() < patience);
    (void)os_wait(n, unit_read(n), os_now() + MS);
  }
}

/* -- sysmon alone --------------------------------------------------------- */

static int no_worker(cast_core *core) {
  CAST_UNUSED(core);
  return CASTING_ENOMEM;
}

static void begin(void (*hook)(void)) {
  cast_timers_init();
  cast_sched_init(2, no_worker, cast_sysmon_wake);
  at_deep_sleep = hook;
  unit_write(&nsleeps, 0);
  unit_write(&ndeep, 0);
  unit_write(&nticks, 0);
  assert_int_equal(cast_sysmon_start(), 0);
}

static void finish(void) {
  cast_sysmon_stop();
  cast_sched_fini();
  cast_timers_fini();
}

static void stopped_at_any_moment(void **state) {
  CAST_UNUSED(state);
  for (uint32_t i = 0; i < unit_times(200); i++) {
    begin(NULL);
    await(&nsleeps, i % 5);
    if (i % 20 == 0) await(&ndeep, 1);
    finish();
  }
}

/* An idle pool: after some looks it sleeps until it is woken. */
static void idle_makes_no_wake_ups(void **state) {
  CAST_UNUSED(state);
  begin(NULL);
  await(&ndeep, 1);
  uint32_t n = unit_read(&nsleeps);
  assert_true(n > CAST_QUIET_TICKS);
  uint64_t until = os_now() + 50 * MS;
  while (os_now() < until) (void)os_wait(&ndeep, 1, until);
  assert_int_equal(unit_read(&nsleeps), n);
  cast_sysmon_wake();
  await(&nsleeps, n + 1);
  await(&ndeep, 2);
  finish();
}

/* A core gets busy just after sysmon has seen that none is. */
static _Atomic uint32_t armed; /* (a) the hook is to do something, once */

static bool disarm(void) {
  return atomic_exchange_explicit(&armed, 0, memory_order_relaxed) != 0;
}

static void wake_late(void) {
  if (disarm()) cast_sysmon_wake();
}

static void woken_while_it_falls_asleep(void **state) {
  CAST_UNUSED(state);
  for (uint32_t i = 0; i < unit_times(20); i++) {
    unit_write(&armed, 1);
    begin(wake_late);
    await(&ndeep, 1);
    await(&ndeep, 2); /* it has looked again */
    finish();
  }
}

static void stop_late(void) {
  if (!disarm()) return;
  atomic_store_explicit(&sysmon.stopping, 1, memory_order_release);
  cast_timer_kick();
}

static void stopped_while_it_falls_asleep(void **state) {
  CAST_UNUSED(state);
  for (uint32_t i = 0; i < unit_times(20); i++) {
    unit_write(&armed, 1);
    begin(stop_late);
    os_thread_join(&sysmon.thread);
    atomic_store_explicit(&sysmon.runs, false, memory_order_relaxed);
    assert_int_equal(unit_read(&ndeep), 1);
    cast_sched_fini();
    cast_timers_fini();
  }
}

typedef struct alarm_clock {
  cast_timer timer;
  _Atomic uint32_t rung; /* (a) */
  uint64_t deadline;
} alarm_clock;

static bool on_alarm(cast_timer *t) {
  alarm_clock *a = CAST_CONTAINER(t, alarm_clock, timer);
  CAST_ALWAYS(os_now() >= a->deadline);
  unit_count(&a->rung);
  return false;
}

/* A timer that fires does not make it look at an idle pool every tick again. */
static void timers_in_deep_sleep(void **state) {
  CAST_UNUSED(state);
  begin(NULL);
  await(&ndeep, 1);
  uint32_t n = unit_read(&nticks);
  for (uint32_t i = 0; i < unit_times(20); i++) {
    alarm_clock a = {.timer.fire = on_alarm};
    uint32_t deep = unit_read(&ndeep);
    a.deadline = os_now() + i % 4 * MS;
    assert_int_equal(cast_timer_set(&a.timer, a.deadline), 0);
    await(&a.rung, 1);
    cast_timer_remove(&a.timer);
    await(&ndeep, deep + 1);
  }
  assert_int_equal(unit_read(&nticks), n);
  finish();
}

/* -- releasing the run-next slot ------------------------------------------ */

static _Atomic uint32_t has_run; /* (a) */

static bool run_once(unit_task *t) {
  CAST_UNUSED(t);
  unit_write(&has_run, 1);
  return true;
}

/* Makes another session ready, which goes into this worker's run-next slot,
   and computes until that one has run. */
static bool spin_until_run(unit_task *t) {
  uint64_t patience = os_now() + PATIENCE_NS;
  unit_session *other = t->arg;
  unit_write(&has_run, 0);
  unit_task *o = unit_spawn_as(t->base.session, other, run_once, NULL, false);
  cast_unref(&o->base.object);
  while (unit_read(&has_run) == 0) CAST_ALWAYS(os_now() < patience);
  return true;
}

static void behind_one_that_computes(void **state) {
  CAST_UNUSED(state);
  at_deep_sleep = NULL;
  unit_write(&ndeep, 0);
  unit_host *h = unit_open(2);
  unit_session *s = unit_session_new(), *other = unit_session_new();
  for (uint32_t i = 0; i < unit_times(30); i++) {
    /* While it ticks, and out of its deep sleep. */
    if (i % 10 == 9) {
      uint32_t n = unit_read(&ndeep);
      if (cast_sched_busy() > 0) await(&ndeep, n + 1);
    }
    unit_join(h, unit_spawn(s, spin_until_run, other));
  }
  unit_close(h, s);
  unit_close(h, other);
  unit_shut(h);
}

/* The same, with a core that is only free after a while. */
static void when_a_core_becomes_free(void **state) {
  CAST_UNUSED(state);
  at_deep_sleep = NULL;
  unit_host *h = unit_open(2);
  unit_session *s[2], *other[2];
  for (int i = 0; i < 2; i++) {
    s[i] = unit_session_new();
    other[i] = unit_session_new();
  }
  for (uint32_t i = 0; i < unit_times(10); i++) {
    unit_task *t[2];
    cast_sched_limit(1);
    for (int k = 0; k < 2; k++)
      t[k] = unit_spawn(s[k], spin_until_run, other[k]);
    for (uint64_t until = os_now() + i % 3 * MS; os_now() < until;) os_cede();
    cast_sched_limit(3);
    for (int k = 0; k < 2; k++) unit_join(h, t[k]);
  }
  for (int i = 0; i < 2; i++) {
    unit_close(h, s[i]);
    unit_close(h, other[i]);
  }
  unit_shut(h);
}

/* -- threads that cannot be started --------------------------------------- */

static _Atomic uint32_t refusals; /* (a) starts that are to fail */
static _Atomic uint32_t let_go;   /* (a) futex: the stuck one may go on */

static int refuse_some(cast_core *core) {
  uint32_t n = unit_read(&refusals);
  while (n > 0)
    if (atomic_compare_exchange_weak_explicit(
          &refusals, &n, n - 1, memory_order_relaxed, memory_order_relaxed))
      return CASTING_ENOMEM;
  return cast_worker_start(core);
}

/* Sleeps as foreign code would. */
static bool sit(unit_task *t) {
  CAST_UNUSED(t);
  while (unit_read(&let_go) == 0) (void)os_wait(&let_go, 0, OS_FOREVER);
  return true;
}

static void let_close(unit_session *s) {
  unit_ask_to_close(s, NULL);
  cast_unref(&s->base.object);
}

/* The one worker is stuck, and another cannot be started, some times: the job
   does not wait for the stuck one. Threads that fail before there is a job
   for them are no matter. */
static void tries_again_to_start_a_thread(void **state) {
  CAST_UNUSED(state);
  at_deep_sleep = NULL;
  for (uint32_t times = 1; times <= 64; times *= 8) {
    unit_write(&refusals, 0);
    unit_write(&let_go, 0);
    unit_write(&has_run, 0);
    cast_contexts_init();
    cast_timers_init();
    cast_workers_init();
    cast_sched_init(2, refuse_some, cast_sysmon_wake);
    assert_int_equal(cast_sysmon_start(), 0);
    unit_session *stuck = unit_session_new(), *quick = unit_session_new();
    cast_unref(&unit_spawn(stuck, sit, NULL)->base.object);
    /* Until its permit has been taken away. */
    uint64_t patience = os_now() + PATIENCE_NS;
    while (cast_sched_busy() > 0) {
      assert_true(os_now() < patience);
      os_cede();
    }
    unit_write(&refusals, times);
    cast_unref(&unit_spawn(quick, run_once, NULL)->base.object);
    await(&has_run, 1);
    assert_int_equal(unit_read(&refusals), 0);
    unit_write(&let_go, 1);
    os_wake(&let_go, 1);
    let_close(stuck);
    let_close(quick);
    cast_sched_stop();
    assert_true(cast_workers_join(os_now() + PATIENCE_NS));
    cast_sysmon_stop();
    cast_sched_fini();
    cast_timers_fini();
    cast_contexts_fini();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(stopped_at_any_moment, unit_clean),
    cmocka_unit_test_teardown(idle_makes_no_wake_ups, unit_clean),
    cmocka_unit_test_teardown(woken_while_it_falls_asleep, unit_clean),
    cmocka_unit_test_teardown(stopped_while_it_falls_asleep, unit_clean),
    cmocka_unit_test_teardown(timers_in_deep_sleep, unit_clean),
    cmocka_unit_test_teardown(behind_one_that_computes, unit_clean),
    cmocka_unit_test_teardown(when_a_core_becomes_free, unit_clean),
    cmocka_unit_test_teardown(tries_again_to_start_a_thread, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
