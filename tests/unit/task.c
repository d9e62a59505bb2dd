/* task.c - tests of tasks: start, end, cancellation, blocking in place.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

/* -- in the main session, whose owner the test is ------------------------- */

static uint32_t order[64]; /* (w) what the tasks leave behind */
static uint32_t norder;

static bool note_thrice(unit_task *t) {
  order[norder++] = (uint32_t)(uintptr_t)t->arg;
  if (++t->at == 3) return true;
  cast_task_yield(&t->base);
  CAST_ALWAYS(t->base.status == CAST_READY);
  return false;
}

static unit_task *spawn_here(
  unit_host *h, bool (*run)(unit_task *), uintptr_t arg, bool in_place) {
  unit_task *t =
    unit_spawn_as(&h->session.base, &h->session, run, (void *)arg, in_place);
  assert_non_null(t);
  return t;
}

static void in_turn(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  unit_task *t[5];
  norder = 0;
  assert_true(cast_event_is_set(&h->session.base.empty));
  for (uintptr_t i = 0; i < 5; i++) {
    t[i] = spawn_here(h, note_thrice, i, false);
    assert_int_equal(t[i]->base.status, CAST_READY);
    assert_false(cast_event_is_set(&h->session.base.empty));
    assert_int_equal(h->session.base.ntasks, i + 1);
    assert_true(i == 0 || t[i]->base.id > t[i - 1]->base.id);
  }
  assert_int_equal(norder, 0);
  unit_await(h, &h->session.base.empty);
  assert_int_equal(norder, 15);
  for (uint32_t i = 0; i < 15; i++) assert_int_equal(order[i], i % 5);
  for (size_t i = 0; i < 5; i++) {
    assert_true(t[i]->base.finished && cast_event_is_set(&t[i]->base.done));
    assert_int_equal(t[i]->base.status, CAST_DONE);
    assert_int_equal(t[i]->base.object.refs, 1);
    assert_int_equal(cast_event_wait(&t[i]->base.done, &h->main->base), 0);
    unit_join(h, t[i]);
  }
  unit_shut(h);
}

static bool wait_for_ever(unit_task *t) {
  int rc = CASTING_ECANCELLED; /* perhaps before it has begun */
  if (unit_over(t))
    rc = t->result;
  else if (!t->base.cancelled)
    rc = unit_sleep(t, FOREVER);
  if (rc == CAST_PARKED) return false;
  CAST_ALWAYS(rc == CASTING_ECANCELLED && t->base.cancelled);
  order[norder++] = (uint32_t)(uintptr_t)t->arg;
  return true;
}

static void cancelled_in_any_state(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  unit_task *t[4];
  norder = 0;
  for (uintptr_t i = 0; i < 4; i++)
    t[i] = spawn_here(h, wait_for_ever, i, i == 2);
  /* Not yet run: the flag is all. */
  cast_task_cancel(&t[3]->base);
  assert_true(t[3]->base.cancelled);
  assert_int_equal(t[3]->base.status, CAST_READY);
  assert_int_equal(unit_sleep(h->main, os_now() + 1), CASTING_ETIMEOUT);
  assert_int_equal(norder, 1);
  assert_int_equal(t[2]->base.status, CAST_WAITING);
  for (size_t i = 0; i < 4; i++) {
    cast_task_cancel(&t[3 - i]->base);
    cast_task_cancel(&t[3 - i]->base); /* again: nothing */
  }
  for (size_t i = 0; i < 4; i++) {
    unit_await(h, &t[i]->base.done);
    cast_task_cancel(&t[i]->base); /* too late */
    assert_int_equal(t[i]->base.status, CAST_CANCELLED);
    unit_join(h, t[i]);
  }
  assert_int_equal(norder, 4);
  for (uint32_t i = 0; i < 4; i++) assert_int_equal(order[i], 3 - i);
  unit_shut(h);
}

