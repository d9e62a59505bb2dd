/* chan_many.c - tests of channels between many sessions: all that races.
   SPDX-License-Identifier: MIT

   Every message arrives exactly once, and those of one sender in order; what
   was not sent stays its sender's. */
#include "fixture.h"

enum { SENDERS = 4, RECEIVERS = 3, CORES = 4 };

/* Shared by the tasks of a test. */
static struct {
  cast_chan *chan;
  uint32_t count;             /* messages of each sender */
  bool timed;                 /* deadlines that race */
  _Atomic uint32_t nsent;     /* (a) sends that succeeded */
  _Atomic uint32_t nreceived; /* (a) */
  _Atomic uint32_t ntimeouts; /* (a) */
  _Atomic uint64_t sent;      /* (a) their checksums */
  _Atomic uint64_t received;  /* (a) */
} mix;

static uint64_t blend(uint64_t a, uint64_t b) {
  return (a * 1000003 + b + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t soon(unit_task *t) {
  if (!mix.timed) return FOREVER;
  return os_now() + unit_random(&t->seed) % 60000;
}

/* Sender number t->arg: sends t->n = 0, 1, 2 ... */
static bool send_many(unit_task *t) {
  uint64_t id = (uint64_t)(uintptr_t)t->arg;
  while (t->n < mix.count) {
    int rc =
      unit_over(t) ? t->result : unit_send(t, mix.chan, id, t->n, soon(t));
    if (rc == CAST_PARKED) return false;
    if (rc == CASTING_ECLOSED) return true;
    if (rc == 0) {
      unit_count(&mix.nsent);
      atomic_fetch_add_explicit(
        &mix.sent, blend(id, t->n), memory_order_relaxed);
    } else {
      CAST_ALWAYS(rc == CASTING_ETIMEOUT && mix.timed);
      CAST_ALWAYS(!cast_msg_is_empty(&t->base.waiter.msg));
      unit_count(&mix.ntimeouts);
    }
    t->n++;
  }
  return true;
}

/* Until closed; the numbers of each sender must ascend. */
static bool receive_many(unit_task *t) {
  uint64_t *last = t->arg; /* [SENDERS], of this task */
  for (;;) {
    uint64_t id, n;
    int rc = unit_over(t) ? t->result : unit_receive(t, mix.chan, soon(t));
    if (rc == CAST_PARKED) return false;
    if (rc == CASTING_ECLOSED) return true;
    if (rc == CASTING_ETIMEOUT) {
      CAST_ALWAYS(mix.timed && cast_msg_is_empty(&t->base.waiter.msg));
      unit_count(&mix.ntimeouts);
      continue;
    }
    CAST_ALWAYS(rc == 0);
    unit_get(&t->base.waiter.msg, &id, &n);
    CAST_ALWAYS(id < SENDERS && n < mix.count && n + 1 > last[id]);
    last[id] = n + 1;
    unit_count(&mix.nreceived);
    atomic_fetch_add_explicit(
      &mix.received, blend(id, n), memory_order_relaxed);
  }
}

static uint64_t last_seen[RECEIVERS][SENDERS];

typedef struct crowd {
  unit_session *session[SENDERS + RECEIVERS];
  unit_task *task[SENDERS + RECEIVERS];
} crowd;

static void start(
  crowd *x, size_t capacity, uint32_t count, bool timed, bool in_place) {
  memset(&mix, 0, sizeof mix);
  memset(last_seen, 0, sizeof last_seen);
  mix.chan = cast_chan_new(capacity);
  mix.count = count;
  mix.timed = timed;
  for (uintptr_t i = 0; i < SENDERS + RECEIVERS; i++) {
    bool sends = i < SENDERS;
    x->session[i] = unit_session_new();
    x->task[i] =
      unit_spawn_as(NULL, x->session[i], sends ? send_many : receive_many,
        sends ? (void *)i : last_seen[i - SENDERS], in_place && i % 2 == 0);
    assert_non_null(x->task[i]);
  }
}

static void end(unit_host *h, crowd *x) {
  for (size_t i = 0; i < SENDERS; i++) unit_join(h, x->task[i]);
  cast_chan_close(mix.chan, &h->session.base);
  for (size_t i = SENDERS; i < SENDERS + RECEIVERS; i++)
    unit_join(h, x->task[i]);
  for (size_t i = 0; i < SENDERS + RECEIVERS; i++) unit_close(h, x->session[i]);
  assert_int_equal(mix.nsent, mix.nreceived);
  assert_true(mix.sent == mix.received);
  assert_int_equal(cast_chan_len(mix.chan), 0);
  cast_unref(&mix.chan->object);
}

static const size_t capacities[] = {0, 1, 3, CAST_UNBOUNDED};
#define CAPACITIES (sizeof capacities / sizeof *capacities)

static void exactly_once_and_in_order(void **state) {
  CAST_UNUSED(state);
  uint32_t count = unit_times(5000);
  unit_host *h = unit_open(CORES);
  for (size_t i = 0; i < 2 * CAPACITIES; i++) {
    crowd x;
    start(&x, capacities[i / 2], count, false, i % 2 != 0);
    end(h, &x);
    assert_int_equal(mix.nsent, SENDERS * count);
  }
  unit_shut(h);
}

static void timeouts_race(void **state) {
  CAST_UNUSED(state);
  uint32_t count = unit_times(3000);
  unit_host *h = unit_open(CORES);
  for (size_t i = 0; i < CAPACITIES; i++) {
    crowd x;
    start(&x, capacities[i], count, true, i % 2 != 0);
    end(h, &x);
    assert_true(mix.nsent <= SENDERS * count);
  }
  unit_shut(h);
}

/* Closed in the middle, by the main program: what was sent is received. Not
   unbounded, where endless senders would never let others have their cores. */
static void close_races(void **state) {
  CAST_UNUSED(state);
  uint64_t seed = 3;
  unit_host *h = unit_open(CORES);
  for (uint32_t round = 0; round < unit_times(200); round++) {
    crowd x;
    start(
      &x, capacities[round % 3], UINT32_MAX, round % 6 >= 3, round % 4 == 0);
    uint32_t enough = (uint32_t)(unit_random(&seed) % 300);
    while (unit_read(&mix.nreceived) < enough) os_cede();
    assert_true(cast_chan_close(mix.chan, &h->session.base));
    end(h, &x);
  }
  unit_shut(h);
}

/* The scheduler's limit goes up and down meanwhile. */
static void limit_changes_under_way(void **state) {
  CAST_UNUSED(state);
  uint64_t seed = 8, patience = os_now() + PATIENCE_NS;
  uint32_t count = unit_times(3000);
  unit_host *h = unit_open(CORES);
  for (size_t i = 0; i < CAPACITIES; i++) {
    crowd x;
    start(&x, capacities[i], count, false, i % 2 == 0);
    while (unit_read(&mix.nreceived) < SENDERS * count) {
      assert_true(os_now() < patience);
      cast_sched_limit((uint32_t)(unit_random(&seed) % CORES) + 1);
      for (uint64_t k = unit_random(&seed) % 30; k > 0; k--) os_cede();
    }
    end(h, &x);
    assert_int_equal(mix.nsent, SENDERS * count);
  }
  unit_shut(h);
}

/* -- many: tokens go round through all sessions --------------------------- */

enum { RING = 300, TOKENS = 20 };

static cast_chan *hop[RING];
static uint64_t laps;

/* Passes on what comes, counted; a token that has gone round often enough
   leaves the ring. */
static bool pass_on(unit_task *t) {
  uintptr_t i = (uintptr_t)t->arg;
  uint64_t a, b;
  for (;;) {
    int rc;
    if (t->at == 0) {
      rc = unit_over(t) ? t->result : unit_receive(t, hop[i], FOREVER);
      if (rc == CAST_PARKED) return false;
      if (rc == CASTING_ECLOSED) return true;
      unit_get(&t->base.waiter.msg, &a, &b);
      CAST_ALWAYS(b % RING == i);
      t->n = b + 1;
      if (t->n == laps * RING) {
        unit_count(&mix.nreceived);
        continue;
      }
      t->at = 1;
    }
    rc = unit_over(t) ? t->result
                      : unit_send(t, hop[(i + 1) % RING], 0, t->n, FOREVER);
    if (rc == CAST_PARKED) return false;
    CAST_ALWAYS(rc == 0);
    t->at = 0;
  }
}

static void tokens_go_round(void **state) {
  CAST_UNUSED(state);
  static unit_session *s[RING];
  static unit_task *t[RING];
  unit_host *h = unit_open(3);
  memset(&mix, 0, sizeof mix);
  laps = unit_times(40);
  for (uintptr_t i = 0; i < RING; i++) {
    hop[i] = cast_chan_new(i % 3);
    s[i] = unit_session_new();
    t[i] = unit_spawn_as(NULL, s[i], pass_on, (void *)i, i % 50 == 0);
  }
  for (uint64_t i = 0; i < TOKENS; i++)
    assert_int_equal(
      unit_send(h->main, hop[i * 13 % RING], 0, i * 13 % RING, FOREVER), 0);
  uint64_t patience = os_now() + PATIENCE_NS;
  while (unit_read(&mix.nreceived) < TOKENS) {
    assert_true(os_now() < patience);
    (void)unit_sleep(h->main, os_now() + MS / 10);
  }
  for (size_t i = 0; i < RING; i++) cast_chan_close(hop[i], &h->session.base);
  for (size_t i = 0; i < RING; i++) {
    unit_join(h, t[i]);
    unit_close(h, s[i]);
    cast_unref(&hop[i]->object);
  }
  unit_shut(h);
}

/* -- threads that are not of the pool ------------------------------------- */

static _Atomic uint32_t outside_done; /* (a) */

static void send_outside(void *arg) {
  uint64_t id = (uint64_t)(uintptr_t)arg;
  for (uint64_t n = 0; n < mix.count;) {
    cast_waiter w = {.index = 0};
    unit_put(&w.msg, id, n);
    int rc = cast_chan_send(mix.chan, NULL, NULL, &w);
    if (rc == 0) {
      unit_count(&mix.nsent);
      atomic_fetch_add_explicit(&mix.sent, blend(id, n), memory_order_relaxed);
      n++;
    } else {
      CAST_ALWAYS(rc == CASTING_EFULL);
      cast_msg_drop(&w.msg);
      os_cede();
    }
  }
  unit_count(&outside_done);
}

static void receive_outside(void *arg) {
  CAST_UNUSED(arg);
  for (;;) {
    uint64_t id, n;
    cast_waiter w = {.index = 0};
    int rc = cast_chan_receive(mix.chan, NULL, NULL, &w);
    if (rc == CASTING_ECLOSED) return;
    if (rc == CASTING_EEMPTY) {
      os_cede();
      continue;
    }
    unit_get(&w.msg, &id, &n);
    unit_count(&mix.nreceived);
    atomic_fetch_add_explicit(
      &mix.received, blend(id, n), memory_order_relaxed);
  }
}

static void threads_of_others(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(2);
  for (size_t i = 0; i < 3; i++) {
    os_thread thread[3];
    unit_session *s[2];
    unit_task *t[2];
    memset(&mix, 0, sizeof mix);
    memset(last_seen, 0, sizeof last_seen);
    mix.count = unit_times(2000);
    mix.chan = cast_chan_new(capacities[i]);
    for (uintptr_t k = 0; k < 2; k++) {
      s[k] = unit_session_new();
      t[k] = unit_spawn(
        s[k], k == 0 ? send_many : receive_many, k == 0 ? NULL : last_seen[0]);
    }
    for (uintptr_t k = 0; k < 2; k++)
      assert_int_equal(
        os_thread_start(&thread[k], send_outside, (void *)(k + 1), "outside"),
        0);
    assert_int_equal(
      os_thread_start(&thread[2], receive_outside, NULL, "outside"), 0);
    for (int k = 0; k < 2; k++) os_thread_join(&thread[k]);
    unit_join(h, t[0]);
    cast_chan_close(mix.chan, &h->session.base);
    os_thread_join(&thread[2]);
    unit_join(h, t[1]);
    for (int k = 0; k < 2; k++) unit_close(h, s[k]);
    assert_int_equal(mix.nsent, 3 * mix.count);
    assert_int_equal(mix.nreceived, 3 * mix.count);
    assert_true(mix.sent == mix.received);
    cast_unref(&mix.chan->object);
  }
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(exactly_once_and_in_order, unit_clean),
    cmocka_unit_test_teardown(timeouts_race, unit_clean),
    cmocka_unit_test_teardown(close_races, unit_clean),
    cmocka_unit_test_teardown(limit_changes_under_way, unit_clean),
    cmocka_unit_test_teardown(tokens_go_round, unit_clean),
    cmocka_unit_test_teardown(threads_of_others, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
