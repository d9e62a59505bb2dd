/* errand.c - tests of the thread that does what may block: order, ends, forks,
   and that it cannot be started.
   SPDX-License-Identifier: MIT

   The errands are compiled into this file, with a start of threads that fails
   when it is to. */
#include "fixture.h"

#include "../../src/timer.h"

static _Atomic uint32_t refusals; /* (a) starts that are to fail */
static _Atomic uint32_t starts;   /* (a) that did not */

static int refuse_some(
  os_thread *t, void (*main)(void *), void *arg, const char *name) {
  uint32_t n = unit_read(&refusals);
  while (n > 0)
    if (atomic_compare_exchange_weak_explicit(
          &refusals, &n, n - 1, memory_order_relaxed, memory_order_relaxed))
      return OS_ENOMEM;
  unit_count(&starts);
  return os_thread_start(t, main, arg, name);
}

#define os_thread_start refuse_some
#include "../../src/errand.c"
#undef os_thread_start

enum { MANY = 200 };

typedef struct job {
  cast_errand errand;
  uint32_t at;    /* errands' thread: which it was */
  uint32_t again; /* how often it sends itself */
  uint32_t runs;
} job;

static job jobs[MANY];
static _Atomic uint32_t ndone; /* (a) written by one thread at a time */
static _Atomic uint32_t gate;  /* (a) futex: 0: who comes to it waits */
static _Atomic uint32_t stood; /* (a) somebody is there */

static uint64_t patience(void) { return os_now() + PATIENCE_NS; }

static void count_job(cast_errand *e) {
  job *j = CAST_CONTAINER(e, job, errand);
  j->at = unit_read(&ndone);
  unit_count(&ndone);
  j->runs++;
  if (j->again > 0) {
    j->again--;
    cast_errand_send(e, count_job);
  }
}

static void stand(cast_errand *e) {
  unit_count(&stood);
  while (unit_read(&gate) == 0) (void)os_wait(&gate, 0, OS_FOREVER);
  count_job(e);
}

static void open_gate(void) {
  unit_write(&gate, 1);
  os_wake(&gate, 1);
}

static void begin(void) {
  cast_timers_init();
  memset(jobs, 0, sizeof jobs);
  unit_write(&ndone, 0);
  unit_write(&refusals, 0);
  unit_write(&starts, 0);
  unit_write(&gate, 0);
  unit_write(&stood, 0);
}

static void finish(void) {
  assert_true(cast_errands_stop(patience()));
  cast_timers_fini();
}

static void done_in_order(void **state) {
  CAST_UNUSED(state);
  begin();
  assert_true(cast_errands_wait(0)); /* there is none */
  assert_int_equal(unit_read(&starts), 0);
  cast_errand_send(&jobs[0].errand, stand);
  for (uint32_t i = 1; i < MANY; i++)
    cast_errand_send(&jobs[i].errand, count_job);
  open_gate();
  assert_true(cast_errands_wait(patience()));
  for (uint32_t i = 0; i < MANY; i++) assert_int_equal(jobs[i].at, i);
  assert_int_equal(unit_read(&starts), 1);
  finish();
}

/* The thread ends and is started anew, in any interleaving with the sender. */
static void thread_comes_and_goes(void **state) {
  uint64_t seed = 1;
  CAST_UNUSED(state);
  for (uint32_t round = 0; round < unit_times(50); round++) {
    begin();
    for (uint32_t i = 0; i < MANY; i++) {
      jobs[i].again = round % 3;
      cast_errand_send(&jobs[i].errand, count_job);
      for (uint32_t k = unit_random(&seed) % 2000; k > 0; k--) os_relax();
      if (i % 50 == 49) assert_true(cast_errands_wait(patience()));
    }
    assert_true(cast_errands_wait(patience()));
    for (uint32_t i = 0; i < MANY; i++)
      assert_int_equal(jobs[i].runs, 1 + round % 3);
    finish();
  }
}