static void refused_by_a_closing_session(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  unit_session *s = unit_session_new();
  unit_task *t = unit_spawn(s, wait_for_ever, NULL);
  unit_task *late = unit_task_new(&s->base, wait_for_ever, NULL);
  norder = 0;
  cast_session_ref_weak(&s->base);
  unit_close(h, s);
  assert_int_equal(cast_task_start(&late->base, NULL), CASTING_ECLOSED);
  assert_int_equal(late->base.object.refs, 1);
  assert_int_equal(cast_task_start(&late->base, NULL), CASTING_ECLOSED);
  assert_true(cast_list_is_empty(&late->base.link));
  cast_unref(&late->base.object);
  cast_session_unref_weak(&s->base);
  assert_int_equal(t->base.status, CAST_CANCELLED);
  unit_join(h, t);
  unit_shut(h);
}

/* Join: of tasks elsewhere, by many, before and after their end. */
static bool join_it(unit_task *t) {
  unit_task *other = t->arg;
  int rc = unit_over(t) ? t->result : unit_event(t, &other->base.done, FOREVER);
  if (rc == CAST_PARKED) return false;
  CAST_ALWAYS(rc == 0 && other->base.finished);
  CAST_ALWAYS(other->base.status == CAST_DONE && other->n == 7);
  return true;
}

static bool work_a_little(unit_task *t) {
  if (t->at++ == 0) {
    cast_task_yield(&t->base);
    return false;
  }
  t->n = 7;
  return true;
}

static void joiners_see_the_end(void **state) {
  CAST_UNUSED(state);
  enum { JOINERS = 6 };
  unit_host *h = unit_open(3);
  unit_session *s[JOINERS];
  for (int i = 0; i < JOINERS; i++) s[i] = unit_session_new();
  for (uint32_t round = 0; round < unit_times(500); round++) {
    unit_task *joiner[JOINERS];
    unit_task *t = unit_spawn(s[round % JOINERS], work_a_little, NULL);
    for (int i = 0; i < JOINERS; i++)
      joiner[i] =
        unit_spawn_as(NULL, s[i], join_it, t, (round + (uint32_t)i) % 3 == 0);
    unit_await(h, &t->base.done);
    for (int i = 0; i < JOINERS; i++) unit_join(h, joiner[i]);
    unit_join(h, t); /* again, and its last reference goes */
  }
  for (int i = 0; i < JOINERS; i++) unit_close(h, s[i]);
  unit_shut(h);
}

/* -- started from everywhere, while the session closes -------------------- */

enum { STARTERS = 3 };

static struct {
  unit_session *session;
  uint32_t count;
  _Atomic uint32_t nrefused; /* (a) */
  _Atomic uint32_t nended;   /* (a) */
} storm;

static bool count_end(unit_task *t) {
  if (t->at++ == 0 && !t->base.cancelled) {
    cast_task_yield(&t->base);
    return false;
  }
  unit_count(&storm.nended);
  return true;
}

static void start_many(void *arg) {
  CAST_UNUSED(arg);
  bool refused = false;
  for (uint32_t i = 0; i < storm.count; i++) {
    unit_task *t = unit_spawn(storm.session, count_end, NULL);
    CAST_ALWAYS(t == NULL || !refused);
    refused = t == NULL;
    if (refused)
      unit_count(&storm.nrefused);
    else
      cast_unref(&t->base.object);
  }
}

static void started_or_refused(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(2);
  for (uint32_t round = 0; round < 20; round++) {
    os_thread thread[STARTERS];
    memset(&storm, 0, sizeof storm);
    storm.session = unit_session_new();
    storm.count = unit_times(1000);
    for (int i = 0; i < STARTERS; i++)
      assert_int_equal(os_thread_start(&thread[i], start_many, NULL, "go"), 0);
    while (unit_read(&storm.nended) < round * storm.count / 10) os_cede();
    unit_ask_to_close(storm.session, &h->session.base);
    for (int i = 0; i < STARTERS; i++) os_thread_join(&thread[i]);
    unit_close(h, storm.session);
    assert_int_equal(storm.nended + storm.nrefused, STARTERS * storm.count);
  }
  unit_shut(h);
}

/* -- in place: twenty tasks of one session, woken in any order ------------ */

enum { HELD = 20, CROWDS = 4 };

typedef struct crowd {
  unit_session *session;
  unit_task *task[HELD];
  cast_chan *chan[HELD];
  _Atomic uint32_t nready; /* (a) tasks that have begun */
} crowd;

static crowd crowds[CROWDS];
static uint32_t rounds;

