/* timer.c - tests of the process's deadlines: order, races, the sleeper.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "../../src/timer.h"

/* -- one thread: a sleep until a moment long past fires what is due ------- */

enum { TIMERS = 20, LOG = 100 };

typedef struct entry {
  cast_timer timer;
  uint32_t fired;  /* (timer lock) */
  uint32_t after;  /* calls of `after` */
  uint32_t again;  /* (timer lock) how often to fire once more */
  uint64_t period; /* (i) */
} entry;

static entry entries[TIMERS];
static size_t fired[LOG]; /* which, in their order */
static uint32_t nfired;

static void fire_round(void) { cast_timer_sleep(cast_timer_ticket(), 1); }

/* All that is due; no test has as many timers as that many rounds fire. */
static void fire_now(void) {
  for (uint32_t i = 0; i < 100; i++) fire_round();
}

static bool on_fire(cast_timer *t) {
  entry *e = CAST_CONTAINER(t, entry, timer);
  CAST_ALWAYS(os_now() >= t->deadline_ns && t->node.index == 0);
  CAST_ALWAYS(nfired < LOG);
  fired[nfired++] = (size_t)(e - entries);
  e->fired++;
  if (e->again > 0) {
    e->again--;
    cast_timer_again(t, os_now() + e->period);
  }
  return false;
}

static void begin(void) {
  cast_timers_init();
  memset(entries, 0, sizeof entries);
  for (size_t i = 0; i < TIMERS; i++) entries[i].timer.fire = on_fire;
  nfired = 0;
}

static void set(size_t i, uint64_t deadline) {
  assert_int_equal(cast_timer_set(&entries[i].timer, deadline), 0);
}

/* What outlives the runtime is set no longer, and can be removed. */
static void set_at_the_end(void **state) {
  CAST_UNUSED(state);
  begin();
  for (size_t i = 0; i < TIMERS; i++) set(i, i % 2 == 0 ? FOREVER : i);
  cast_timers_fini();
  for (size_t i = 0; i < TIMERS; i += 2) cast_timer_remove(&entries[i].timer);
  assert_false(cast_timer_set_sooner(&entries[1].timer, 0));
  cast_timers_init();
  for (size_t i = 1; i < TIMERS; i += 2) cast_timer_remove(&entries[i].timer);
  fire_now();
  assert_int_equal(nfired, 0);
  cast_timers_fini();
}

static void due_in_order(void **state) {
  CAST_UNUSED(state);
  begin();
  fire_now();
  for (size_t i = 0; i < TIMERS; i++)
    set(i, i % 4 == 3 ? FOREVER : 1 + i * 7 % TIMERS);
  fire_now();
  assert_int_equal(nfired, TIMERS - TIMERS / 4);
  for (uint32_t k = 1; k < nfired; k++)
    assert_true(entries[fired[k - 1]].timer.deadline_ns <
                entries[fired[k]].timer.deadline_ns);
  fire_now();
  assert_int_equal(nfired, TIMERS - TIMERS / 4); /* once */
  for (size_t i = 3; i < TIMERS; i += 4) cast_timer_remove(&entries[i].timer);
  cast_timers_fini();
}

static void moved_and_removed(void **state) {
  CAST_UNUSED(state);
  begin();
  set(0, 5);
  set(1, 6);
  set(2, FOREVER);
  set(3, 7);
  set(0, FOREVER); /* later */
  set(2, 4);       /* earlier */
  cast_timer_remove(&entries[3].timer);
  cast_timer_remove(&entries[3].timer);
  fire_now();
  assert_int_equal(nfired, 2);
  assert_int_equal(fired[0], 2);
  assert_int_equal(fired[1], 1);
  cast_timer_remove(&entries[1].timer); /* has fired */
  set(3, 7);
  set(1, 8);
  cast_timer_remove(&entries[0].timer);
  fire_now();
  assert_int_equal(nfired, 4);
  assert_int_equal(fired[3], 1);
  cast_timers_fini();
}

static void fires_again(void **state) {
  CAST_UNUSED(state);
  begin();
  entries[0].again = 5;
  entries[0].period = MS;
  set(0, 1);
  set(1, 2);
  uint64_t patience = os_now() + PATIENCE_NS;
  while (nfired < 7) {
    uint32_t ticket = cast_timer_ticket();
    assert_true(os_now() < patience);
    cast_timer_sleep(ticket, patience);
  }
  assert_int_equal(entries[0].fired, 6);
  assert_int_equal(entries[1].fired, 1);
  entries[0].again = 1;
  entries[0].period = PATIENCE_NS;
  set(0, 1);
  fire_now();
  cast_timer_remove(&entries[0].timer); /* between two times */
  assert_int_equal(entries[0].fired, 7);
  cast_timers_fini();
}

/* What needs the lock is done without it. */
static bool fire_later(cast_timer *t) {
  on_fire(t);
  return true;
}

static void after_fire(cast_timer *t) {
  entry *e = CAST_CONTAINER(t, entry, timer);
  assert_true(cast_lock_holds_none());
  e->after++;
  if (e == &entries[0]) set(1, 3);
}