/* Who waits for one that blocks gives up, and then nobody waits any more. */
static void stuck(void **state) {
  uint64_t deadline;
  CAST_UNUSED(state);
  begin();
  cast_errand_send(&jobs[0].errand, stand);
  cast_errand_send(&jobs[1].errand, count_job);
  deadline = os_now() + MS;
  assert_false(cast_errands_wait(deadline));
  assert_true(os_now() >= deadline);
  assert_false(cast_errands_wait(FOREVER)); /* at once */
  assert_false(cast_errands_stop(FOREVER));
  open_gate();
  while (!cast_errands_wait(os_now() + MS)) os_cede();
  assert_int_equal(unit_read(&ndone), 2);
  finish();
}

typedef struct thing {
  cast_object object;
  struct thing *weak_refs;
} thing;

static _Atomic uint32_t nfreed; /* (a) */

static void thing_release(cast_object *o, cast_object **more) {
  thing *t = CAST_CONTAINER(o, thing, object);
  if (t->weak_refs != NULL) cast_unref_later(&t->weak_refs->object, more);
}

static void thing_free(cast_object *o) {
  cast_free(CAST_CONTAINER(o, thing, object));
  unit_count(&nfreed);
}

static const cast_type thing_type = {"thing", thing_free, thing_release};

static thing *make_thing(thing *holds) {
  thing *t = cast_calloc(sizeof *t);
  assert_non_null(t);
  cast_object_init(&t->object, &thing_type);
  t->weak_refs = holds;
  return t;
}

static void objects_end(void **state) {
  CAST_UNUSED(state);
  begin();
  unit_write(&nfreed, 0);
  cast_errand_send(&jobs[0].errand, stand); /* they end elsewhere */
  for (uint32_t i = 0; i < MANY; i++) {
    thing *t = make_thing(make_thing(NULL));
    if (i % 2 == 0) {
      cast_unref_aside(cast_ref(&t->object));
      assert_true(unit_read(&nfreed) == 0);
    }
    cast_unref_aside(&t->object);
  }
  assert_int_equal(unit_read(&nfreed), 0);
  open_gate();
  assert_true(cast_errands_wait(patience()));
  assert_int_equal(unit_read(&nfreed), 2 * MANY);
  finish();
}

/* No thread: the next errand brings it, or time does, or who waits. */
static void no_thread_to_be_had(void **state) {
  CAST_UNUSED(state);
  begin();
  unit_write(&refusals, 1);
  cast_errand_send(&jobs[0].errand, count_job);
  assert_int_equal(unit_read(&starts), 0);
  cast_errand_send(&jobs[1].errand, count_job);
  assert_true(cast_errands_wait(patience()));
  assert_int_equal(unit_read(&starts), 1);
  assert_int_equal(unit_read(&ndone), 2);
  /* The timers' thread, which is this one: it was told to come back. */
  assert_true(cast_errands_stop(patience()));
  unit_write(&refusals, 3);
  cast_errand_send(&jobs[2].errand, count_job);
  for (uint64_t until = patience(); unit_read(&starts) < 2;) {
    assert_true(os_now() < until);
    cast_timer_sleep(cast_timer_ticket(), until);
  }
  assert_true(cast_errands_wait(patience()));
  assert_int_equal(jobs[2].runs, 1);
  /* None at all: the one who waits does them. */
  unit_write(&refusals, UINT32_MAX);
  for (uint32_t i = 3; i < MANY; i++)
    cast_errand_send(&jobs[i].errand, count_job);
  assert_int_equal(unit_read(&ndone), 3);
  assert_true(cast_errands_wait(patience()));
  assert_int_equal(unit_read(&ndone), MANY);
  assert_int_equal(unit_read(&starts), 2);
  finish();
}

static void wait_and_help(void *arg) {
  *(bool *)arg = cast_errands_wait(patience());
}

