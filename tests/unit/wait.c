/* wait.c - tests of waiting: events, deadlines, one claim wins.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

/* -- one thread ----------------------------------------------------------- */

enum { WAITERS = 5 };

static unit_session *still;
static unit_task *task[WAITERS];
static cast_event event;

static void begin(void) {
  still = unit_still();
  for (size_t i = 0; i < WAITERS; i++) {
    task[i] = unit_task_new(&still->base, NULL, NULL);
    assert_non_null(task[i]);
  }
  cast_event_init(&event);
}

static void finish(void) {
  for (size_t i = 0; i < WAITERS; i++) cast_unref(&task[i]->base.object);
  unit_still_end(still);
}

static void expect_ready(size_t i, int result) {
  unit_task *t = unit_still_next(still);
  assert_ptr_equal(t, task[i]);
  assert_int_equal(t->base.wait.result, result);
  assert_int_equal(t->base.wait.state, CAST_WAIT_FIRED);
  cast_wait_done(&t->base);
  assert_int_equal(t->base.wait.state, CAST_WAIT_NONE);
  assert_int_equal(t->base.wait.deadline.index, 0);
}

static void event_set_before(void **state) {
  CAST_UNUSED(state);
  begin();
  assert_false(cast_event_is_set(&event));
  cast_event_set(&event, &still->base);
  assert_true(cast_event_is_set(&event));
  assert_int_equal(cast_event_wait(&event, &task[0]->base), 0);
  assert_int_equal(task[0]->base.wait.state, CAST_WAIT_NONE);
  assert_false(unit_awaited(&event));
  cast_event_set(&event, &still->base); /* again: nothing */
  cast_event_clear(&event);
  assert_false(cast_event_is_set(&event));
  assert_null(unit_still_next(still));
  finish();
}

static void event_wakes_all_in_order(void **state) {
  CAST_UNUSED(state);
  begin();
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < WAITERS; i++)
      assert_int_equal(cast_event_wait(&event, &task[i]->base), CAST_PARKED);
    assert_true(unit_awaited(&event));
    assert_null(unit_still_next(still));
    cast_event_set(&event, &still->base);
    assert_false(unit_awaited(&event));
    for (size_t i = 0; i < WAITERS; i++) {
      task[i]->base.wait.index = 0;
      expect_ready(i, 0);
    }
    cast_event_clear(&event);
  }
  finish();
}

static void ended_waits_are_skipped(void **state) {
  CAST_UNUSED(state);
  begin();
  for (size_t i = 0; i < WAITERS; i++)
    assert_int_equal(cast_event_wait(&event, &task[i]->base), CAST_PARKED);
  cast_wait_end(&task[1]->base, CASTING_ETIMEOUT);
  cast_wait_end(&task[1]->base, CASTING_ECANCELLED); /* too late */
  assert_true(cast_wait_claim(&task[3]->base.wait)); /* still in the queue */
  assert_false(cast_wait_claim(&task[3]->base.wait));
  cast_event_set(&event, &still->base);
  expect_ready(1, CASTING_ETIMEOUT);
  expect_ready(0, 0);
  expect_ready(2, 0);
  expect_ready(4, 0);
  assert_null(unit_still_next(still));
  cast_wait_done(&task[3]->base);
  cast_wait_end(&task[0]->base, CASTING_ECANCELLED); /* it waits no more */
  assert_null(unit_still_next(still));
  finish();
}

/* -- watchers ------------------------------------------------------------- */

typedef struct probe {
  cast_watcher watcher;
  uint32_t order; /* when it was fired; 0: not yet */
  bool found_set; /* what it has found then */
} probe;

static uint32_t nfired;

static bool claim_probe(cast_watcher *w) {
  CAST_UNUSED(w);
  return true;
}

static void fire_probe(cast_watcher *w, cast_session *self) {
  probe *p = CAST_CONTAINER(w, probe, watcher);
  CAST_UNUSED(self);
  p->order = ++nfired;
  p->found_set = cast_event_is_set(&event);
}

static void hasty_watchers_come_first(void **state) {
  CAST_UNUSED(state);
  probe probes[4];
  begin();
  memset(probes, 0, sizeof probes);
  nfired = 0;
  for (size_t i = 0; i < 4; i++) {
    probes[i].watcher.claim = claim_probe;
    probes[i].watcher.fire = fire_probe;
    probes[i].watcher.hasty = i % 2 == 1;
    assert_int_equal(cast_event_wait(&event, &task[i]->base), CAST_PARKED);
    assert_true(cast_event_watch(&event, &probes[i].watcher));
  }
  assert_true(cast_event_unwatch(&event, &probes[3].watcher));
  cast_event_set(&event, &still->base);
  for (size_t i = 0; i < 4; i++) expect_ready(i, 0);
  static const uint32_t expected[] = {2, 1, 3, 0};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(probes[i].order, expected[i]);
    assert_int_equal(probes[i].found_set, i % 2 == 0);
    assert_false(cast_event_unwatch(&event, &probes[i].watcher));
    assert_false(cast_event_watch(&event, &probes[i].watcher));
  }
  finish();
}

