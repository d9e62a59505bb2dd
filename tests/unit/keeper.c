/* keeper.c - tests of threads that run one session each.
   SPDX-License-Identifier: MIT

   The scheduler is used without a runtime, so there is no sysmon. */
#include "fixture.h"

#include "../../src/keeper.h"
#include "../../src/timer.h"

static _Atomic uint32_t nsysmon_wakes; /* (a) */
static _Atomic uint32_t ndone;         /* (a) */
static _Atomic uint32_t go_on;         /* (a) */

static void wake_sysmon(void) { unit_count(&nsysmon_wakes); }

static void open_pool(void) {
  cast_contexts_init();
  cast_timers_init();
  cast_workers_init();
  cast_sched_init(1, cast_worker_start, wake_sysmon);
  unit_write(&ndone, 0);
  unit_write(&go_on, 0);
  unit_write(&unit_nfreed, 0);
}

static void close_pool(void) {
  cast_sched_stop();
  assert_true(cast_workers_join(os_now() + PATIENCE_NS));
  assert_int_equal(cast_sched_workers(), 0);
  assert_int_equal(cast_sched_busy(), 0);
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

/* -- sessions with keepers ------------------------------------------------ */

static void own_wake(cast_session *s, cast_session *self) {
  CAST_UNUSED(self);
  cast_keeper_wake(s->keeper);
}

/* The thread of a session, as its keeper's first call has noted it. */
static uintptr_t thread_of(const unit_session *s) { return (uintptr_t)s->arg; }

static void note_thread(void *arg) {
  unit_session *s = arg;
  s->arg = (void *)os_thread_self();
}

static void closed_there(cast_session *s) {
  CAST_ALWAYS(thread_of(unit_session_of(s)) == os_thread_self());
  unit_on_close(s);
}

static const cast_session_ops own_ops = {
  .wake = own_wake,
  .resume = unit_resume,
  .close = closed_there,
  .free = unit_session_free,
};

/* NULL: out of memory, at whatever step. */
static unit_session *try_to_make(void) {
  unit_session *s = unit_session_with(&own_ops, false);
  bool called;
  if (s == NULL) return NULL;
  if (cast_worker_keep(&s->base) == 0) {
    called = cast_keeper_call(s->base.keeper, note_thread, s);
    if (called) {
      CAST_ALWAYS(thread_of(s) != os_thread_self());
      CAST_ALWAYS(cast_session_reclaim(&s->base));
      return s;
    }
    cast_keeper_dismiss(s->base.keeper);
  }
  cast_timer_remove(&s->base.alarm);
  cast_heap_fini(&s->base.deadlines);
  cast_free(s);
  return NULL;
}

static unit_session *own_session(void) {
  unit_session *s = try_to_make();
  CAST_ALWAYS(s != NULL);
  cast_session_release(&s->base, NULL);
  return s;
}

static void let_go(unit_session *s) {
  unit_ask_to_close(s, NULL);
  cast_unref(&s->base.object);
}

/* -- where it runs -------------------------------------------------------- */

static bool look(unit_task *t) {
  cast_worker *w = cast_worker_of(t->base.session);
  CAST_ALWAYS(thread_of(unit_session_of(t->base.session)) == os_thread_self());
  CAST_ALWAYS(w == t->base.session->keeper && w->core == NULL);
  CAST_ALWAYS(cast_sched_busy() > 0 && !cast_sched_is_quiet());
  if (t->at++ < 3) {
    cast_task_yield(&t->base);
    return false;
  }
  count(&ndone);
  return true;
}

static void runs_in_its_thread(void **state) {
  CAST_UNUSED(state);
  open_pool();
  for (uint32_t i = 1; i <= unit_times(100); i++) {
    unit_session *s = own_session();
    unit_write(&ndone, 0);
    cast_unref(&unit_spawn(s, look, NULL)->base.object);
    if (i % 2 == 0) await(&ndone, 1);
    cast_unref(&unit_spawn(s, look, NULL)->base.object);
    await(&ndone, 2);
    let_go(s);
    await(&unit_nfreed, i);
  }
  close_pool();
}

/* Each has its turn of a chain of messages; some block in place. */
enum { N = 4, ROUNDS = 50 };
static cast_chan *ring[N];

static void send(uint32_t to, uint64_t n) {
  cast_waiter w;
  memset(&w, 0, sizeof w);
  unit_put(&w.msg, n, to);
  CAST_ALWAYS(cast_chan_send(ring[to], NULL, NULL, &w) == 0);
}

static bool pass_on(unit_task *t) {
  uint32_t me = (uint32_t)(uintptr_t)t->arg;
  uint64_t a, b;
  CAST_ALWAYS(thread_of(unit_session_of(t->base.session)) == os_thread_self());
  for (; t->n < ROUNDS; t->n++) {
    int rc = unit_over(t) ? t->result : unit_receive(t, ring[me], FOREVER);
    if (rc == CAST_PARKED) return false;
    CAST_ALWAYS(rc == 0);
    unit_get(&t->base.waiter.msg, &a, &b);
    CAST_ALWAYS(a == t->n && b == me);
    if (me + 1 < N || t->n + 1 < ROUNDS) {
      uint32_t to = (me + 1) % N;
      send(to, me + 1 < N ? a : a + 1);
    }
  }
  count(&ndone);
  return true;
}

static void messages_between_them(void **state) {
  unit_session *s[N];
  CAST_UNUSED(state);
  open_pool();
  for (uint32_t i = 0; i < N; i++) {
    ring[i] = cast_chan_new(2);
    s[i] = own_session();
    cast_unref(
      &unit_spawn_as(NULL, s[i], pass_on, (void *)(uintptr_t)i, i % 2 == 1)
         ->base.object);
  }
  send(0, 0);
  await(&ndone, N);
  for (uint32_t i = 0; i < N; i++) let_go(s[i]);
  await(&unit_nfreed, N);
  for (uint32_t i = 0; i < N; i++) cast_unref(&ring[i]->object);
  close_pool();
}

/* -- counting ------------------------------------------------------------- */

static bool until_told(unit_task *t) {
  CAST_UNUSED(t);
  count(&ndone);
  while (unit_read(&go_on) == 0) os_cede();
  return true;
}

static void counts_while_it_runs(void **state) {
  CAST_UNUSED(state);
  open_pool();
  unit_session *s = own_session();
  uint64_t patience = os_now() + PATIENCE_NS;
  while (!cast_sched_is_quiet()) {
    assert_true(os_now() < patience);
    os_cede();
  }
  assert_int_equal(cast_sched_busy(), 0);
  assert_int_equal(cast_sched_workers(), 1);
  cast_unref(&unit_spawn(s, until_told, NULL)->base.object);
  await(&ndone, 1);
  assert_int_equal(cast_sched_busy(), 1);
  assert_false(cast_sched_is_quiet());
  /* Taken for stuck, it still is not at rest; and it wakes sysmon when it comes
     to that. */
  cast_keeper_discount(
    s->base.keeper, cast_sched_tick(s->base.keeper) + 1); /* another slice */
  assert_int_equal(cast_sched_busy(), 1);
  cast_keeper_discount(s->base.keeper, cast_sched_tick(s->base.keeper));
  assert_int_equal(cast_sched_busy(), 0);
  assert_false(cast_sched_is_quiet());
  unit_write(&nsysmon_wakes, 0);
  unit_write(&go_on, 1);
  while (!cast_sched_is_quiet()) {
    assert_true(os_now() < patience);
    os_cede();
  }
  await(&nsysmon_wakes, 1);
  let_go(s);
  await(&unit_nfreed, 1);
  close_pool();
}

/* A slice that goes on counts again. */
static bool until_counted(unit_task *t) {
  cast_worker *w = cast_worker_of(t->base.session);
  if (t->at++ == 0) cast_keeper_discount(w, cast_sched_tick(w));
  if (cast_sched_busy() == 0) {
    cast_task_yield(&t->base);
    return false;
  }
  count(&ndone);
  return true;
}

static void counts_again(void **state) {
  CAST_UNUSED(state);
  open_pool();
  unit_session *s = own_session();
  cast_unref(&unit_spawn(s, until_counted, NULL)->base.object);
  await(&ndone, 1);
  let_go(s);
  await(&unit_nfreed, 1);
  close_pool();
}

/* -- what fails ----------------------------------------------------------- */

static void dismissed(void **state) {
  CAST_UNUSED(state);
  open_pool();
  for (uint32_t i = 0; i < unit_times(50); i++) {
    unit_session *s = unit_session_with(&own_ops, false);
    CAST_ALWAYS(s != NULL);
    assert_int_equal(cast_worker_keep(&s->base), 0);
    if (i % 2 == 0)
      assert_true(cast_keeper_call(s->base.keeper, note_thread, s));
    cast_keeper_dismiss(s->base.keeper);
    cast_timer_remove(&s->base.alarm);
    cast_heap_fini(&s->base.deadlines);
    cast_free(s);
  }
  close_pool();
}

static void no_memory(void **state) {
  unit_session *s = NULL;
  uint64_t n = 0;
  CAST_UNUSED(state);
  open_pool();
  do {
    cast_mem_fail_at(++n);
    s = try_to_make();
    cast_mem_fail_at(0);
  } while (s == NULL && n < 100);
  assert_true(s != NULL && n > 2);
  cast_session_release(&s->base, NULL);
  cast_unref(&unit_spawn(s, look, NULL)->base.object);
  await(&ndone, 1);
  let_go(s);
  await(&unit_nfreed, 1);
  close_pool();
}

static void no_more_of_them(void **state) {
  static unit_session *s[CAST_KEEPERS_MAX];
  CAST_UNUSED(state);
  open_pool();
  unit_session *one_more = unit_session_with(&own_ops, false);
  CAST_ALWAYS(one_more != NULL);
  if (CAST_KEEPERS_MAX < 100) { /* a build with tiny limits */
    for (uint32_t i = 0; i < CAST_KEEPERS_MAX; i++) s[i] = own_session();
    assert_int_equal(cast_worker_keep(&one_more->base), CASTING_EFULL);
    for (uint32_t i = 0; i < CAST_KEEPERS_MAX; i++) let_go(s[i]);
    await(&unit_nfreed, CAST_KEEPERS_MAX);
  }
  cast_sched_stop();
  assert_int_equal(cast_worker_keep(&one_more->base), CASTING_EFULL);
  assert_null(one_more->base.keeper);
  cast_timer_remove(&one_more->base.alarm);
  cast_heap_fini(&one_more->base.deadlines);
  cast_free(one_more);
  close_pool();
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(runs_in_its_thread, unit_clean),
    cmocka_unit_test_teardown(messages_between_them, unit_clean),
    cmocka_unit_test_teardown(counts_while_it_runs, unit_clean),
    cmocka_unit_test_teardown(counts_again, unit_clean),
    cmocka_unit_test_teardown(dismissed, unit_clean),
    cmocka_unit_test_teardown(no_memory, unit_clean),
    cmocka_unit_test_teardown(no_more_of_them, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
