/* select.c - tests of select: one case, chosen fairly, and exactly once.
   SPDX-License-Identifier: MIT

   As for channels: first step by step with one thread, then many sessions. */
#include "fixture.h"

/* -- one thread ----------------------------------------------------------- */

enum { CHANNELS = 4, TASKS = 4, CASES = 8 };

static unit_session *still;
static unit_task *task[TASKS];
static cast_case cases[TASKS][CASES];
static cast_chan *chan[CHANNELS];

static void begin(size_t capacity) {
  still = unit_still();
  memset(cases, 0, sizeof cases);
  for (size_t i = 0; i < TASKS; i++) {
    task[i] = unit_task_new(&still->base, NULL, NULL);
    assert_non_null(task[i]);
  }
  for (size_t i = 0; i < CHANNELS; i++) {
    chan[i] = cast_chan_new(capacity);
    assert_non_null(chan[i]);
  }
}

static void finish(void) {
  for (size_t i = 0; i < TASKS; i++) {
    cast_select_done(cases[i], CASES);
    for (size_t k = 0; k < CASES; k++) cast_msg_drop(&cases[i][k].waiter.msg);
    cast_unref(&task[i]->base.object);
  }
  for (size_t i = 0; i < CHANNELS; i++) cast_unref(&chan[i]->object);
  unit_still_end(still);
}

/* Case k of task i: v == 0 receives, else v is sent. */
static void set(size_t i, size_t k, cast_chan *c, uint64_t v) {
  memset(&cases[i][k], 0, sizeof cases[i][k]);
  cases[i][k].chan = c;
  cases[i][k].sending = v != 0;
  if (v != 0) unit_put(&cases[i][k].waiter.msg, v, ~v);
}

static int select_n(size_t i, uint32_t n, uint32_t *which) {
  return cast_select(&still->base, &task[i]->base, cases[i], n, which);
}

static int try_n(size_t i, uint32_t n, uint32_t *which) {
  return cast_select(&still->base, NULL, cases[i], n, which);
}

static void expect_message(cast_msg *m, uint64_t expected) {
  uint64_t v = 0, check = 0;
  unit_get(m, &v, &check);
  assert_int_equal(v, expected);
  assert_true(check == ~v);
}

/* The next ready task is i, because of its case k. */
static void expect_ready(size_t i, uint32_t k, uint32_t n, int result) {
  unit_task *t = unit_still_next(still);
  assert_ptr_equal(t, task[i]);
  assert_int_equal(t->base.wait.result, result);
  assert_int_equal(t->base.wait.index, k);
  cast_wait_done(&t->base);
  cast_select_done(cases[i], n);
  for (uint32_t other = 0; other < n; other++)
    assert_true(cases[i][other].chan == NULL ||
                cast_list_is_empty(&cases[i][other].waiter.link));
}

static int send(cast_chan *c, uint64_t v) {
  cast_waiter w = {.index = 0};
  unit_put(&w.msg, v, ~v);
  int rc = cast_chan_send(c, &still->base, NULL, &w);
  cast_msg_drop(&w.msg);
  return rc;
}

static int receive(cast_chan *c, uint64_t *v) {
  cast_waiter w = {.index = 0};
  uint64_t check;
  int rc = cast_chan_receive(c, &still->base, NULL, &w);
  if (rc == 0) unit_get(&w.msg, v, &check);
  return rc;
}

static void the_one_that_is_ready(void **state) {
  CAST_UNUSED(state);
  uint32_t which = 99;
  begin(1);
  for (uint32_t ready = 0; ready < CHANNELS; ready++) {
    for (size_t k = 0; k < CHANNELS; k++) set(0, k, chan[k], 0);
    assert_int_equal(send(chan[ready], 7), 0);
    assert_int_equal(select_n(0, CHANNELS, &which), 0);
    assert_int_equal(which, ready);
    expect_message(&cases[0][ready].waiter.msg, 7);
  }
  for (size_t k = 0; k < CHANNELS; k++) send(chan[k], 1);
  for (uint32_t ready = 0; ready < CHANNELS; ready++) {
    uint64_t v;
    for (size_t k = 0; k < CHANNELS; k++) set(0, k, chan[k], 10 + k);
    assert_int_equal(receive(chan[ready], &v), 0);
    assert_int_equal(try_n(0, CHANNELS, &which), 0);
    assert_int_equal(which, ready);
    for (size_t k = 0; k < CHANNELS; k++) {
      assert_int_equal(cast_msg_is_empty(&cases[0][k].waiter.msg), k == ready);
      cast_msg_drop(&cases[0][k].waiter.msg);
    }
  }
  finish();
}

