/* sched.c - tests of the scheduler: order, waking, limits, stop.
   SPDX-License-Identifier: MIT

   Its jobs here are no sessions. There is no thread: the test itself is the one
   worker; sched_many.c has others. */
#include "fixture.h"

typedef struct work {
  cast_job job;
} work;

static work *work_of(cast_job *job) { return CAST_CONTAINER(job, work, job); }

static cast_worker me;
static uint32_t nstarts; /* calls of `start` */
static uint32_t nsysmon_wakes;

/* The first worker is the test; no other can be had. */
static int start_me(cast_core *core) {
  if (++nstarts > 1) return CASTING_ENOMEM;
  memset(&me, 0, sizeof me);
  cast_list_init(&me.link);
  me.core = core;
  me.spinning = true;
  CAST_ALWAYS(cast_sched_enlist(&me));
  return 0;
}

static void count_wake_sysmon(void) { nsysmon_wakes++; }

static void begin(uint32_t limit) {
  nstarts = nsysmon_wakes = 0;
  cast_sched_init(limit, start_me, count_wake_sysmon);
  assert_int_equal(cast_sched_busy(), 0);
  assert_int_equal(cast_sched_workers(), 0);
  assert_int_equal(cast_sched_first(), 0);
  assert_int_equal(cast_sched_first(), 0); /* there is one */
  assert_int_equal(nstarts, 1);
  assert_int_equal(nsysmon_wakes, 1);
  assert_int_equal(cast_sched_busy(), 1);
  assert_int_equal(cast_sched_workers(), 1);
}

static void finish(void) {
  cast_sched_stop();
  assert_null(cast_sched_find(&me));
  assert_null(me.core);
  assert_int_equal(cast_sched_busy(), 0);
  cast_sched_delist(&me);
  assert_int_equal(cast_sched_workers(), 0);
  cast_sched_fini();
}

/* FEW: they fit into the queue of a core. */
enum { MANY = 2000, FEW = CAST_RUNQ_SIZE < 10 ? CAST_RUNQ_SIZE : 10 };
static work works[MANY];

static void expect(size_t i) {
  assert_ptr_equal(cast_sched_find(&me), &works[i].job);
}

/* It finds a job, and so counts no longer as one that is looking. */
static void stop_looking(void) {
  cast_sched_ready(&me, &works[0].job);
  expect(0);
  assert_false(me.spinning);
}

static void newest_first_then_in_order(void **state) {
  CAST_UNUSED(state);
  begin(1);
  assert_false(cast_sched_has_backlog(&me));
  for (size_t i = 0; i < 4; i++) cast_sched_ready(&me, &works[i].job);
  assert_true(cast_sched_has_backlog(&me));
  expect(3); /* was in the slot */
  for (size_t i = 0; i < 3; i++) expect(i);
  assert_false(cast_sched_has_backlog(&me));
  cast_sched_again(&me, &works[5].job);
  assert_true(cast_sched_has_backlog(&me));
  cast_sched_ready(&me, &works[6].job);
  expect(6);
  expect(5);
  finish();
}

static void from_outside_in_order(void **state) {
  CAST_UNUSED(state);
  /* More would be taken out of order by the regular look at that queue. */
  size_t n = CAST_GLOBAL_EVERY < 10 ? CAST_GLOBAL_EVERY - 1 : 10;
  begin(1);
  for (size_t i = 0; i < n; i++) cast_sched_ready(NULL, &works[i].job);
  assert_true(cast_sched_has_backlog(&me));
  for (size_t i = 0; i < n; i++) expect(i);
  finish();
}

/* Two that make each other ready must not starve a third. */
static void talkers_let_others_in(void **state) {
  CAST_UNUSED(state);
  begin(1);
  cast_sched_ready(&me, &works[2].job);
  cast_sched_ready(&me, &works[0].job); /* kicks 2 into the queue */
  bool third = false;
  for (uint32_t i = 0; !third; i++) {
    cast_job *job = cast_sched_find(&me);
    assert_true(i <= CAST_NEXT_STREAK + 1);
    third = job == &works[2].job;
    if (!third) cast_sched_ready(&me, &works[job == &works[0].job ? 1 : 0].job);
  }
  assert_non_null(cast_sched_find(&me));
  finish();
}