/* Two wait, and one of them does the errand: the other is told when. */
static void helped_by_who_waits(void **state) {
  os_thread helper;
  bool idle = false;
  CAST_UNUSED(state);
  begin();
  unit_write(&refusals, UINT32_MAX);
  cast_errand_send(&jobs[0].errand, stand);
  assert_int_equal(os_thread_start(&helper, wait_and_help, &idle, "helper"), 0);
  while (unit_read(&stood) == 0) os_cede();
  assert_false(cast_errands_wait(os_now() + MS));
  assert_int_equal(unit_read(&ndone), 0);
  open_gate();
  os_thread_join(&helper);
  assert_true(idle);
  assert_true(cast_errands_wait(patience()));
  /* And nobody has given up for good. */
  cast_errand_send(&jobs[1].errand, count_job);
  assert_true(cast_errands_wait(patience()));
  assert_int_equal(unit_read(&ndone), 2);
  finish();
}

/* -- forks ---------------------------------------------------------------- */

static void has_none(void *arg) {
  CAST_UNUSED(arg);
  CAST_ALWAYS(cast_forked);
  cast_errand_send(&jobs[2].errand, count_job);
  CAST_ALWAYS(cast_errands_wait(FOREVER) && cast_errands_stop(FOREVER));
  CAST_ALWAYS(unit_read(&ndone) == 0);
#if !defined(__SANITIZE_ADDRESS__) /* it would miss what lay on other stacks */
  exit(0);
#endif
}

static void is_not_forked(void *arg) {
  CAST_UNUSED(arg);
  CAST_ALWAYS(!cast_forked);
}

static void others_errands(void **state) {
  CAST_UNUSED(state);
  begin();
  cast_errand_send(&jobs[0].errand, stand);
  cast_errand_send(&jobs[1].errand, count_job);
  while (unit_read(&stood) == 0) os_cede();
  assert_true(unit_child(has_none, NULL));
  open_gate();
  assert_true(cast_errands_wait(patience()));
  finish();
  cast_fork_forget();
  assert_true(unit_child(is_not_forked, NULL));
  /* A thread that could not be started was none. */
  begin();
  unit_write(&refusals, 1);
  cast_errand_send(&jobs[0].errand, count_job);
  assert_true(unit_child(is_not_forked, NULL));
  finish();
  cast_fork_forget();
}

static _Atomic int child; /* (a) */

static void fork_here(cast_errand *e) {
  pid_t pid = fork();
  CAST_UNUSED(e);
  if (pid == 0) {
    (void)alarm(60);
    test_forked();
  }
  atomic_store_explicit(&child, pid, memory_order_relaxed);
}

static void is_parents(cast_errand *e) {
  if (cast_forked) _exit(3);
  count_job(e);
}

/* Its process ends with the thread, and does nothing before. */
static void forked_by_one(void **state) {
  int status = -1;
  CAST_UNUSED(state);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip(); /* they miss the other threads at the end */
#endif
  begin();
  cast_errand_send(&jobs[0].errand, stand);
  cast_errand_send(&jobs[1].errand, fork_here);
  cast_errand_send(&jobs[2].errand, is_parents);
  open_gate();
  assert_true(cast_errands_wait(patience()));
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_int_equal(unit_read(&ndone), 2);
  finish();
  cast_fork_forget();
}

/* From now on forks are watched. */
static int watch_forks(void **state) {
  CAST_UNUSED(state);
  if (cast_runtime_ref() != 0) return -1;
  cast_runtime_unref(true);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(done_in_order, unit_clean),
    cmocka_unit_test_teardown(thread_comes_and_goes, unit_clean),
    cmocka_unit_test_teardown(stuck, unit_clean),
    cmocka_unit_test_teardown(objects_end, unit_clean),
    cmocka_unit_test_teardown(no_thread_to_be_had, unit_clean),
    cmocka_unit_test_teardown(helped_by_who_waits, unit_clean),
    cmocka_unit_test_teardown(others_errands, unit_clean),
    cmocka_unit_test_teardown(forked_by_one, unit_clean),
  };
  return cmocka_run_group_tests(tests, watch_forks, NULL);
}