static void none_is_ready(void **state) {
  CAST_UNUSED(state);
  uint32_t which = 99;
  begin(0);
  set(0, 0, chan[0], 0);
  set(0, 2, chan[1], 5);
  assert_int_equal(try_n(0, 3, &which), CASTING_EEMPTY);
  assert_int_equal(try_n(0, 0, &which), CASTING_EEMPTY);
  assert_int_equal(which, 99);
  /* Never ready: NULL channels, and no case at all; ended from elsewhere. */
  for (uint32_t n = 0; n < 3; n++) {
    memset(cases[1], 0, sizeof cases[1]);
    assert_int_equal(select_n(1, n, &which), CAST_PARKED);
    cast_wait_end(&task[1]->base, CASTING_ETIMEOUT);
    task[1]->base.wait.index = 0;
    expect_ready(1, 0, n, CASTING_ETIMEOUT);
  }
  finish();
}

static void parked_on_all(void **state) {
  CAST_UNUSED(state);
  uint32_t which = 99;
  for (uint32_t k = 0; k < CHANNELS; k++) {
    uint64_t v;
    begin(0);
    for (size_t c = 0; c < CHANNELS; c++) set(0, c, chan[c], c % 2 * 50);
    assert_int_equal(select_n(0, CHANNELS, &which), CAST_PARKED);
    if (k % 2 == 0)
      assert_int_equal(send(chan[k], 70 + k), 0);
    else
      assert_int_equal(receive(chan[k], &v), 0);
    /* The others are dead: nobody meets them any more. */
    for (uint32_t c = 0; c < CHANNELS; c++)
      assert_int_equal(c % 2 == 0 ? send(chan[c], 1) : receive(chan[c], &v),
        c % 2 == 0 ? CASTING_EFULL : CASTING_EEMPTY);
    expect_ready(0, k, CHANNELS, 0);
    if (k % 2 == 0) expect_message(&cases[0][k].waiter.msg, 70 + k);
    assert_null(unit_still_next(still));
    finish();
  }
}

static void closed_is_ready(void **state) {
  CAST_UNUSED(state);
  uint32_t which = 99;
  begin(0);
  set(0, 0, chan[0], 0);
  set(0, 1, chan[1], 3);
  assert_int_equal(select_n(0, 2, &which), CAST_PARKED);
  assert_true(cast_chan_close(chan[1], &still->base));
  expect_ready(0, 1, 2, CASTING_ECLOSED);
  assert_int_equal(select_n(0, 2, &which), CASTING_ECLOSED);
  assert_int_equal(which, 1);
  expect_message(&cases[0][1].waiter.msg, 3); /* still its sender's */
  set(0, 1, NULL, 0);
  assert_int_equal(select_n(0, 2, &which), CAST_PARKED);
  assert_true(cast_chan_close(chan[0], &still->base));
  expect_ready(0, 0, 2, CASTING_ECLOSED);
  assert_int_equal(try_n(0, 2, &which), CASTING_ECLOSED);
  assert_int_equal(which, 0);
  finish();
}

