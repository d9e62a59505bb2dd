/* deadlock.c - tests: verdicts come when nothing can run, and only then.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "../../src/deadlock.h"
#include "../../src/sysmon.h"

#include <pthread.h>

static unit_host *h;
static cast_chan *chan;
static cast_event event; /* never set, but where said so */

static int open_host(void **state) {
  CAST_UNUSED(state);
  h = unit_open(2);
  chan = cast_chan_new(0);
  cast_event_init(&event);
  return chan != NULL && h != NULL ? 0 : -1;
}

static int shut_host(void **state) {
  CAST_UNUSED(state);
  cast_unref(&chan->object);
  unit_shut(h);
  return 0;
}

/* Waits for a message that does not come; returns when it is cancelled. */
static bool receives(unit_task *t) {
  int rc = unit_over(t) ? t->result : unit_receive(t, t->arg, FOREVER);
  return rc != CAST_PARKED;
}

static bool sleeps(void) {
  return atomic_load_explicit(&h->host.sleeper.sleeps, memory_order_seq_cst) %
           2 ==
         1;
}

/* -- verdicts ------------------------------------------------------------- */

static void alone(void **state) {
  CAST_UNUSED(state);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(unit_event(h->main, &event, FOREVER), CAST_DEADLOCK);
    assert_false(unit_awaited(&event));
    assert_int_equal(unit_receive(h->main, chan, FOREVER), CAST_DEADLOCK);
  }
}

static void with_waiting_tasks(void **state) {
  CAST_UNUSED(state);
  unit_session *s[3];
  unit_task *t[6];
  for (int i = 0; i < 3; i++) s[i] = unit_session_new();
  for (int i = 0; i < 6; i++)
    t[i] = unit_spawn_as(NULL, s[i % 3], receives, chan, i % 2 == 0);
  assert_int_equal(unit_receive(h->main, chan, FOREVER), CAST_DEADLOCK);
  for (int i = 0; i < 3; i++) unit_ask_to_close(s[i], &h->session.base);
  for (int i = 0; i < 6; i++) {
    assert_int_equal(unit_event(h->main, &t[i]->base.done, FOREVER), 0);
    cast_unref(&t[i]->base.object);
  }
  for (int i = 0; i < 3; i++) {
    assert_int_equal(unit_event(h->main, &s[i]->base.closed, FOREVER), 0);
    cast_unref(&s[i]->base.object);
  }
}

/* A wait that has ended in time has left its session's alarm set. */
static bool waits_shortly(unit_task *t) {
  if (t->at++ == 0) {
    unit_task *other = unit_spawn_as(
      t->base.session, unit_session_of(t->base.session), receives, chan, false);
    cast_unref(&other->base.object);
    return unit_receive(t, chan, os_now() + 3600000 * MS) != CAST_PARKED;
  }
  CAST_ALWAYS(unit_over(t) && t->result == 0);
  return true;
}

static void behind_a_timeout_that_is_over(void **state) {
  CAST_UNUSED(state);
  unit_session *s = unit_session_new();
  unit_task *t = unit_spawn(s, waits_shortly, NULL);
  assert_int_equal(unit_send(h->main, chan, 1, 2, FOREVER), 0);
  assert_int_equal(unit_event(h->main, &event, FOREVER), CAST_DEADLOCK);
  unit_ask_to_close(s, &h->session.base);
  assert_int_equal(unit_event(h->main, &s->base.closed, FOREVER), 0);
  cast_unref(&t->base.object);
  cast_unref(&s->base.object);
}

/* -- none ----------------------------------------------------------------- */

static _Atomic uint32_t looks; /* (a) that found nothing */

/* Not of the pool: looks as sysmon does, while the main program rests. */
static void *look_often(void *arg) {
  int (*then)(void) = (int (*)(void))(uintptr_t)arg;
  while (!sleeps()) os_cede();
  for (int i = 0; i < 1000; i++)
    if (!cast_deadlock_detect()) unit_count(&looks);
  then();
  return NULL;
}

