/* chan.c - tests of channels: order, hand-over, close, and all that races.
   SPDX-License-Identifier: MIT

   The first part has one thread and looks at every step; the second has hosts
   and sessions, and counts. */
#include "fixture.h"

/* -- one thread ----------------------------------------------------------- */

enum { WAITERS = 5 };

static unit_session *still;
static unit_task *task[2 * WAITERS];
static cast_chan *chan;

static void begin(size_t capacity) {
  still = unit_still();
  for (size_t i = 0; i < 2 * WAITERS; i++) {
    task[i] = unit_task_new(&still->core, NULL, NULL);
    assert_non_null(task[i]);
  }
  chan = cast_chan_new(capacity);
  assert_non_null(chan);
}

static void finish(void) {
  cast_unref(&chan->object);
  for (size_t i = 0; i < 2 * WAITERS; i++) cast_unref(&task[i]->core.object);
  unit_still_end(still);
}

/* Task i sends number v, and parks if it must. */
static int send(size_t i, uint64_t v) {
  cast_task *t = &task[i]->core;
  unit_put(&t->waiter.msg, v, ~v);
  return cast_chan_send(chan, &still->core, t, &t->waiter);
}

static int receive(size_t i) {
  cast_task *t = &task[i]->core;
  return cast_chan_receive(chan, &still->core, t, &t->waiter);
}

static int try_send(uint64_t v) {
  cast_waiter w = {.index = 0};
  unit_put(&w.msg, v, ~v);
  int rc = cast_chan_send(chan, &still->core, NULL, &w);
  assert_int_equal(rc == 0, cast_msg_empty(&w.msg));
  cast_msg_drop(&w.msg);
  return rc;
}

static int try_receive(uint64_t *v) {
  cast_waiter w = {.index = 0};
  uint64_t check;
  int rc = cast_chan_receive(chan, &still->core, NULL, &w);
  assert_int_equal(rc != 0, cast_msg_empty(&w.msg));
  if (rc != 0) return rc;
  unit_get(&w.msg, v, &check);
  assert_true(check == ~*v);
  return 0;
}

static void expect_receive(uint64_t expected) {
  uint64_t v = 0;
  assert_int_equal(try_receive(&v), 0);
  assert_int_equal(v, expected);
}

/* The next ready task is task i, its wait ended with `result`. */
static void expect_ready(size_t i, int result) {
  unit_task *t = unit_still_next(still);
  assert_ptr_equal(t, task[i]);
  assert_int_equal(t->core.wait.result, result);
  assert_int_equal(t->core.wait.index, 0);
  assert_int_equal(t->core.status, CAST_READY);
  cast_wait_done(&t->core);
}

/* Task i was handed v. */
static void expect_message(size_t i, uint64_t expected) {
  uint64_t v, check;
  unit_get(&task[i]->core.waiter.msg, &v, &check);
  assert_int_equal(v, expected);
  assert_true(check == ~v);
}

static void unbuffered_never_keeps(void **state) {
  CAST_UNUSED(state);
  uint64_t v;
  begin(0);
  assert_int_equal(try_send(1), CASTING_EFULL);
  assert_int_equal(try_receive(&v), CASTING_EEMPTY);
  assert_int_equal(cast_chan_len(chan), 0);
  assert_int_equal(chan->capacity, 0);
  assert_false(cast_chan_closed(chan));
  assert_null(chan->ring);
  finish();
}

static void buffered_first_in_first_out(void **state) {
  CAST_UNUSED(state);
  for (size_t capacity = 1; capacity <= 9; capacity++) {
    uint64_t in = 0, out = 0, v;
    begin(capacity);
    for (int round = 0; round < 20; round++) {
      /* Some in and some out, so that the ring wraps around and grows. */
      for (size_t i = 0; i < capacity - (size_t)round % capacity; i++)
        if (in - out < capacity) assert_int_equal(try_send(in++), 0);
      assert_int_equal(cast_chan_len(chan), in - out);
      while (in - out > (uint64_t)round % capacity) expect_receive(out++);
    }
    while (in - out < capacity) assert_int_equal(try_send(in++), 0);
    assert_int_equal(try_send(0), CASTING_EFULL);
    while (out < in) expect_receive(out++);
    assert_int_equal(try_receive(&v), CASTING_EEMPTY);
    finish();
  }
}

