/* host.c - tests of main programs: waiting, waking, being interrupted.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <pthread.h>

/* -- its own tasks -------------------------------------------------------- */

static uint32_t order[64]; /* (w) of the main session */
static uint32_t norder;
static uint64_t first_ns; /* the first deadline */
static bool late;         /* it passed before all tasks had begun */

static bool note_and_sleep(unit_task *t) {
  uint64_t *until = t->arg;
  if (!t->over && os_now() >= first_ns) late = true;
  int rc = unit_over(t) ? t->result : unit_sleep(t, *until);
  if (rc == CAST_PARKED) return false;
  CAST_ALWAYS(rc == CASTING_ETIMEOUT && os_now() >= *until);
  order[norder++] = (uint32_t)t->n;
  return true;
}

/* While the main program waits, or sleeps, its tasks go on; and it goes on
   when its own wait is over, whatever they do. */
static void tasks_run_while_it_waits(void **state) {
  CAST_UNUSED(state);
  enum { TASKS = 6 };
  static const uint64_t at[TASKS] = {9, 3, 1, 12, 6, 30};
  static const uint32_t expected[TASKS] = {2, 1, 4, 0, 3, 5};
  unit_host *h = unit_open(1);
  cast_session *s = &h->session.base;
  for (int in_place = 0; in_place < 3; in_place++) {
    uint64_t now = os_now(), until[TASKS];
    unit_task *t[TASKS];
    norder = 0;
    first_ns = now + MS;
    late = false;
    for (uint32_t i = 0; i < TASKS; i++) {
      until[i] = now + at[i] * MS;
      t[i] = unit_task_new(s, note_and_sleep, &until[i]);
      t[i]->n = i;
      t[i]->in_place = in_place == 1 || (in_place == 2 && i % 2 == 0);
      assert_int_equal(cast_task_start(&t[i]->base, s), 0);
    }
    assert_int_equal(unit_sleep(h->main, now + 15 * MS), CASTING_ETIMEOUT);
    assert_true(os_now() >= now + 15 * MS);
    assert_true(s->current == &h->main->base);
    assert_true(late || norder >= 5); /* one may still sleep */
    unit_await(h, &s->empty);
    assert_int_equal(norder, TASKS);
    for (int i = 0; i < TASKS; i++)
      assert_true(late || order[i] == expected[i]);
    for (int i = 0; i < TASKS; i++) unit_join(h, t[i]);
  }
  unit_shut(h);
}

/* -- woken by the pool ---------------------------------------------------- */

static cast_chan *ping, *pong;

static bool answer(unit_task *t) {
  uint64_t a, b;
  for (;;) {
    if (t->at == 0) {
      int rc = unit_over(t) ? t->result : unit_receive(t, ping, FOREVER);
      if (rc == CAST_PARKED) return false;
      if (rc == CASTING_ECLOSED) return true;
      unit_get(&t->base.waiter.msg, &a, &b);
      t->n = a;
      t->at = 1;
    }
    int rc = unit_over(t) ? t->result : unit_send(t, pong, t->n, 0, FOREVER);
    if (rc == CAST_PARKED) return false;
    CAST_ALWAYS(rc == 0);
    t->at = 0;
  }
}

static void talks_with_the_pool(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(2);
  for (size_t capacity = 0; capacity < 2; capacity++) {
    unit_session *s = unit_session_new();
    uint64_t seed = 9;
    ping = cast_chan_new(capacity);
    pong = cast_chan_new(capacity);
    unit_task *t = unit_spawn(s, answer, NULL);
    for (uint64_t i = 0; i < unit_times(5000); i++) {
      uint64_t a, b;
      assert_int_equal(unit_send(h->main, ping, i, 0, FOREVER), 0);
      for (uint64_t k = unit_random(&seed) % 300; k > 0; k--) os_relax();
      assert_int_equal(unit_receive(h->main, pong, FOREVER), 0);
      unit_get(&h->main->base.waiter.msg, &a, &b);
      assert_int_equal(a, i);
    }
    cast_chan_close(ping, &h->session.base);
    unit_join(h, t);
    unit_close(h, s);
    cast_unref(&ping->object);
    cast_unref(&pong->object);
  }
  unit_shut(h);
}