static void after_without_the_lock(void **state) {
  CAST_UNUSED(state);
  begin();
  for (size_t i = 0; i < 3; i++) {
    entries[i].timer.fire = fire_later;
    entries[i].timer.after = after_fire;
  }
  set(0, 1);
  set(2, 2);
  fire_now();
  for (size_t i = 0; i < 3; i++) assert_int_equal(entries[i].after, 1);
  assert_int_equal(nfired, 3);
  cast_timers_fini();
}

/* -- many at once --------------------------------------------------------- */

enum { OTHERS = CAST_TIMER_LANES - 1, CROWD = 3 * CAST_TIMER_ROUND };

static entry crowd[CROWD + 3 * OTHERS];
static uint32_t turns[CROWD + 3 * OTHERS]; /* their lanes, in order */

static bool note_turn(cast_timer *t) {
  turns[nfired++] = t->lane;
  return false;
}

static size_t join_crowd(size_t n, uint32_t lane) {
  crowd[n].timer = (cast_timer){.lane = lane, .fire = note_turn};
  assert_int_equal(cast_timer_set(&crowd[n].timer, 1 + n), 0);
  return n + 1;
}

/* A round fires so many, and what is due besides is due in the next one. */
static void a_round_is_bounded(void **state) {
  CAST_UNUSED(state);
  begin();
  for (size_t n = 0; n < CROWD;) n = join_crowd(n, 0);
  for (uint32_t n = CAST_TIMER_ROUND; n <= CROWD; n += CAST_TIMER_ROUND) {
    fire_round();
    assert_int_equal(nfired, n);
  }
  fire_round();
  assert_int_equal(nfired, CROWD);
  cast_timers_fini();
}

/* Each lane has its turn, whatever lies in the others, and lane 0 every second
   one. */
static void lanes_take_turns(void **state) {
  uint32_t count[CAST_TIMER_LANES] = {0};
  size_t n = 0;
  CAST_UNUSED(state);
  begin();
  while (n < CROWD) n = join_crowd(n, 1);
  for (uint32_t i = 0; i < OTHERS; i++) n = join_crowd(n, 0);
  for (uint32_t i = 2; i <= OTHERS; i++) n = join_crowd(n, i);
  fire_now();
  assert_int_equal(nfired, n);
  for (uint32_t k = 0; k < 2 * OTHERS; k++) count[turns[k]]++;
  assert_int_equal(count[0], OTHERS);
  for (uint32_t i = 1; i <= OTHERS; i++) assert_int_equal(count[i], 1);
  /* Sessions made one after the other have different lanes. */
  for (uint64_t id = 1; id < 100; id++) {
    assert_in_range(cast_timer_lane(id), 1, OTHERS);
    assert_int_not_equal(cast_timer_lane(id), cast_timer_lane(id - 1));
  }
  cast_timers_fini();
}

static void no_memory_changes_nothing(void **state) {
  CAST_UNUSED(state);
  enum { MANY = 100 };
  static entry more[MANY];
  uint32_t nfailed = 0;
  begin();
  memset(more, 0, sizeof more);
  set(0, 1);
  for (size_t i = 0; i < MANY; i++) {
    more[i].timer.fire = on_fire;
    cast_mem_fail_at(1);
    if (cast_timer_set(&more[i].timer, FOREVER) != 0) {
      assert_true(cast_mem_has_failed());
      assert_int_equal(more[i].timer.node.index, 0);
      nfailed++;
      assert_int_equal(cast_timer_set(&more[i].timer, FOREVER), 0);
    }
    /* One that is in needs no memory to be moved. */
    cast_mem_fail_from(1);
    assert_int_equal(cast_timer_set(&more[i / 2].timer, FOREVER), 0);
    cast_mem_fail_at(0);
  }
  assert_true(nfailed > 1);
  fire_now();
  assert_int_equal(nfired, 1);
  for (size_t i = 0; i < MANY; i++) cast_timer_remove(&more[i].timer);
  cast_timers_fini();
}

/* -- a thread that sleeps, as sysmon does --------------------------------- */

static os_thread sleeper;
static _Atomic uint32_t stop;   /* (a) */
static _Atomic uint32_t rounds; /* (a) times it has slept */

static void sleep_and_fire(void *arg) {
  CAST_UNUSED(arg);
  for (;;) {
    uint32_t ticket = cast_timer_ticket();
    if (unit_read(&stop) != 0) return;
    cast_timer_sleep(ticket, FOREVER);
    unit_count(&rounds);
  }
}

static void start_sleeper(void) {
  begin();
  unit_write(&stop, 0);
  unit_write(&rounds, 0);
  assert_int_equal(os_thread_start(&sleeper, sleep_and_fire, NULL, "mon"), 0);
}

static void stop_sleeper(void) {
  unit_write(&stop, 1);
  cast_timer_kick();
  os_thread_join(&sleeper);
  cast_timers_fini();
}