/* Blocks somewhere deep, with something on the stack that must survive. */
static CAST_NOINLINE void receive_deep(
  unit_task *t, cast_chan *c, uint64_t expected, int depth) {
  _Atomic uint64_t frame[16];
  for (size_t i = 0; i < 16; i++)
    atomic_store_explicit(&frame[i], t->base.id + i, memory_order_relaxed);
  if (depth > 0) {
    receive_deep(t, c, expected, depth - 1);
  } else {
    uint64_t who, n;
    CAST_ALWAYS(unit_receive(t, c, FOREVER) == 0);
    unit_get(&t->base.waiter.msg, &who, &n);
    CAST_ALWAYS(n == expected);
  }
  for (size_t i = 0; i < 16; i++)
    CAST_ALWAYS(
      atomic_load_explicit(&frame[i], memory_order_relaxed) == t->base.id + i);
}

static bool receive_in_place(unit_task *t) {
  cast_chan *c = t->arg;
  for (; t->n < rounds; t->n++) {
    receive_deep(t, c, t->n, (int)(t->n % 5));
    CAST_ALWAYS(t->base.session->current == &t->base);
    CAST_ALWAYS(t->base.status == CAST_RUNNING);
  }
  return true;
}

/* Sends to all tasks of all crowds, in an order of its own each time. */
static bool send_around(unit_task *t) {
  static uint8_t shuffled[CROWDS * HELD];
  for (; t->n < rounds; t->n++, t->at = 0) {
    if (t->at == 0 && !t->over) {
      for (uint8_t i = 0; i < CROWDS * HELD; i++) {
        size_t k = unit_random(&t->seed) % (i + 1u);
        shuffled[i] = shuffled[k];
        shuffled[k] = i;
      }
    }
    for (; t->at < CROWDS * HELD; t->at++) {
      uint8_t to = shuffled[t->at];
      cast_chan *c = crowds[to / HELD].chan[to % HELD];
      int rc =
        unit_over(t) ? t->result : unit_send(t, c, t->base.id, t->n, FOREVER);
      if (rc == CAST_PARKED) return false;
      CAST_ALWAYS(rc == 0);
    }
  }
  return true;
}

static void held_and_woken_in_any_order(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(4);
  unit_session *s = unit_session_new();
  rounds = unit_times(300);
  for (size_t i = 0; i < CROWDS; i++) {
    crowds[i].session = unit_session_new();
    for (size_t k = 0; k < HELD; k++) {
      crowds[i].chan[k] = cast_chan_new(k % 3);
      crowds[i].task[k] = unit_spawn_as(
        NULL, crowds[i].session, receive_in_place, crowds[i].chan[k], true);
    }
  }
  unit_join(h, unit_spawn(s, send_around, NULL));
  for (size_t i = 0; i < CROWDS; i++) {
    for (size_t k = 0; k < HELD; k++) {
      unit_join(h, crowds[i].task[k]);
      cast_unref(&crowds[i].chan[k]->object);
    }
    unit_close(h, crowds[i].session);
  }
  unit_close(h, s);
  unit_shut(h);
}

/* Each in a loop that the one before it feeds. */
static cast_chan *stage[HELD + 1];

static bool pass_on(unit_task *t) {
  uintptr_t i = (uintptr_t)t->arg;
  uint64_t a, b;
  while (unit_receive(t, stage[i], FOREVER) == 0) {
    unit_get(&t->base.waiter.msg, &a, &b);
    CAST_ALWAYS(unit_send(t, stage[i + 1], a + 1, b, FOREVER) == 0);
  }
  CAST_ALWAYS(cast_chan_close(stage[i + 1], t->base.session));
  return true;
}