/* Deadlines that race with what is waited for. */
static bool send_some(unit_task *t) {
  while (t->n < (uintptr_t)t->arg) {
    int rc;
    if (t->at == 0) {
      if (!unit_over(t)) {
        (void)unit_sleep(t, os_now() + unit_random(&t->seed) % 60000);
        return false;
      }
      t->at = 1;
    }
    rc =
      unit_over(t) ? t->result : unit_send(t, ping, t->n, 0, os_now() + MS / 5);
    if (rc == CAST_PARKED) return false;
    CAST_ALWAYS(rc == 0 || rc == CASTING_ETIMEOUT);
    if (rc == 0) t->n++;
    t->at = 0;
  }
  return true;
}

static void deadlines_race(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(2);
  unit_session *s = unit_session_new();
  uint64_t seed = 2, n = unit_times(2000), a, b;
  ping = cast_chan_new(0);
  unit_task *t = unit_spawn(s, send_some, (void *)(uintptr_t)n);
  for (uint64_t i = 0; i < n;) {
    uint64_t soon = os_now() + unit_random(&seed) % 80000;
    int rc = unit_receive(h->main, ping, soon);
    if (rc == CASTING_ETIMEOUT) continue;
    assert_int_equal(rc, 0);
    unit_get(&h->main->base.waiter.msg, &a, &b);
    assert_int_equal(a, i++);
  }
  unit_join(h, t);
  cast_unref(&ping->object);
  unit_close(h, s);
  unit_shut(h);
}

/* The waker has put its post into the inbox and is slow to wake: the main
   program, which may see the post already, must not go on (and end, and free
   what the waker is going to touch). */
static _Atomic uint32_t slow;      /* (a) 1: the next wake is a slow one */
static _Atomic uint32_t woke;      /* (a) it has got to waking */
static _Atomic uint32_t went_on;   /* (a) the main program has gone on */
static _Atomic uint32_t too_early; /* (a) before that */

static void wake_slowly(cast_session *s, cast_session *self) {
  if (atomic_exchange_explicit(&slow, 0, memory_order_relaxed) != 0) {
    uint64_t until = os_now() + 3 * MS;
    while (os_now() < until && unit_read(&went_on) == 0) os_cede();
    unit_write(&too_early, unit_read(&went_on));
    unit_write(&woke, 1);
  }
  unit_host_wake(s, self);
}

static const cast_session_ops slow_ops = {
  .wake = wake_slowly,
  .resume = unit_resume,
  .close = unit_on_close,
  .free = unit_host_free,
};

static cast_event event;

static _Atomic uint32_t begun; /* (a) the task runs */
static _Atomic uint32_t go;    /* (a) the main program is about to wait */

/* While the main program still looks, before it sleeps. */
static bool set_event(unit_task *t) {
  unit_write(&begun, 1);
  while (unit_read(&go) == 0) os_relax();
  for (uint64_t k = unit_random(&t->seed) % 500; k > 0; k--) os_relax();
  unit_write(&slow, 1);
  cast_event_set(&event, t->base.session);
  return true;
}

static void goes_on_after_its_waker(void **state) {
  CAST_UNUSED(state);
  unit_host *h;
  assert_int_equal(unit_host_make(&h, &slow_ops), 0);
  unit_session *s = unit_session_new();
  for (uint32_t i = 0; i < unit_times(50); i++) {
    cast_event_init(&event);
    unit_write(&woke, 0);
    unit_write(&went_on, 0);
    unit_write(&begun, 0);
    unit_write(&go, 0);
    unit_task *t = unit_spawn(s, set_event, NULL);
    while (unit_read(&begun) == 0) os_cede();
    unit_write(&go, 1);
    unit_await(h, &event);
    unit_write(&went_on, 1);
    /* Unless the main program was so late that it did not sleep at all. */
    if (unit_read(&slow) == 0) assert_int_equal(unit_read(&woke), 1);
    assert_int_equal(unit_read(&too_early), 0);
    unit_write(&slow, 0);
    unit_join(h, t);
  }
  unit_close(h, s);
  unit_shut(h);
}

/* -- interrupted ---------------------------------------------------------- */

static _Atomic uint32_t nbegun; /* (a) waits */
static _Atomic uint32_t nended; /* (a) */
static uint32_t nwaits;
static unit_host *to_stop;
static pthread_t main_thread;

static void on_signal(int number) {
  CAST_UNUSED(number);
  unit_write(&to_stop->stop, 1); /* as lua.c sets a hook */
}