static void looked_at(int (*then)(void), int result) {
  pthread_t thread;
  unit_write(&looks, 0);
  CAST_ALWAYS(
    pthread_create(&thread, NULL, look_often, (void *)(uintptr_t)then) == 0);
  assert_int_equal(unit_event(h->main, &event, FOREVER), result);
  (void)pthread_join(thread, NULL);
  assert_int_equal(unit_read(&looks), 1000);
}

static int set_event(void) {
  cast_event_set(&event, NULL);
  return 0;
}
static int take_back(void) {
  cast_deadlock_unexpect();
  return 0;
}

static void while_somebody_may_come(void **state) {
  CAST_UNUSED(state);
  cast_deadlock_expect();
  looked_at(set_event, 0);
  cast_event_clear(&event);
  looked_at(take_back, CAST_DEADLOCK); /* and then at once */
}

static bool fired(cast_timer *t) {
  CAST_UNUSED(t);
  return false;
}
static cast_timer timer = {.fire = fired};
static int remove_timer(void) {
  cast_timer_remove(&timer);
  cast_sched_wake_sysmon(); /* who runs does not take timers out by itself */
  return 0;
}

static void while_a_timer_is_set(void **state) {
  CAST_UNUSED(state);
  assert_int_equal(cast_timer_set(&timer, os_now() + 3600000 * MS), 0);
  looked_at(remove_timer, CAST_DEADLOCK);
}

/* A worker that is stuck in its slice, without a permit in the end. */
static _Atomic uint32_t stuck; /* (a) futex: 1: it is; 2: go on */
static bool blocks(unit_task *t) {
  CAST_UNUSED(t);
  unit_write(&stuck, 1);
  while (unit_read(&stuck) == 1) os_wait(&stuck, 1, OS_FOREVER);
  return true;
}
static int release(void) {
  unit_write(&stuck, 2);
  os_wake(&stuck, 1);
  return 0;
}

static void while_a_worker_is_stuck(void **state) {
  CAST_UNUSED(state);
  unit_session *s = unit_session_new();
  unit_task *t;
  unit_write(&stuck, 0);
  t = unit_spawn(s, blocks, NULL);
  while (unit_read(&stuck) == 0) os_cede();
  looked_at(release, CAST_DEADLOCK);
  assert_true(t->base.finished);
  cast_unref(&t->base.object);
  unit_ask_to_close(s, &h->session.base);
  assert_int_equal(unit_event(h->main, &s->base.closed, FOREVER), 0);
  cast_unref(&s->base.object);
}

/* The main program has a deadline, or sleeps. */
/* The worker has lost its permit, and sysmon fallen asleep, before it
   comes back, gets its permit again, and rests. */
static int release_late(void) {
  while (!cast_sysmon_is_asleep()) os_cede();
  return release();
}

static void after_a_worker_has_been_stuck(void **state) {
  CAST_UNUSED(state);
  for (int i = 0; i < 5; i++) {
    unit_session *s = unit_session_new();
    unit_task *t;
    unit_write(&stuck, 0);
    t = unit_spawn(s, blocks, NULL);
    while (unit_read(&stuck) == 0) os_cede();
    looked_at(release_late, CAST_DEADLOCK);
    cast_unref(&t->base.object);
    unit_ask_to_close(s, &h->session.base);
    assert_int_equal(unit_event(h->main, &s->base.closed, FOREVER), 0);
    cast_unref(&s->base.object);
  }
}

static void while_a_deadline_comes(void **state) {
  CAST_UNUSED(state);
  uint64_t now = os_now();
  assert_int_equal(
    unit_receive(h->main, chan, now + 200 * MS), CASTING_ETIMEOUT);
  assert_int_equal(unit_sleep(h->main, os_now() + 150 * MS), CASTING_ETIMEOUT);
  assert_true(os_now() >= now + 350 * MS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_host, shut_host)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(alone),
    TEST(with_waiting_tasks),
    TEST(behind_a_timeout_that_is_over),
    TEST(while_somebody_may_come),
    TEST(while_a_timer_is_set),
    TEST(while_a_worker_is_stuck),
    TEST(after_a_worker_has_been_stuck),
    TEST(while_a_deadline_comes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