/* Nor may they starve one that comes from outside. */
static void outside_is_looked_at(void **state) {
  CAST_UNUSED(state);
  begin(1);
  cast_sched_ready(&me, &works[0].job);
  cast_sched_ready(NULL, &works[2].job);
  for (uint32_t i = 0;; i++) {
    cast_job *job = cast_sched_find(&me);
    assert_true(i <= CAST_GLOBAL_EVERY + 1);
    if (job == &works[2].job) break;
    cast_sched_ready(&me, &works[job == &works[0].job ? 1 : 0].job);
  }
  assert_non_null(cast_sched_find(&me));
  /* One whose slice is over is behind those from outside. */
  cast_sched_ready(NULL, &works[1].job);
  cast_sched_again(&me, &works[0].job);
  expect(1);
  expect(0);
  finish();
}

static void queue_overflows(void **state) {
  CAST_UNUSED(state);
  static bool seen[MANY];
  begin(1);
  for (size_t n = 1; n <= MANY; n = n * 3 + 1) {
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < n; i++) cast_sched_ready(&me, &works[i].job);
    for (size_t i = 0; i < n; i++) {
      cast_job *job = cast_sched_find(&me);
      assert_non_null(job);
      size_t k = (size_t)(work_of(job) - works);
      assert_true(k < n && !seen[k]);
      seen[k] = true;
    }
    assert_false(cast_sched_has_backlog(&me));
  }
  finish();
}

static cast_view view(void) {
  bool lost;
  cast_view v = cast_sched_view(&me, &lost);
  assert_false(lost);
  return v;
}

/* A job in the run-next slot while its worker picks nothing. */
static void release_next_frees_the_slot(void **state) {
  CAST_UNUSED(state);
  begin(2);
  stop_looking();
  assert_int_equal(view(), CAST_VIEW_CALM);
  cast_sched_release_next(&me); /* nothing there */
  assert_false(cast_sched_has_waiting());
  cast_sched_ready(&me, &works[0].job);
  assert_int_equal(nstarts, 1); /* one job in the slot wakes nobody */
  assert_false(cast_sched_has_waiting());
  assert_int_equal(view(), CAST_VIEW_SPARE);
  cast_sched_release_next(&me);
  assert_true(cast_sched_has_waiting());
  cast_sched_wake();
  assert_int_equal(nstarts, 2); /* tried */
  assert_int_equal(cast_sched_busy(), 1);
  assert_int_equal(view(), CAST_VIEW_SPARE);
  expect(0); /* from the global queue */
  assert_int_equal(view(), CAST_VIEW_CALM);
  /* With no permit left there is nobody to take it over. */
  cast_sched_limit(1);
  cast_sched_ready(&me, &works[0].job);
  assert_int_equal(view(), CAST_VIEW_CROWDED);
  expect(0);
  cast_sched_ready(NULL, &works[1].job);
  assert_int_equal(view(), CAST_VIEW_CROWDED);
  expect(1);
  finish();
}

/* A worker that is stuck: what waits behind it goes to the global queue, its
   permit to others; what it makes ready goes to the global queue as well. */
static void retake_leaves_nothing_behind(void **state) {
  bool lost;
  uint32_t tick;
  CAST_UNUSED(state);
  begin(1);
  stop_looking();
  for (size_t i = 0; i < FEW; i++) cast_sched_ready(&me, &works[i].job);
  tick = cast_sched_tick(&me);
  assert_false(cast_sched_retake(&me, tick + 1)); /* of another slice */
  assert_int_equal(cast_sched_busy(), 1);
  assert_true(cast_sched_retake(&me, tick));
  assert_int_equal(cast_sched_busy(), 0);
  assert_int_equal(cast_sched_view(&me, &lost), CAST_VIEW_SPARE);
  assert_true(lost);
  assert_true(cast_sched_retake(&me, tick)); /* again does no harm */
  assert_int_equal(cast_sched_busy(), 0);
  cast_sched_release_next(&me);
  cast_sched_wake(); /* no thread is to be had */
  assert_int_equal(cast_sched_busy(), 0);
  cast_sched_ready(&me, &works[FEW].job);
  cast_sched_again(&me, &works[FEW + 1].job);
  assert_true(cast_sched_has_backlog(&me));
  /* Back in the loop it gets its permit again: the slot first, then in order. */
  expect(FEW - 1);
  assert_int_equal(cast_sched_busy(), 1);
  for (size_t i = 0; i < FEW - 1; i++) expect(i);
  expect(FEW);
  expect(FEW + 1);
  assert_false(cast_sched_has_backlog(&me));
  cast_sched_ready(&me, &works[3].job);
  assert_int_equal(cast_sched_view(&me, &lost), CAST_VIEW_CROWDED);
  assert_false(lost);
  expect(3);
  finish();
}