/* One for each wait. ThreadSanitizer keeps a signal from the handler until the
   stack that was running then runs again: there it may take several. */
static void send_signals(void *arg) {
  uint64_t seed = 4;
  CAST_UNUSED(arg);
  for (uint32_t i = 0; i < nwaits; i++) {
    while (unit_read(&nbegun) == i) os_cede();
    uint64_t delay = unit_random(&seed) % (i % 2 == 0 ? 20000 : 300);
    for (; delay > 0; delay--) os_relax();
    (void)pthread_kill(main_thread, SIGUSR1);
    while (unit_read(&nended) == i) {
      os_cede();
#if defined(UNIT_TSAN)
      (void)pthread_kill(main_thread, SIGUSR1);
#endif
    }
  }
}

/* No signal is missed: without a deadline, only they end the waits. */
static void interrupted_at_any_moment(void **state) {
  CAST_UNUSED(state);
  os_thread thread;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  unit_host *h = unit_open(1);
  to_stop = h;
  main_thread = pthread_self();
  nwaits = unit_times(2000);
  unit_write(&nbegun, 0);
  unit_write(&nended, 0);
  assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
  assert_int_equal(os_thread_start(&thread, send_signals, NULL, "signal"), 0);
  cast_event_init(&event);
  cast_deadlock_expect(); /* a signal is yet to come */
  for (uint32_t i = 0; i < nwaits; i++) {
    unit_count(&nbegun);
    assert_int_equal(unit_event(h->main, &event, FOREVER), CASTING_EINTR);
    assert_false(unit_awaited(&event));
    unit_write(&h->stop, 0);
    unit_count(&nended);
  }
  cast_deadlock_unexpect();
  os_thread_join(&thread);
  (void)signal(SIGUSR1, SIG_IGN);
  unit_shut(h);
}

/* After the main session's last look at whether it is interrupted, and before
   its sleep: the sleep has a look of its own. */
static _Atomic uint32_t looks; /* (a) */

static bool interrupted_late(cast_session *s) {
  if (unit_count(&looks) != 1) return unit_host_interrupted(s);
  unit_write(&unit_host_of(s)->stop, 1);
  return false;
}

static const cast_session_ops late_ops = {
  .wake = unit_host_wake,
  .resume = unit_resume,
  .close = unit_on_close,
  .free = unit_host_free,
  .interrupted = interrupted_late,
};

static void interrupted_while_it_falls_asleep(void **state) {
  CAST_UNUSED(state);
  unit_host *h;
  assert_int_equal(unit_host_make(&h, &late_ops), 0);
  cast_event_init(&event);
  for (int i = 0; i < 10; i++) {
    unit_write(&looks, 0);
    assert_int_equal(unit_event(h->main, &event, FOREVER), CASTING_EINTR);
    unit_write(&h->stop, 0);
  }
  unit_shut(h);
}

/* A signal that is over before the wait begins. */
static void interrupted_before(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_event_init(&event);
  unit_write(&h->stop, 1);
  assert_int_equal(unit_event(h->main, &event, FOREVER), CASTING_EINTR);
  unit_write(&h->stop, 0);
  assert_int_equal(
    unit_event(h->main, &event, os_now() + MS), CASTING_ETIMEOUT);
  unit_shut(h);
}

/* -- run by one thread after another -------------------------------------- */

static cast_event later;

static bool wait_then_note(unit_task *t) {
  int rc = unit_over(t) ? t->result : unit_event(t, &later, FOREVER);
  if (rc == CAST_PARKED) return false;
  norder++;
  return true;
}

static void wait_in_this_thread(void *arg) {
  unit_host *h = arg;
  CAST_ALWAYS(unit_sleep(h->main, os_now() + MS / 10) == CASTING_ETIMEOUT);
}

static void set_in_this_thread(void *arg) {
  unit_host *h = arg;
  cast_event_set(&later, &h->session.base);
  unit_await(h, &h->session.base.empty);
}