/* The same channel several times, and both ways. */
static void never_meets_itself(void **state) {
  CAST_UNUSED(state);
  uint32_t which = 99;
  uint64_t v = 0;
  begin(0);
  set(0, 0, chan[0], 4);
  set(0, 1, chan[0], 0);
  set(0, 2, chan[0], 6);
  set(0, 3, chan[1], 0);
  set(0, 4, chan[0], 0);
  assert_int_equal(try_n(0, 5, &which), CASTING_EEMPTY);
  assert_int_equal(select_n(0, 5, &which), CAST_PARKED);
  assert_int_equal(receive(chan[0], &v), 0); /* of the first that waits */
  assert_int_equal(v, 4);
  expect_ready(0, 0, 5, 0);
  set(0, 0, chan[0], 4);
  assert_int_equal(select_n(0, 5, &which), CAST_PARKED);
  assert_int_equal(send(chan[0], 8), 0);
  expect_ready(0, 1, 5, 0);
  expect_message(&cases[0][1].waiter.msg, 8);
  /* Another of its kind: they meet in one of the ways, once. */
  assert_int_equal(select_n(0, 5, &which), CAST_PARKED);
  set(1, 0, chan[0], 0);
  set(1, 1, chan[0], 9);
  assert_int_equal(select_n(1, 2, &which), 0);
  if (which == 0) {
    expect_message(&cases[1][0].waiter.msg, 4);
    expect_ready(0, 0, 5, 0);
  } else {
    expect_ready(0, 1, 5, 0);
    expect_message(&cases[0][1].waiter.msg, 9);
  }
  assert_null(unit_still_next(still));
  assert_int_equal(receive(chan[0], &v), CASTING_EEMPTY);
  assert_int_equal(send(chan[0], 1), CASTING_EFULL);
  finish();
}

static void each_ready_case_as_often(void **state) {
  CAST_UNUSED(state);
  enum { ROUNDS = 40000 };
  uint32_t which, hits[CASES] = {0};
  begin(1);
  /* Cases 1, 3, 4, 6 are ready; some of the others are not, or never. */
  static const bool ready[CASES] = {0, 1, 0, 1, 1, 0, 1, 0};
  cast_chan_close(chan[0], &still->base);
  for (size_t k = 0; k < CASES; k++)
    set(0, k, ready[k] ? chan[0] : k == 0 ? NULL : chan[1], 0);
  for (int i = 0; i < ROUNDS; i++) {
    assert_int_equal(try_n(0, CASES, &which), CASTING_ECLOSED);
    hits[which]++;
  }
  for (size_t k = 0; k < CASES; k++) {
    /* A deviation of more than 6 sigma (87) has no chance to be chance. */
    if (ready[k])
      assert_in_range(hits[k], ROUNDS / 4 - 520, ROUNDS / 4 + 520);
    else
      assert_int_equal(hits[k], 0);
  }
  finish();
}

/* Debug builds prove the order of the locks. */
static void many_cases_in_any_order(void **state) {
  CAST_UNUSED(state);
  enum { MANY = 500, DIFFERENT = 100 };
  static cast_case many[MANY];
  cast_chan *c[DIFFERENT];
  uint64_t seed = 5;
  uint32_t which;
  begin(0);
  for (size_t i = 0; i < DIFFERENT; i++) c[i] = cast_chan_new(1);
  for (int round = 0; round < 50; round++) {
    memset(many, 0, sizeof many);
    uint32_t n = (uint32_t)(unit_random(&seed) % MANY) + 1;
    for (size_t k = 0; k < n; k++) {
      uint64_t dice = unit_random(&seed) % (DIFFERENT + 10);
      many[k].chan = dice < DIFFERENT ? c[dice] : NULL;
    }
    cast_chan *chosen = many[unit_random(&seed) % n].chan;
    int rc = cast_select(&still->base, &task[0]->base, many, n, &which);
    assert_int_equal(rc, CAST_PARKED);
    if (chosen != NULL) {
      assert_int_equal(send(chosen, 1), 0);
      assert_ptr_equal(unit_still_next(still), task[0]);
      which = task[0]->base.wait.index;
      assert_ptr_equal(many[which].chan, chosen);
      expect_message(&many[which].waiter.msg, 1);
    } else {
      assert_true(cast_wait_claim(&task[0]->base.wait));
    }
    cast_wait_done(&task[0]->base);
    cast_select_done(many, n);
  }
  for (size_t i = 0; i < DIFFERENT; i++) cast_unref(&c[i]->object);
  finish();
}