static void chain_of_loops(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(3);
  uint32_t n = unit_times(200);
  for (int kind = 0; kind < 3; kind++) {
    unit_task *t[HELD];
    unit_session *s[3];
    for (int i = 0; i < 3; i++) s[i] = unit_session_new();
    for (size_t i = 0; i <= HELD; i++)
      stage[i] = cast_chan_new(i == 0 || i == HELD ? CAST_UNBOUNDED : 0);
    /* All in one session, in three, or in the main session. */
    for (uintptr_t i = 0; i < HELD; i++)
      t[i] = kind == 2 ? spawn_here(h, pass_on, i, true)
                       : unit_spawn_as(NULL, s[kind == 0 ? 0 : i % 3], pass_on,
                           (void *)i, true);
    for (uint32_t i = 0; i < n; i++)
      assert_int_equal(unit_send(h->main, stage[0], 0, i, FOREVER), 0);
    cast_chan_close(stage[0], &h->session.base);
    for (uint32_t i = 0; i < n; i++) {
      uint64_t a, b;
      assert_int_equal(unit_receive(h->main, stage[HELD], FOREVER), 0);
      unit_get(&h->main->base.waiter.msg, &a, &b);
      assert_int_equal(a, HELD);
      assert_int_equal(b, i);
    }
    for (size_t i = 0; i < HELD; i++) unit_join(h, t[i]);
    for (size_t i = 0; i <= HELD; i++) cast_unref(&stage[i]->object);
    for (int i = 0; i < 3; i++) unit_close(h, s[i]);
  }
  unit_shut(h);
}

/* -- two that talk in place must not starve a third ----------------------- */

static _Atomic uint32_t stop; /* (a) */

static bool talk(unit_task *t) {
  uintptr_t me = (uintptr_t)t->arg;
  uint64_t a, b;
  /* Closed already if the third has run before the partner began. */
  bool open = me == 1 || unit_send(t, stage[1], 0, 0, FOREVER) == 0;
  while (
    open && unit_read(&stop) == 0 && unit_receive(t, stage[me], FOREVER) == 0) {
    unit_get(&t->base.waiter.msg, &a, &b);
    if (unit_send(t, stage[1 - me], 0, 0, FOREVER) != 0) break;
  }
  cast_chan_close(stage[0], t->base.session);
  cast_chan_close(stage[1], t->base.session);
  return true;
}

static bool set_stop(unit_task *t) {
  CAST_UNUSED(t);
  unit_write(&stop, 1);
  return true;
}

static void talkers_in_place_share_their_core(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  for (uint32_t i = 0; i < unit_times(4); i++) {
    unit_session *talkers = unit_session_new(), *other = unit_session_new();
    unit_task *t[2];
    unit_write(&stop, 0);
    for (int k = 0; k < 2; k++) stage[k] = cast_chan_new(0);
    for (uintptr_t k = 0; k < 2; k++)
      t[k] = unit_spawn_as(NULL, talkers, talk, (void *)k, true);
    unit_join(h, unit_spawn(other, set_stop, NULL));
    for (int k = 0; k < 2; k++) unit_join(h, t[k]);
    for (int k = 0; k < 2; k++) cast_unref(&stage[k]->object);
    unit_close(h, talkers);
    unit_close(h, other);
  }
  unit_shut(h);
}

/* -- held tasks are cancelled and unwound --------------------------------- */

static void close_unwinds_held_tasks(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(3);
  for (uint32_t round = 0; round < unit_times(100); round++) {
    unit_session *s = unit_session_new();
    unit_task *t[HELD];
    norder = 0;
    for (uintptr_t i = 0; i < HELD; i++)
      t[i] =
        unit_spawn_as(NULL, s, wait_for_ever, (void *)i, (i + round) % 3 != 0);
    /* At once, when some have begun, or when all wait. */
    unit_task *last = t[round % 3 == 1 ? round % HELD : HELD - 1];
    while (round % 3 != 0 && last->base.status != CAST_WAITING) os_cede();
    unit_close(h, s);
    for (size_t i = 0; i < HELD; i++) {
      assert_int_equal(t[i]->base.status, CAST_CANCELLED);
      unit_join(h, t[i]);
    }
    assert_int_equal(norder, HELD);
  }
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(in_turn, unit_clean),
    cmocka_unit_test_teardown(cancelled_in_any_state, unit_clean),
    cmocka_unit_test_teardown(refused_by_a_closing_session, unit_clean),
    cmocka_unit_test_teardown(joiners_see_the_end, unit_clean),
    cmocka_unit_test_teardown(started_or_refused, unit_clean),
    cmocka_unit_test_teardown(held_and_woken_in_any_order, unit_clean),
    cmocka_unit_test_teardown(chain_of_loops, unit_clean),
    cmocka_unit_test_teardown(talkers_in_place_share_their_core, unit_clean),
    cmocka_unit_test_teardown(close_unwinds_held_tasks, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