/* Its tasks block in place upon one thread and go on upon another. */
static void moves_between_threads(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  for (uint32_t round = 0; round < unit_times(30); round++) {
    unit_task *t[4];
    norder = 0;
    cast_event_init(&later);
    for (int i = 0; i < 4; i++)
      t[i] = unit_spawn_as(
        &h->session.base, &h->session, wait_then_note, NULL, i < 3);
    for (uint32_t i = 0; i < 4; i++) {
      os_thread thread;
      void (*what)(void *) = i == 2 ? set_in_this_thread : wait_in_this_thread;
      if (i == round % 4) {
        what(h);
        continue;
      }
      assert_int_equal(os_thread_start(&thread, what, h, "main"), 0);
      os_thread_join(&thread);
    }
    assert_int_equal(norder, 4);
    for (int i = 0; i < 4; i++) unit_join(h, t[i]);
  }
  unit_shut(h);
}

/* -- several at once ------------------------------------------------------ */

enum { HOSTS = 3 };

static cast_chan *ring[HOSTS];

/* Each is a main program of its own, and they pass numbers on to each other;
   every so often one ends and another begins. */
static void be_a_host(void *arg) {
  uintptr_t me = (uintptr_t)arg;
  uint64_t seed = me + 1, last = unit_times(600);
  for (uint64_t i = 0; i < last;) {
    unit_host *h;
    CAST_ALWAYS(unit_host_make(&h, &unit_host_ops) == 0);
    unit_session *s = unit_session_new();
    for (uint64_t k = unit_random(&seed) % 40; i < last && k > 0; k--, i++) {
      uint64_t a, b;
      if (me == 0) CAST_ALWAYS(unit_send(h->main, ring[1], i, 0, FOREVER) == 0);
      CAST_ALWAYS(unit_receive(h->main, ring[me], FOREVER) == 0);
      unit_get(&h->main->base.waiter.msg, &a, &b);
      CAST_ALWAYS(a == i && b == (me + HOSTS - 1) % HOSTS);
      if (me != 0)
        CAST_ALWAYS(
          unit_send(h->main, ring[(me + 1) % HOSTS], i, b + 1, FOREVER) == 0);
    }
    unit_close(h, s);
    unit_shut(h);
  }
}

static void several_at_once(void **state) {
  CAST_UNUSED(state);
  os_thread thread[HOSTS];
  for (size_t i = 0; i < HOSTS; i++) ring[i] = cast_chan_new(i % 2);
  for (uintptr_t i = 0; i < HOSTS; i++)
    assert_int_equal(
      os_thread_start(&thread[i], be_a_host, (void *)i, "main"), 0);
  for (size_t i = 0; i < HOSTS; i++) os_thread_join(&thread[i]);
  for (size_t i = 0; i < HOSTS; i++) cast_unref(&ring[i]->object);
}

/* -- what may be missing -------------------------------------------------- */

static void no_memory_for_a_host(void **state) {
  CAST_UNUSED(state);
  unit_host *h = NULL;
  uint64_t n = 0;
  int rc;
  do {
    cast_mem_fail_at(++n);
    rc = unit_host_make(&h, &unit_host_ops);
    if (rc != 0) {
      assert_int_equal(rc, CASTING_ENOMEM);
      assert_true(cast_mem_has_failed());
    }
    cast_mem_fail_at(0);
    if (rc != 0) assert_int_equal(cast_mem_live(), 0);
  } while (rc != 0);
  assert_true(n >= 3);
  assert_int_equal(unit_sleep(h->main, os_now()), CASTING_ETIMEOUT);
  unit_shut(h);
}

static void no_descriptor_for_a_host(void **state) {
  CAST_UNUSED(state);
  struct rlimit old, none;
  unit_host *h = NULL;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
  none = old;
  none.rlim_cur = 0;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  int rc = unit_host_make(&h, &unit_host_ops);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
  assert_int_equal(rc, CASTING_ENOMEM);
  assert_null(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(tasks_run_while_it_waits, unit_clean),
    cmocka_unit_test_teardown(talks_with_the_pool, unit_clean),
    cmocka_unit_test_teardown(deadlines_race, unit_clean),
    cmocka_unit_test_teardown(goes_on_after_its_waker, unit_clean),
    cmocka_unit_test_teardown(interrupted_at_any_moment, unit_clean),
    cmocka_unit_test_teardown(interrupted_while_it_falls_asleep, unit_clean),
    cmocka_unit_test_teardown(interrupted_before, unit_clean),
    cmocka_unit_test_teardown(moves_between_threads, unit_clean),
    cmocka_unit_test_teardown(several_at_once, unit_clean),
    cmocka_unit_test_teardown(no_memory_for_a_host, unit_clean),
    cmocka_unit_test_teardown(no_descriptor_for_a_host, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
