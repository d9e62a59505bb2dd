/* limiter.c - tests of limiters: rates, bursts, order, who gives up.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "../../src/errand.h"
#include "../../src/limiter.h"

/* -- one thread ----------------------------------------------------------- */

enum { TASKS = 4 };

static unit_session *still;
static unit_task *task[TASKS];
static cast_limiter *limiter;

static void begin(double rate, uint32_t burst) {
  still = unit_still();
  limiter = cast_limiter_new(rate, burst, 1, NULL);
  assert_non_null(limiter);
  for (size_t i = 0; i < TASKS; i++) {
    task[i] = unit_task_new(&still->base, NULL, NULL);
    assert_non_null(task[i]);
  }
}

static void finish(void) {
  for (size_t i = 0; i < TASKS; i++) cast_unref(&task[i]->base.object);
  cast_unref(&limiter->object);
  unit_still_end(still);
}

static int take(size_t i, uint32_t n) {
  return cast_limiter_take(limiter, &task[i]->base, n);
}

static int try_take(uint32_t n) { return cast_limiter_take(limiter, NULL, n); }

static void expect_ready(size_t i, int result) {
  unit_task *t = unit_still_next(still);
  assert_ptr_equal(t, task[i]);
  assert_int_equal(t->base.wait.result, result);
  cast_wait_done(&t->base);
}

/* As if so many seconds had passed. */
static void pass(double seconds) {
  cast_lock_take(&limiter->lock);
  uint64_t ns = (uint64_t)(seconds * 1e9);
  limiter->full_ns -= ns < limiter->full_ns ? ns : limiter->full_ns;
  cast_lock_drop(&limiter->lock);
}

/* One token in a thousand seconds: none comes while the test runs. */
static void a_burst_and_no_more(void **state) {
  CAST_UNUSED(state);
  begin(0.001, 5);
  assert_int_equal(cast_limiter_available(limiter), 5);
  assert_int_equal(take(0, 2), 0);
  assert_int_equal(try_take(2), 0);
  assert_int_equal(cast_limiter_available(limiter), 1);
  assert_int_equal(try_take(2), CASTING_EEMPTY);
  assert_int_equal(try_take(1), 0);
  assert_int_equal(try_take(1), CASTING_EEMPTY);
  assert_int_equal(cast_limiter_available(limiter), 0);
  pass(3001);
  assert_int_equal(cast_limiter_available(limiter), 3);
  assert_int_equal(try_take(4), CASTING_EEMPTY);
  assert_int_equal(try_take(3), 0);
  pass(1e6); /* fills, and does not flow over */
  assert_int_equal(cast_limiter_available(limiter), 5);
  assert_int_equal(try_take(5), 0);
  assert_int_equal(try_take(1), CASTING_EEMPTY);
  finish();
}

static void first_come_first_served(void **state) {
  CAST_UNUSED(state);
  begin(0.001, 3);
  assert_int_equal(take(0, 3), 0);
  assert_true(limiter->timer.passive);
  assert_int_equal(take(0, 2), CAST_PARKED);
  assert_false(limiter->timer.passive);
  assert_true(limiter->timer.deadline_ns != FOREVER);
  assert_int_equal(take(1, 1), CAST_PARKED);
  assert_int_equal(take(2, 3), CAST_PARKED);
  assert_int_equal(take(3, 1), CAST_PARKED);
  pass(1001);
  assert_int_equal(try_take(1), CASTING_EEMPTY); /* others wait */
  assert_int_equal(cast_limiter_available(limiter), 0);
  cast_limiter_serve(limiter, &still->base);
  assert_null(unit_still_next(still));
  pass(2000);
  cast_limiter_serve(limiter, &still->base);
  expect_ready(0, 0);
  expect_ready(1, 0);
  assert_null(unit_still_next(still));
  pass(4000);
  cast_limiter_serve(limiter, &still->base);
  expect_ready(2, 0);
  assert_null(unit_still_next(still));
  assert_false(limiter->timer.passive);
  pass(1000);
  cast_limiter_serve(limiter, &still->base);
  expect_ready(3, 0);
  assert_true(limiter->timer.passive);
  finish();
}