static void no_memory_changes_nothing(void **state) {
  CAST_UNUSED(state);
  uint32_t which = 99, n = 0;
  begin(CAST_UNBOUNDED);
  for (int i = 0; i < 100; i++) {
    set(0, 0, chan[1], 0);
    set(0, 1, chan[0], 5);
    cast_mem_fail_at(1);
    int rc = select_n(0, 2, &which);
    bool failed = cast_mem_has_failed();
    cast_mem_fail_at(0);
    assert_int_equal(which, 1);
    assert_int_equal(rc, failed ? CASTING_ENOMEM : 0);
    if (failed) {
      expect_message(&cases[0][1].waiter.msg, 5);
      assert_int_equal(cast_chan_grow(chan[0], NULL), 0);
    } else {
      n++;
    }
    assert_int_equal(cast_chan_len(chan[0]), n);
  }
  finish();
}

/* -- many sessions -------------------------------------------------------- */

enum { MESH = 8, NODES = 6, CORES = 4 };

static struct {
  cast_chan *chan[MESH];
  bool both_ways;             /* every case both sends and receives */
  uint32_t count;             /* selects of each task */
  _Atomic uint32_t nsent;     /* (a) */
  _Atomic uint32_t nreceived; /* (a) */
  _Atomic uint64_t sent;      /* (a) sums of what */
  _Atomic uint64_t received;  /* (a) */
} mesh;

typedef struct node {
  cast_case cases[CASES];
  uint64_t value[CASES]; /* what is sent */
  uint32_t n;
} node;

static void make_cases(unit_task *t, node *d) {
  memset(d->cases, 0, sizeof d->cases);
  d->n = mesh.both_ways ? 2 : (uint32_t)(unit_random(&t->seed) % CASES) + 1;
  for (uint32_t k = 0; k < d->n; k++) {
    uint64_t dice = unit_random(&t->seed);
    cast_case *c = &d->cases[k];
    c->chan = mesh.chan[mesh.both_ways ? 0 : dice % MESH];
    c->sending = mesh.both_ways ? k % 2 == 0 : (dice >> 32) % 2 == 0;
    d->value[k] = dice;
    if (c->sending) unit_put(&c->waiter.msg, dice, ~dice);
  }
}

/* What has happened, and that nothing else has. */
static void account(node *d, int rc, uint32_t which) {
  for (uint32_t k = 0; k < d->n; k++) {
    cast_case *c = &d->cases[k];
    bool happened = rc == 0 && k == which;
    uint64_t v, check;
    CAST_ALWAYS(cast_msg_is_empty(&c->waiter.msg) == (c->sending == happened));
    if (c->sending && happened) {
      unit_count(&mesh.nsent);
      atomic_fetch_add_explicit(&mesh.sent, d->value[k], memory_order_relaxed);
    } else if (happened) {
      unit_get(&c->waiter.msg, &v, &check);
      CAST_ALWAYS(check == ~v);
      unit_count(&mesh.nreceived);
      atomic_fetch_add_explicit(&mesh.received, v, memory_order_relaxed);
    }
    cast_msg_drop(&c->waiter.msg);
  }
}

static bool mix(unit_task *t) {
  node *d = t->arg;
  while (t->n < mesh.count) {
    int rc;
    if (unit_over(t)) {
      rc = t->result;
    } else {
      uint64_t soon = unit_random(&t->seed) % 100000;
      make_cases(t, d);
      rc = unit_select(t, d->cases, d->n, os_now() + soon);
    }
    if (rc == CAST_PARKED) return false;
    CAST_ALWAYS(rc == 0 || rc == CASTING_ETIMEOUT);
    account(d, rc, t->which);
    t->n++;
  }
  return true;
}

static void drain(cast_chan *c) {
  for (;;) {
    cast_waiter w = {.index = 0};
    uint64_t v, check;
    if (cast_chan_receive(c, NULL, NULL, &w) != 0) return;
    unit_get(&w.msg, &v, &check);
    unit_count(&mesh.nreceived);
    atomic_fetch_add_explicit(&mesh.received, v, memory_order_relaxed);
  }
}

static void expect_balance(void) {
  assert_int_equal(mesh.nsent, mesh.nreceived);
  assert_true(mesh.sent == mesh.received);
}