static void unbounded_takes_all(void **state) {
  CAST_UNUSED(state);
  begin(CAST_UNBOUNDED);
  for (uint64_t i = 0; i < 10000; i++) assert_int_equal(try_send(i), 0);
  for (uint64_t i = 0; i < 5000; i++) expect_receive(i);
  for (uint64_t i = 0; i < 10000; i++) assert_int_equal(try_send(10000 + i), 0);
  assert_int_equal(cast_chan_len(chan), 15000);
  for (uint64_t i = 5000; i < 12000; i++) expect_receive(i);
  finish(); /* with messages in it */
}

static void receivers_in_order_of_waiting(void **state) {
  CAST_UNUSED(state);
  for (size_t capacity = 0; capacity < 3; capacity++) {
    begin(capacity);
    for (size_t i = 0; i < WAITERS; i++)
      assert_int_equal(receive(i), CAST_PARKED);
    for (size_t i = 0; i < WAITERS; i++) {
      assert_int_equal(try_send(i), 0);
      assert_int_equal(cast_chan_len(chan), 0); /* handed over directly */
    }
    for (size_t i = 0; i < WAITERS; i++) {
      expect_ready(i, 0);
      expect_message(i, i);
    }
    assert_int_equal(try_send(9), capacity == 0 ? CASTING_EFULL : 0);
    finish();
  }
}

static void senders_in_order_of_waiting(void **state) {
  CAST_UNUSED(state);
  for (size_t capacity = 0; capacity < 3; capacity++) {
    uint64_t next = 0, v;
    begin(capacity);
    while (next < capacity) assert_int_equal(try_send(next++), 0);
    for (size_t i = 0; i < WAITERS; i++)
      assert_int_equal(send(i, next++), CAST_PARKED);
    for (size_t i = 0; i < WAITERS; i++) {
      assert_int_equal(cast_chan_len(chan), capacity);
      expect_receive(i);
      expect_ready(i, 0);
      assert_true(cast_msg_empty(&task[i]->core.waiter.msg));
      /* Its message has taken the place: nobody may barge in. */
      if (i + 1 < WAITERS) assert_int_equal(try_send(99), CASTING_EFULL);
    }
    for (size_t i = 0; i < capacity; i++) expect_receive(WAITERS + i);
    assert_int_equal(try_receive(&v), CASTING_EEMPTY);
    assert_null(unit_still_next(still));
    finish();
  }
}

static void close_ends_all_waits(void **state) {
  CAST_UNUSED(state);
  begin(0);
  for (size_t i = 0; i < WAITERS; i++) receive(i);
  assert_true(cast_chan_close(chan, &still->core));
  assert_false(cast_chan_close(chan, &still->core));
  assert_true(cast_chan_closed(chan));
  for (size_t i = 0; i < WAITERS; i++) {
    expect_ready(i, CASTING_ECLOSED);
    assert_true(cast_msg_empty(&task[i]->core.waiter.msg));
  }
  assert_int_equal(send(0, 1), CASTING_ECLOSED);
  expect_message(0, 1); /* still the sender's */
  assert_int_equal(receive(0), CASTING_ECLOSED);
  finish();
}

static void close_drains(void **state) {
  CAST_UNUSED(state);
  uint64_t v;
  begin(3);
  for (uint64_t i = 0; i < 3; i++) assert_int_equal(try_send(i), 0);
  for (size_t i = 0; i < WAITERS; i++)
    assert_int_equal(send(i, 100 + i), CAST_PARKED);
  assert_true(cast_chan_close(chan, &still->core));
  for (size_t i = 0; i < WAITERS; i++) {
    expect_ready(i, CASTING_ECLOSED);
    expect_message(i, 100 + i);
  }
  assert_int_equal(try_send(7), CASTING_ECLOSED);
  for (uint64_t i = 0; i < 3; i++) expect_receive(i);
  assert_int_equal(try_receive(&v), CASTING_ECLOSED);
  assert_int_equal(cast_chan_len(chan), 0);
  finish();
}