static void kick_is_never_missed(void **state) {
  CAST_UNUSED(state);
  for (uint32_t i = 0; i < unit_times(500); i++) {
    start_sleeper();
    if (i % 2 == 0)
      while (unit_read(&rounds) < i % 3) {
        cast_timer_kick();
        os_cede();
      }
    stop_sleeper();
  }
  /* After the ticket, before the sleep. */
  begin();
  uint32_t ticket = cast_timer_ticket();
  cast_timer_kick();
  cast_timer_sleep(ticket, FOREVER);
  ticket = cast_timer_ticket();
  uint64_t until = os_now() + 2 * MS;
  cast_timer_sleep(ticket, until);
  assert_true(os_now() >= until);
  cast_timers_fini();
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
  os_wake(&a->rung, 1);
  return false;
}

/* The sleeper has laid down for long when an earlier deadline comes. */
static void earlier_deadline_wakes_the_sleeper(void **state) {
  CAST_UNUSED(state);
  alarm_clock far = {.timer.fire = on_alarm, .deadline = FOREVER};
  start_sleeper();
  assert_int_equal(cast_timer_set(&far.timer, far.deadline), 0);
  for (uint32_t i = 0; i < unit_times(200); i++) {
    alarm_clock near = {.timer.fire = on_alarm};
    uint64_t patience = os_now() + PATIENCE_NS;
    near.deadline = os_now() + i % 5 * MS / 10;
    assert_int_equal(cast_timer_set(&near.timer, near.deadline), 0);
    while (unit_read(&near.rung) == 0) {
      assert_true(os_now() < patience);
      (void)os_wait(&near.rung, 0, patience);
    }
    cast_timer_remove(&near.timer); /* it lies on this stack */
  }
  cast_timer_remove(&far.timer);
  assert_int_equal(far.rung, 0);
  stop_sleeper();
}

/* -- set, removed and set again by many, while it fires ------------------- */

enum { OWNERS = 3 };

/* What a timer's fire writes is not atomic: whoever has removed the timer may
   read it. */
static bool count_fire(cast_timer *t) {
  entry *e = CAST_CONTAINER(t, entry, timer);
  e->fired++;
  if (e->again > 0) {
    e->again--;
    cast_timer_again(t, os_now() + e->period);
  }
  return false;
}

/* Every timer is one thread's. */
static void own_timers(void *arg) {
  uint64_t seed = (uintptr_t)arg;
  for (uint32_t i = 0; i < unit_times(20000); i++) {
    uint64_t dice = unit_random(&seed), wait = dice / 11 % 60000;
    uint64_t until = os_now() + wait;
    entry *e = cast_calloc(sizeof *e);
    e->timer.fire = count_fire;
    e->again = dice % 3;
    e->period = dice / 7 % 20000;
    CAST_ALWAYS(cast_timer_set(&e->timer, until) == 0);
    if (dice / 3 % 2 == 0) /* moved before it fires, or after */
      CAST_ALWAYS(cast_timer_set(&e->timer, os_now() + wait / 2) == 0);
    while (dice / 5 % 4 != 0 && os_now() < until) os_relax();
    cast_timer_remove(&e->timer);
    CAST_ALWAYS(e->timer.node.index == 0);
    CAST_ALWAYS(e->fired + e->again <= dice % 3 + 2);
    cast_free(e); /* nobody touches it any more */
  }
}

static void set_remove_and_fire(void **state) {
  CAST_UNUSED(state);
  os_thread thread[OWNERS];
  start_sleeper();
  for (uintptr_t i = 0; i < OWNERS; i++)
    assert_int_equal(
      os_thread_start(&thread[i], own_timers, (void *)(i + 1), "timers"), 0);
  for (int i = 0; i < OWNERS; i++) os_thread_join(&thread[i]);
  stop_sleeper();
}

static void coarse_waits_end_together(void **state) {
  uint64_t now = os_now(), random = 1;
  CAST_UNUSED(state);
  assert_true(cast_timer_end(now, 0) == now);
  assert_true(
    cast_timer_end(now, CAST_COARSE_NS - 1) == now + CAST_COARSE_NS - 1);
  for (int i = 0; i < 1000; i++) {
    uint64_t ns = CAST_COARSE_NS + unit_random(&random) % 10000000000u;
    uint64_t end = cast_timer_end(now, ns);
    assert_true(end >= now + ns && end < now + ns + CAST_GRID_NS);
    assert_true(end % CAST_GRID_NS == 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(set_at_the_end, unit_clean),
    cmocka_unit_test_teardown(due_in_order, unit_clean),
    cmocka_unit_test_teardown(moved_and_removed, unit_clean),
    cmocka_unit_test_teardown(fires_again, unit_clean),
    cmocka_unit_test_teardown(after_without_the_lock, unit_clean),
    cmocka_unit_test_teardown(a_round_is_bounded, unit_clean),
    cmocka_unit_test_teardown(lanes_take_turns, unit_clean),
    cmocka_unit_test_teardown(no_memory_changes_nothing, unit_clean),
    cmocka_unit_test_teardown(kick_is_never_missed, unit_clean),
    cmocka_unit_test_teardown(earlier_deadline_wakes_the_sleeper, unit_clean),
    cmocka_unit_test_teardown(set_remove_and_fire, unit_clean),
    cmocka_unit_test_teardown(coarse_waits_end_together, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