/* Where no other thread can be had, nothing is taken away. */
static void retake_needs_a_thread(void **state) {
  CAST_UNUSED(state);
  begin(2);
  stop_looking();
  cast_sched_bounds(1, 1);
  cast_sched_ready(&me, &works[1].job);
  assert_false(cast_sched_retake(&me, cast_sched_tick(&me)));
  assert_int_equal(cast_sched_busy(), 1);
  expect(1);
  nsysmon_wakes = 0;
  cast_sched_ready(NULL, &works[2].job);
  assert_int_equal(nstarts, 1);          /* not even tried, */
  assert_true(nsysmon_wakes > 0);        /* but sysmon stays awake, */
  assert_true(cast_sched_has_waiting()); /* and knows why */
  expect(2);
  finish();
}

static int start_none(cast_core *core) {
  CAST_UNUSED(core);
  nstarts++;
  return CASTING_ENOMEM;
}

static void no_thread_to_be_had(void **state) {
  CAST_UNUSED(state);
  nstarts = 0;
  cast_sched_init(3, start_none, count_wake_sysmon);
  for (uint32_t i = 1; i < 4; i++) {
    assert_int_equal(cast_sched_first(), CASTING_ENOMEM);
    assert_int_equal(nstarts, i);
    assert_int_equal(cast_sched_busy(), 0);
  }
  cast_sched_fini();
  /* With one that works and none besides, it does all. */
  begin(3);
  stop_looking();
  for (size_t i = 0; i < 100; i++)
    cast_sched_ready(i % 3 == 0 ? NULL : &me, &works[i].job);
  assert_true(nstarts > 1);
  assert_int_equal(cast_sched_busy(), 1);
  for (size_t i = 0; i < 100; i++) assert_non_null(cast_sched_find(&me));
  assert_false(cast_sched_has_backlog(&me));
  finish();
}

/* What waits for a thread that could not be started is owed another try, and
   one only, as long as it waits. */
static void a_failed_start_is_owed(void **state) {
  CAST_UNUSED(state);
  begin(2);
  stop_looking();
  assert_false(cast_sched_take_retry());
  cast_sched_ready(NULL, &works[0].job);
  assert_int_equal(nstarts, 2);
  assert_true(cast_sched_take_retry());
  assert_false(cast_sched_take_retry());
  cast_sched_wake(); /* the other try, in vain */
  assert_int_equal(nstarts, 3);
  assert_true(cast_sched_take_retry());
  cast_sched_wake();
  expect(0);
  assert_false(cast_sched_take_retry()); /* nothing waits any more */
  finish();
}

/* One that was started, but cannot begin. */
static void quitter_gives_its_core_back(void **state) {
  CAST_UNUSED(state);
  begin(1);
  cast_sched_quit(&me);
  assert_null(me.core);
  assert_int_equal(cast_sched_busy(), 0);
  cast_sched_delist(&me);
  nstarts = 0; /* another may be started */
  assert_int_equal(cast_sched_first(), 0);
  finish();
}

static void limit_is_a_backlog(void **state) {
  CAST_UNUSED(state);
  begin(2);
  assert_false(cast_sched_has_backlog(&me));
  cast_sched_limit(CAST_WORKERS_MAX);
  assert_false(cast_sched_has_backlog(&me));
  cast_sched_limit(1);
  assert_false(cast_sched_has_backlog(&me));
  finish();
}

/* Whoever takes a permit before the stop may come to start its worker after
   the last one has gone (sysmon does): that is refused. */
static void nobody_comes_after_the_stop(void **state) {
  cast_worker late;
  CAST_UNUSED(state);
  memset(&late, 0, sizeof late);
  cast_list_init(&late.link);
  begin(2);
  stop_looking();
  assert_true(cast_sched_enlist(&late));
  cast_sched_delist(&late);
  cast_sched_stop();
  assert_false(cast_sched_enlist(&late));
  assert_int_equal(cast_sched_workers(), 1);
  assert_null(cast_sched_find(&me));
  cast_sched_delist(&me);
  assert_int_equal(cast_sched_workers(), 0);
  cast_sched_fini();
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(newest_first_then_in_order),
    cmocka_unit_test(from_outside_in_order),
    cmocka_unit_test(talkers_let_others_in),
    cmocka_unit_test(outside_is_looked_at),
    cmocka_unit_test(queue_overflows),
    cmocka_unit_test(release_next_frees_the_slot),
    cmocka_unit_test(retake_leaves_nothing_behind),
    cmocka_unit_test(retake_needs_a_thread),
    cmocka_unit_test(no_thread_to_be_had),
    cmocka_unit_test(a_failed_start_is_owed),
    cmocka_unit_test(quitter_gives_its_core_back),
    cmocka_unit_test(limit_is_a_backlog),
    cmocka_unit_test(nobody_comes_after_the_stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