/* A wait that has ended otherwise: off the queue, or met there and skipped. */
static void ended_waits_are_skipped(void **state) {
  CAST_UNUSED(state);
  uint64_t v;
  begin(0);
  for (size_t i = 0; i < 4; i++) receive(i);
  cast_wait_end(&task[0]->core, CASTING_ETIMEOUT);
  assert_true(cast_list_empty(&task[0]->core.waiter.link));
  assert_true(cast_wait_claim(&task[1]->core.wait));
  assert_true(cast_wait_claim(&task[2]->core.wait));
  assert_int_equal(try_send(5), 0);
  expect_ready(0, CASTING_ETIMEOUT);
  expect_ready(3, 0);
  expect_message(3, 5);
  for (size_t i = 1; i < 3; i++) cast_wait_done(&task[i]->core);
  for (size_t i = 0; i < 4; i++) send(i, i);
  cast_wait_end(&task[0]->core, CASTING_ETIMEOUT);
  assert_true(cast_wait_claim(&task[2]->core.wait));
  expect_receive(1);
  expect_receive(3);
  assert_int_equal(try_receive(&v), CASTING_EEMPTY);
  expect_ready(0, CASTING_ETIMEOUT);
  expect_ready(1, 0);
  expect_ready(3, 0);
  cast_wait_done(&task[2]->core);
  expect_message(0, 0);
  expect_message(2, 2);
  finish();
}

/* What select uses, with the lock held. */
static void looks_and_moves_under_the_lock(void **state) {
  CAST_UNUSED(state);
  cast_task *wake = NULL;
  cast_waiter w = {.index = 0};
  begin(1);
  cast_lock_take(&chan->lock);
  assert_true(cast_chan_can_send_locked(chan));
  assert_false(cast_chan_can_receive_locked(chan));
  assert_int_equal(cast_chan_receive_locked(chan, &w, &wake), CASTING_EEMPTY);
  unit_put(&w.msg, 1, ~UINT64_C(1));
  assert_int_equal(cast_chan_send_locked(chan, &w, &wake), CAST_GROW);
  cast_lock_drop(&chan->lock);
  assert_int_equal(cast_chan_grow(chan), 0);
  cast_lock_take(&chan->lock);
  assert_int_equal(cast_chan_send_locked(chan, &w, &wake), 0);
  unit_put(&w.msg, 2, ~UINT64_C(2));
  assert_int_equal(cast_chan_send_locked(chan, &w, &wake), CASTING_EFULL);
  assert_null(wake);
  cast_msg_drop(&w.msg);
  cast_wait_arm(&task[0]->core);
  unit_put(&task[0]->core.waiter.msg, 3, ~UINT64_C(3));
  task[0]->core.waiter.index = 0;
  cast_chan_queue_locked(chan, &task[0]->core, &task[0]->core.waiter, true);
  assert_true(cast_chan_can_receive_locked(chan));
  assert_int_equal(cast_chan_receive_locked(chan, &w, &wake), 0);
  assert_ptr_equal(wake, &task[0]->core);
  cast_lock_drop(&chan->lock);
  cast_msg_drop(&w.msg);
  cast_wait_done(wake);
  assert_null(unit_still_next(still)); /* waking is the caller's */
  cast_chan_close(chan, &still->core);
  cast_lock_take(&chan->lock);
  assert_true(cast_chan_can_send_locked(chan));
  cast_lock_drop(&chan->lock);
  finish();
}