static void deadlines_are_kept_in_order(void **state) {
  CAST_UNUSED(state);
  static const uint64_t at[WAITERS] = {50, 20, 40, 10, 30};
  uint64_t base = os_now() + PATIENCE_NS;
  begin();
  assert_true(cast_session_next(&still->base) == FOREVER);
  for (size_t i = 0; i < WAITERS; i++) {
    assert_int_equal(cast_wait_reserve(&task[i]->base), 0);
    cast_wait_arm(&task[i]->base, CAST_WAIT_ONE);
    assert_ptr_equal(cast_wait_task(&task[i]->base.wait), &task[i]->base);
    cast_wait_until(&task[i]->base, base + at[i]);
  }
  assert_true(cast_session_next(&still->base) == base + 10);
  cast_wait_end(&task[3]->base, 0);
  expect_ready(3, 0); /* takes its deadline out */
  assert_true(cast_session_next(&still->base) == base + 20);
  cast_wait_arm(&task[3]->base, CAST_WAIT_ONE);
  cast_wait_until(&task[3]->base, FOREVER); /* none */
  for (size_t i = 0; i < WAITERS; i++) {
    cast_wait_end(&task[i]->base, CASTING_ECANCELLED);
    expect_ready(i, CASTING_ECANCELLED);
  }
  assert_true(cast_session_next(&still->base) == FOREVER);
  finish();
}

static void no_memory_for_a_deadline(void **state) {
  CAST_UNUSED(state);
  begin();
  cast_mem_fail_at(1);
  assert_int_equal(cast_wait_reserve(&task[0]->base), CASTING_ENOMEM);
  assert_int_equal(cast_wait_reserve(&task[0]->base), 0);
  cast_mem_fail_from(1);
  assert_int_equal(cast_wait_reserve(&task[0]->base), 0); /* there is room */
  cast_mem_fail_at(0);
  finish();
}

/* -- claims by several threads -------------------------------------------- */

enum { CLAIMERS = 3, MOST = 20000 };

static cast_wait waits[MOST];
static uint32_t winner[MOST]; /* whoever has won writes: not atomic */
static uint32_t nwaits;
static _Atomic uint32_t ready; /* (a) threads that have started */

static void claim_all(void *arg) {
  uint32_t me = (uint32_t)(uintptr_t)arg;
  unit_count(&ready);
  while (unit_read(&ready) < CLAIMERS) os_cede();
  for (uint32_t i = 0; i < nwaits; i++)
    if (cast_wait_claim(&waits[i])) {
      CAST_ALWAYS(winner[i] == 0);
      winner[i] = me;
      waits[i].result = (int)me;
    }
}

static void one_claim_wins(void **state) {
  CAST_UNUSED(state);
  os_thread thread[CLAIMERS];
  nwaits = unit_times(MOST);
  unit_write(&ready, 0);
  memset(winner, 0, sizeof winner);
  for (uint32_t i = 0; i < nwaits; i++)
    atomic_init(&waits[i].state, CAST_WAIT_MANY);
  for (uintptr_t i = 0; i < CLAIMERS; i++)
    assert_int_equal(
      os_thread_start(&thread[i], claim_all, (void *)(i + 1), "claim"), 0);
  for (int i = 0; i < CLAIMERS; i++) os_thread_join(&thread[i]);
  for (uint32_t i = 0; i < nwaits; i++) {
    assert_in_range(winner[i], 1, CLAIMERS);
    assert_int_equal(waits[i].result, winner[i]);
  }
}

/* -- sleeping ------------------------------------------------------------- */

enum { SLEEPERS = 40 };

static _Atomic uint32_t woken; /* (a) */

/* Sleeps in three steps of different length. */
static bool sleeper(unit_task *t) {
  while (t->at < 3) {
    if (unit_over(t)) {
      CAST_ALWAYS(t->result == CASTING_ETIMEOUT && os_now() >= t->n);
      unit_count(&woken);
      t->at++;
      continue;
    }
    t->n = os_now() + unit_random(&t->seed) % (5 * MS);
    int rc = unit_sleep(t, t->n);
    if (rc == CAST_PARKED) return false;
    t->over = true; /* it slept in place */
  }
  return true;
}

static void sleepers_wake_in_time(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(2);
  unit_session *s[4];
  unit_task *t[SLEEPERS];
  unit_write(&woken, 0);
  uint64_t began = os_now();
  for (size_t i = 0; i < 4; i++) s[i] = unit_session_new();
  for (size_t i = 0; i < SLEEPERS; i++) {
    /* Some of them tasks of the main session. */
    unit_session *home = i % 5 == 4 ? &h->session : s[i % 5];
    t[i] = unit_spawn_as(&h->session.base == &home->base ? &home->base : NULL,
      home, sleeper, NULL, i % 3 == 0);
  }
  for (size_t i = 0; i < SLEEPERS; i++) unit_join(h, t[i]);
  assert_int_equal(woken, 3 * SLEEPERS);
  assert_true(unit_sleep(h->main, os_now() + MS) == CASTING_ETIMEOUT);
  assert_true(unit_sleep(h->main, 1) == CASTING_ETIMEOUT); /* long past */
  assert_true(os_now() - began >= MS);
  for (size_t i = 0; i < 4; i++) unit_close(h, s[i]);
  unit_shut(h);
}