static void who_gives_up_takes_nothing(void **state) {
  CAST_UNUSED(state);
  begin(0.001, 3);
  assert_int_equal(take(0, 3), 0);
  assert_int_equal(take(0, 3), CAST_PARKED);
  assert_int_equal(take(1, 1), CAST_PARKED);
  uint64_t before = limiter->timer.deadline_ns;
  pass(1500);
  assert_true(cast_wait_end(&task[0]->base, CASTING_ETIMEOUT));
  expect_ready(0, CASTING_ETIMEOUT);
  cast_limiter_serve(limiter, &still->base);
  expect_ready(1, 0);
  assert_int_equal(take(2, 3), CAST_PARKED);
  assert_int_equal(take(3, 1), CAST_PARKED);
  assert_true(cast_wait_end(&task[2]->base, CASTING_ECANCELLED));
  expect_ready(2, CASTING_ECANCELLED);
  cast_limiter_serve(limiter, &still->base);
  /* The time of the new first one is earlier. */
  assert_true(limiter->timer.deadline_ns < before);
  assert_true(cast_wait_end(&task[3]->base, CASTING_ECANCELLED));
  expect_ready(3, CASTING_ECANCELLED);
  cast_limiter_serve(limiter, &still->base);
  assert_true(limiter->timer.passive);
  finish();
}

static void fast_and_slow(void **state) {
  CAST_UNUSED(state);
  begin(1e9, 1000000000);
  assert_int_equal(try_take(1000000000), 0);
  finish();
  begin(1e-9, 1);
  assert_int_equal(try_take(1), 0);
  assert_int_equal(take(1, 1), CAST_PARKED);
  assert_true(cast_wait_end(&task[1]->base, CASTING_ETIMEOUT));
  expect_ready(1, CASTING_ETIMEOUT);
  cast_limiter_serve(limiter, &still->base);
  finish();
}

static void no_memory(void **state) {
  CAST_UNUSED(state);
  cast_timers_init();
  for (uint64_t i = 1; i < 3; i++) {
    cast_mem_fail_from(i);
    cast_limiter *l = cast_limiter_new(1, 1, 1, NULL);
    cast_mem_fail_at(0);
    assert_null(l);
  }
  cast_timers_fini();
}

/* -- many sessions -------------------------------------------------------- */

enum { SESSIONS = 4, EACH = 5, CORES = 4, BURST = 4 };

static struct {
  cast_limiter *limiter;
  uint32_t count;
  uint64_t began_ns;
  double rate;
  _Atomic uint32_t taken; /* (a) tokens */
} mix;

static void count(uint32_t n) {
  uint32_t all =
    n + atomic_fetch_add_explicit(&mix.taken, n, memory_order_relaxed);
  double seconds = (double)(os_now() - mix.began_ns) * 1e-9;
  CAST_ALWAYS(all <= BURST + mix.rate * seconds + 1);
}

static bool take_many(unit_task *t) {
  for (;;) {
    int rc;
    if (t->at == 0) {
      uint64_t deadline = FOREVER;
      if (t->n++ == mix.count) return true;
      t->at = 1 + (uint32_t)(unit_random(&t->seed) % BURST);
      if (unit_random(&t->seed) % 3 == 0)
        deadline = os_now() + unit_random(&t->seed) % 300000;
      CAST_ALWAYS(unit_reserve(t, deadline) == 0);
      rc =
        unit_wait(t, cast_limiter_take(mix.limiter, &t->base, t->at), deadline);
    } else {
      CAST_ALWAYS(unit_over(t));
      rc = t->result;
    }
    if (rc == CAST_PARKED) return false;
    if (rc == 0)
      count(t->at);
    else
      cast_limiter_serve(mix.limiter, t->base.session);
    t->at = 0;
  }
}

static void never_faster_than_the_rate(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(CORES);
  unit_session *s[SESSIONS];
  unit_task *t[SESSIONS][EACH];
  memset(&mix, 0, sizeof mix);
  mix.rate = 20000;
  mix.count = unit_times(200);
  mix.limiter = cast_limiter_new(mix.rate, BURST, 1, NULL);
  mix.began_ns = os_now();
  for (size_t i = 0; i < SESSIONS; i++) {
    s[i] = unit_session_new();
    for (size_t k = 0; k < EACH; k++)
      t[i][k] = unit_spawn_as(NULL, s[i], take_many, NULL, k % 4 == 0);
  }
  for (size_t i = 0; i < SESSIONS; i++)
    for (size_t k = 0; k < EACH; k++) unit_join(h, t[i][k]);
  for (size_t i = 0; i < SESSIONS; i++) unit_close(h, s[i]);
  assert_true(mix.taken > 0);
  cast_unref_aside(&mix.limiter->object);
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(a_burst_and_no_more, unit_clean),
    cmocka_unit_test_teardown(first_come_first_served, unit_clean),
    cmocka_unit_test_teardown(who_gives_up_takes_nothing, unit_clean),
    cmocka_unit_test_teardown(fast_and_slow, unit_clean),
    cmocka_unit_test_teardown(no_memory, unit_clean),
    cmocka_unit_test_teardown(never_faster_than_the_rate, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