static void no_memory_changes_nothing(void **state) {
  CAST_UNUSED(state);
  begin(CAST_UNBOUNDED);
  uint64_t in = 0;
  for (int i = 0; i < 200; i++) {
    size_t before = cast_chan_len(chan);
    cast_mem_fail_at(1);
    int rc = try_send(in);
    if (cast_mem_failed()) {
      assert_int_equal(rc, CASTING_ENOMEM);
      assert_int_equal(cast_chan_len(chan), before);
      assert_int_equal(cast_chan_grow(chan), 0);
    } else {
      assert_int_equal(rc, 0);
      in++;
    }
    cast_mem_fail_at(0);
  }
  assert_true(in > 100);
  for (uint64_t i = 0; i < in; i++) expect_receive(i);
  cast_mem_fail_at(1);
  assert_null(cast_chan_new(1));
  cast_mem_fail_at(0);
  finish();
}

static uint32_t nfreed;
static void note_free(cast_chan *c) {
  assert_ptr_equal(c->owner, &nfreed);
  nfreed++;
}

/* A channel in a message in a channel in a ...: its end does not recurse. */
static void end_of_a_long_chain(void **state) {
  CAST_UNUSED(state);
  enum { DEPTH = 100000 };
  cast_chan *inner = cast_chan_new(1);
  nfreed = 0;
  inner->on_free = note_free;
  inner->owner = &nfreed;
  for (int i = 0; i < DEPTH; i++) {
    cast_waiter w = {.index = 0};
    cast_chan *outer = cast_chan_new(1);
    assert_int_equal(cast_msg_init(&w.msg, 1, 1), 0);
    cast_msg_items(&w.msg)[0] = &inner->object;
    assert_int_equal(cast_chan_send(outer, NULL, NULL, &w), 0);
    inner = outer;
  }
  assert_int_equal(nfreed, 0);
  cast_unref(&inner->object);
  assert_int_equal(nfreed, 1);
}

/* -- many sessions -------------------------------------------------------- */

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
      CAST_ALWAYS(!cast_msg_empty(&t->core.waiter.msg));
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
      CAST_ALWAYS(mix.timed && cast_msg_empty(&t->core.waiter.msg));
      unit_count(&mix.ntimeouts);
      continue;
    }
    CAST_ALWAYS(rc == 0);
    unit_get(&t->core.waiter.msg, &id, &n);
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
  cast_chan_close(mix.chan, &h->session.core);
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
    assert_true(cast_chan_close(mix.chan, &h->session.core));
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
      unit_get(&t->core.waiter.msg, &a, &b);
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
  for (size_t i = 0; i < RING; i++) cast_chan_close(hop[i], &h->session.core);
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
    cast_chan_close(mix.chan, &h->session.core);
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
    cmocka_unit_test_teardown(unbuffered_never_keeps, unit_clean),
    cmocka_unit_test_teardown(buffered_first_in_first_out, unit_clean),
    cmocka_unit_test_teardown(unbounded_takes_all, unit_clean),
    cmocka_unit_test_teardown(receivers_in_order_of_waiting, unit_clean),
    cmocka_unit_test_teardown(senders_in_order_of_waiting, unit_clean),
    cmocka_unit_test_teardown(close_ends_all_waits, unit_clean),
    cmocka_unit_test_teardown(close_drains, unit_clean),
    cmocka_unit_test_teardown(ended_waits_are_skipped, unit_clean),
    cmocka_unit_test_teardown(looks_and_moves_under_the_lock, unit_clean),
    cmocka_unit_test_teardown(no_memory_changes_nothing, unit_clean),
    cmocka_unit_test_teardown(end_of_a_long_chain, unit_clean),
    cmocka_unit_test_teardown(exactly_once_and_in_order, unit_clean),
    cmocka_unit_test_teardown(timeouts_race, unit_clean),
    cmocka_unit_test_teardown(close_races, unit_clean),
    cmocka_unit_test_teardown(limit_changes_under_way, unit_clean),
    cmocka_unit_test_teardown(tokens_go_round, unit_clean),
    cmocka_unit_test_teardown(threads_of_others, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