static void run_mesh(uint32_t count, bool both_ways, bool in_place) {
  static node nodes[NODES];
  unit_session *s[NODES];
  unit_task *t[NODES];
  unit_host *h = unit_open(CORES);
  memset(&mesh, 0, sizeof mesh);
  mesh.both_ways = both_ways;
  mesh.count = count;
  for (size_t i = 0; i < MESH; i++) mesh.chan[i] = cast_chan_new(i / 4);
  /* Two tasks each in half as many sessions, in the second half. */
  for (size_t i = 0; i < NODES; i++) {
    s[i] = i < NODES / 2 ? unit_session_new() : s[NODES - 1 - i];
    t[i] = unit_spawn_as(NULL, s[i], mix, &nodes[i], in_place && i % 2 == 0);
  }
  for (size_t i = 0; i < NODES; i++) unit_join(h, t[i]);
  for (size_t i = 0; i < NODES / 2; i++) unit_close(h, s[i]);
  for (size_t i = 0; i < MESH; i++) {
    drain(mesh.chan[i]);
    assert_true(cast_list_is_empty(&mesh.chan[i]->senders));
    assert_true(cast_list_is_empty(&mesh.chan[i]->receivers));
    cast_unref(&mesh.chan[i]->object);
  }
  expect_balance();
  assert_true(mesh.nsent > 0);
  unit_shut(h);
}

static void select_against_select(void **state) {
  CAST_UNUSED(state);
  run_mesh(unit_times(20000), false, false);
  run_mesh(unit_times(20000), false, true);
}

static void all_meet_on_one_channel(void **state) {
  CAST_UNUSED(state);
  run_mesh(unit_times(10000), true, false);
  run_mesh(unit_times(10000), true, true);
}

/* -- against a close ------------------------------------------------------ */

static bool until_closed(unit_task *t) {
  node *d = t->arg;
  for (;;) {
    int rc;
    if (unit_over(t)) {
      rc = t->result;
    } else {
      make_cases(t, d);
      rc = unit_select(t, d->cases, d->n, FOREVER);
    }
    if (rc == CAST_PARKED) return false;
    account(d, rc, t->which);
    if (rc == CASTING_ECLOSED) return true;
    CAST_ALWAYS(rc == 0);
  }
}

static void close_ends_all(void **state) {
  CAST_UNUSED(state);
  static node nodes[NODES];
  unit_host *h = unit_open(CORES);
  for (uint32_t round = 0; round < unit_times(200); round++) {
    unit_session *s[NODES];
    unit_task *t[NODES];
    memset(&mesh, 0, sizeof mesh);
    mesh.both_ways = true;
    mesh.chan[0] = cast_chan_new(round % 3);
    for (size_t i = 0; i < NODES; i++) {
      s[i] = unit_session_new();
      t[i] = unit_spawn_as(NULL, s[i], until_closed, &nodes[i], i == 1);
    }
    while (unit_read(&mesh.nreceived) < round) os_cede();
    assert_true(cast_chan_close(mesh.chan[0], &h->session.base));
    for (size_t i = 0; i < NODES; i++) {
      unit_join(h, t[i]);
      unit_close(h, s[i]);
    }
    drain(mesh.chan[0]);
    expect_balance();
    cast_unref(&mesh.chan[0]->object);
  }
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(the_one_that_is_ready, unit_clean),
    cmocka_unit_test_teardown(none_is_ready, unit_clean),
    cmocka_unit_test_teardown(parked_on_all, unit_clean),
    cmocka_unit_test_teardown(closed_is_ready, unit_clean),
    cmocka_unit_test_teardown(never_meets_itself, unit_clean),
    cmocka_unit_test_teardown(each_ready_case_as_often, unit_clean),
    cmocka_unit_test_teardown(many_cases_in_any_order, unit_clean),
    cmocka_unit_test_teardown(no_memory_changes_nothing, unit_clean),
    cmocka_unit_test_teardown(select_against_select, unit_clean),
    cmocka_unit_test_teardown(all_meet_on_one_channel, unit_clean),
    cmocka_unit_test_teardown(close_ends_all, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