/* An alarm that is set already must move when an earlier deadline comes. */
static bool sleep_until(unit_task *t) {
  if (unit_over(t)) {
    CAST_ALWAYS(
      t->result == (t->base.cancelled ? CASTING_ECANCELLED : CASTING_ETIMEOUT));
    return true;
  }
  CAST_ALWAYS(unit_sleep(t, *(uint64_t *)t->arg) == CAST_PARKED);
  return false;
}

static void an_earlier_deadline_comes_first(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(2);
  unit_session *s = unit_session_new();
  uint64_t at[3];
  unit_task *t[3];
  at[0] = os_now() + 2 * PATIENCE_NS;
  t[0] = unit_spawn(s, sleep_until, &at[0]);
  while (t[0]->base.status != CAST_WAITING) os_cede();
  at[1] = os_now() + 50 * MS;
  t[1] = unit_spawn(s, sleep_until, &at[1]);
  /* On a slow machine its time is over before it is seen to wait. */
  while (t[1]->base.status < CAST_WAITING) os_cede();
  at[2] = os_now() + 5 * MS;
  t[2] = unit_spawn(s, sleep_until, &at[2]);
  unit_join(h, t[2]);
  assert_true(os_now() >= at[2]);
  unit_join(h, t[1]);
  assert_true(os_now() >= at[1] && os_now() < at[0]);
  unit_close(h, s); /* ends the wait of the first */
  assert_int_equal(t[0]->base.status, CAST_CANCELLED);
  cast_unref(&t[0]->base.object);
  unit_shut(h);
}

/* -- an event against a deadline ------------------------------------------ */

static struct {
  cast_event *event;
  uint32_t n;
  _Atomic uint32_t nset;  /* (a) waits that the event has ended */
  _Atomic uint32_t nlate; /* (a) waits that the deadline has */
} race;

static bool await_each(unit_task *t) {
  while (t->n < race.n) {
    uint64_t soon = os_now() + unit_random(&t->seed) % 20000;
    int rc = unit_over(t) ? t->result : unit_event(t, &race.event[t->n], soon);
    if (rc == CAST_PARKED) return false;
    CAST_ALWAYS(rc == 0 || rc == CASTING_ETIMEOUT);
    CAST_ALWAYS(cast_list_is_empty(&t->base.waiter.link));
    unit_count(rc == 0 ? &race.nset : &race.nlate);
    t->n++;
  }
  return true;
}

static bool set_each(unit_task *t) {
  if (unit_over(t)) cast_event_set(&race.event[t->n++], t->base.session);
  if (t->n == race.n) return true;
  uint64_t soon = os_now() + unit_random(&t->seed) % 20000;
  CAST_ALWAYS(unit_sleep(t, soon) == CAST_PARKED);
  return false;
}

static void event_against_deadline(void **state) {
  CAST_UNUSED(state);
  enum { TASKS = 4, EVENTS = 2000 };
  static cast_event events[EVENTS];
  unit_host *h = unit_open(3);
  unit_session *s[3];
  unit_task *t[TASKS + 1];
  memset(&race, 0, sizeof race);
  race.event = events;
  race.n = unit_times(EVENTS);
  for (uint32_t i = 0; i < race.n; i++) cast_event_init(&events[i]);
  for (size_t i = 0; i < 3; i++) s[i] = unit_session_new();
  for (size_t i = 0; i < TASKS; i++)
    t[i] = unit_spawn_as(NULL, s[i / 2], await_each, NULL, i % 2 == 0);
  t[TASKS] = unit_spawn(s[2], set_each, NULL);
  for (size_t i = 0; i <= TASKS; i++) unit_join(h, t[i]);
  for (size_t i = 0; i < 3; i++) unit_close(h, s[i]);
  assert_int_equal(race.nset + race.nlate, TASKS * race.n);
  for (uint32_t i = 0; i < race.n; i++) assert_false(unit_awaited(&events[i]));
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(event_set_before, unit_clean),
    cmocka_unit_test_teardown(event_wakes_all_in_order, unit_clean),
    cmocka_unit_test_teardown(ended_waits_are_skipped, unit_clean),
    cmocka_unit_test_teardown(hasty_watchers_come_first, unit_clean),
    cmocka_unit_test_teardown(deadlines_are_kept_in_order, unit_clean),
    cmocka_unit_test_teardown(no_memory_for_a_deadline, unit_clean),
    cmocka_unit_test_teardown(one_claim_wins, unit_clean),
    cmocka_unit_test_teardown(sleepers_wake_in_time, unit_clean),
    cmocka_unit_test_teardown(an_earlier_deadline_comes_first, unit_clean),
    cmocka_unit_test_teardown(event_against_deadline, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
