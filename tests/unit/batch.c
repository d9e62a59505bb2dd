/* batch.c - tests of messages that cross a channel together.
   SPDX-License-Identifier: MIT

   First step by step, in one thread; then between many sessions, beside single
   sends and receives, with deadlines and closes that race. */
#include "fixture.h"

#include "../../src/batch.h"

static unit_session *still;
static unit_task *task[4];
static cast_chan *chan;

/* Messages whose first number is odd do not go with others. */
static bool is_even(cast_msg *m) {
  uint64_t v;
  memcpy(&v, cast_msg_data(m), sizeof v);
  return v % 2 == 0;
}

static cast_fits even, all;

static void begin(size_t capacity) {
  memset(even.first, CAST_FITS_PERHAPS, sizeof even.first);
  even.look = is_even;
  memset(all.first, CAST_FITS, sizeof all.first);
  still = unit_still();
  for (size_t i = 0; i < 4; i++) {
    task[i] = unit_task_new(&still->base, NULL, NULL);
    assert_non_null(task[i]);
  }
  chan = cast_chan_new(capacity);
  assert_non_null(chan);
}

static void finish(void) {
  cast_unref(&chan->object);
  for (size_t i = 0; i < 4; i++) cast_unref(&task[i]->base.object);
  unit_still_end(still);
}

/* A batch of n messages that are numbered from v on. */
static cast_batch *batch_of(size_t n, uint64_t v) {
  cast_batch *b = cast_batch_new(chan, NULL, n > 0 ? n : 1);
  assert_non_null(b);
  for (; b->count < n; b->count++) {
    b->msgs[b->count] = (cast_msg){.size = 0};
    unit_put(&b->msgs[b->count], v + b->count, 0);
  }
  return b;
}

static int send_now(cast_batch *b) {
  return cast_batch_send(b, &still->base, NULL);
}

static int send_as(size_t i, cast_batch *b) {
  return cast_batch_send(b, &still->base, &task[i]->base);
}

static int send_one(size_t i, uint64_t v) {
  cast_task *t = &task[i]->base;
  unit_put(&t->waiter.msg, v, 0);
  return cast_chan_send(chan, &still->base, t, &t->waiter);
}

/* Receives up to n, which must be `count` from v on; returns the result. */
static int receive_some(
  size_t n, const cast_fits *fits, size_t count, uint64_t v) {
  cast_batch *b = cast_batch_new(chan, NULL, n);
  uint64_t a, zero;
  int rc = cast_batch_receive(b, &still->base, NULL, fits);
  assert_int_equal(b->count, count);
  for (; b->next < b->count; b->next++) {
    unit_get(&b->msgs[b->next], &a, &zero);
    assert_int_equal(a, v++);
  }
  cast_unref(&b->object);
  return rc;
}

static void expect_one(uint64_t v) {
  cast_waiter w = {.index = 0};
  uint64_t a, zero;
  assert_int_equal(cast_chan_receive(chan, &still->base, NULL, &w), 0);
  unit_get(&w.msg, &a, &zero);
  assert_int_equal(a, v);
}

static void expect_ready(size_t i, int result) {
  unit_task *t = unit_still_next(still);
  assert_ptr_equal(t, task[i]);
  assert_int_equal(t->base.wait.result, result);
  cast_wait_done(&t->base);
}

static void expect_none(void) { assert_null(unit_still_next(still)); }

static void fills_the_buffer(void **state) {
  CAST_UNUSED(state);
  begin(5);
  cast_batch *b = batch_of(8, 10);
  assert_int_equal(send_now(b), CASTING_EFULL);
  assert_int_equal(b->next, 5);
  assert_int_equal(cast_chan_len(chan), 5);
  assert_int_equal(receive_some(3, &all, 3, 10), 0);
  assert_int_equal(send_now(b), 0);
  assert_int_equal(b->next, 8);
  assert_int_equal(receive_some(10, &all, 5, 13), 0);
  assert_int_equal(receive_some(10, &all, 0, 0), CASTING_EEMPTY);
  cast_unref(&b->object);
  /* Whatever is not sent goes with the batch. */
  b = batch_of(9, 0);
  assert_int_equal(send_now(b), CASTING_EFULL);
  cast_unref(&b->object);
  cast_chan_close(chan, &still->base);
  b = batch_of(2, 0);
  assert_int_equal(send_now(b), CASTING_ECLOSED);
  assert_int_equal(b->next, 0);
  cast_unref(&b->object);
  assert_int_equal(receive_some(2, &all, 2, 0), 0);
  assert_int_equal(receive_some(10, &all, 3, 2), 0);
  assert_int_equal(receive_some(10, &all, 0, 0), CASTING_ECLOSED);
  finish();
}

static void empty_ones(void **state) {
  CAST_UNUSED(state);
  begin(0);
  cast_batch *b = batch_of(0, 0);
  assert_int_equal(send_as(0, b), 0);
  cast_chan_close(chan, &still->base);
  assert_int_equal(send_as(0, b), CASTING_ECLOSED);
  cast_unref(&b->object);
  finish();
}

static void unbounded_takes_all(void **state) {
  CAST_UNUSED(state);
  begin(CAST_UNBOUNDED);
  cast_batch *b = batch_of(3000, 0);
  assert_int_equal(send_now(b), 0);
  assert_int_equal(cast_chan_len(chan), 3000);
  for (uint64_t i = 0; i < 10; i++) expect_one(i);
  assert_int_equal(receive_some(1000, &all, 1000, 10), 0);
  cast_unref(&b->object);
  finish(); /* with messages in it */
}

/* The rest of a batch waits in its place, and others go between neither for
   singles nor for many. */
static void waits_in_place(void **state) {
  CAST_UNUSED(state);
  for (size_t capacity = 0; capacity < 4; capacity++) {
    begin(capacity);
    cast_batch *b = batch_of(6, 0), *c = batch_of(3, 7);
    assert_int_equal(send_as(0, b), CAST_PARKED);
    assert_int_equal(b->next, capacity);
    assert_int_equal(send_one(1, 6), CAST_PARKED);
    assert_int_equal(send_as(2, c), CAST_PARKED);
    expect_one(0);
    expect_one(1);
    expect_none();
    assert_int_equal(receive_some(3, &all, 3, 2), 0);
    if (capacity == 0) expect_none();
    expect_one(5);
    expect_ready(0, 0);
    assert_int_equal(b->next, 6);
    assert_int_equal(receive_some(9, &all, 4, 6), 0);
    expect_ready(1, 0);
    expect_ready(2, 0);
    expect_none();
    assert_int_equal(chan->batches, 0);
    cast_unref(&b->object);
    cast_unref(&c->object);
    finish();
  }
}

static void hands_to_those_who_wait(void **state) {
  CAST_UNUSED(state);
  begin(1);
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(cast_chan_receive(chan, &still->base, &task[i]->base,
                       &task[i]->base.waiter),
      CAST_PARKED);
  cast_batch *b = batch_of(5, 0);
  assert_int_equal(send_as(3, b), CAST_PARKED);
  assert_int_equal(b->next, 4);
  for (size_t i = 0; i < 3; i++) {
    uint64_t v, zero;
    expect_ready(i, 0);
    unit_get(&task[i]->base.waiter.msg, &v, &zero);
    assert_int_equal(v, i);
  }
  expect_none();
  assert_int_equal(receive_some(2, &all, 2, 3), 0);
  expect_ready(3, 0);
  cast_unref(&b->object);
  finish();
}

/* One that waits to receive many is given one, and takes the rest later. */
static void first_comes_alone(void **state) {
  CAST_UNUSED(state);
  for (size_t capacity = 0; capacity < 9; capacity += 8) {
    begin(capacity);
    cast_batch *r = cast_batch_new(chan, NULL, 1), *b = batch_of(4, 0);
    assert_int_equal(
      cast_batch_receive(r, &still->base, &task[0]->base, &all), CAST_PARKED);
    assert_int_equal(send_as(1, b), capacity == 0 ? CAST_PARKED : 0);
    expect_ready(0, 0);
    cast_batch_make_room(r, 3);
    assert_int_equal(r->room, 3);
    r->msgs[0] = (cast_msg){.size = 0};
    cast_msg_move(&r->msgs[0], &task[0]->base.waiter.msg);
    r->count = 1;
    assert_int_equal(cast_batch_receive(r, &still->base, NULL, &all), 0);
    assert_int_equal(r->count, 3);
    expect_one(3);
    if (capacity == 0) expect_ready(1, 0);
    expect_none();
    cast_unref(&r->object); /* with messages in it */
    cast_unref(&b->object);
    finish();
  }
}

/* One that does not fit comes alone, wherever it is. */
static void what_does_not_fit(void **state) {
  CAST_UNUSED(state);
  static const uint64_t v[] = {2, 4, 5, 6, 8, 7, 9};
  static const size_t counts[] = {2, 1, 2, 1, 1};
  for (size_t capacity = 0; capacity < 8; capacity++) {
    begin(capacity);
    cast_batch *b = batch_of(7, 0);
    for (size_t i = 0; i < 7; i++)
      memcpy(cast_msg_data(&b->msgs[i]), &v[i], sizeof *v);
    assert_int_equal(send_as(0, b), capacity < 7 ? CAST_PARKED : 0);
    size_t at = 0;
    for (size_t i = 0; i < 5; i++) {
      cast_batch *r = cast_batch_new(chan, NULL, 16);
      assert_int_equal(cast_batch_receive(r, &still->base, NULL, &even), 0);
      assert_int_equal(r->count, counts[i]);
      for (; r->next < r->count; r->next++) {
        uint64_t a, zero;
        unit_get(&r->msgs[r->next], &a, &zero);
        assert_int_equal(a, v[at++]);
      }
      cast_unref(&r->object);
    }
    if (capacity < 7) expect_ready(0, 0);
    expect_none();
    cast_unref(&b->object);
    finish();
  }
}

/* However the wait ends, the batch says how many have gone. */
static void how_many_have_gone(void **state) {
  CAST_UNUSED(state);
  begin(2);
  cast_batch *b = batch_of(6, 0);
  assert_int_equal(send_as(0, b), CAST_PARKED);
  expect_one(0);
  assert_true(cast_wait_end(&task[0]->base, CASTING_ETIMEOUT));
  expect_ready(0, CASTING_ETIMEOUT);
  cast_batch_left(b);
  assert_int_equal(b->next, 3);
  assert_int_equal(chan->batches, 0);
  assert_int_equal(send_as(0, b), CAST_PARKED); /* again, with the rest */
  expect_one(1);
  cast_chan_close(chan, &still->base);
  expect_ready(0, CASTING_ECLOSED);
  assert_int_equal(b->next, 4);
  assert_int_equal(receive_some(9, &all, 2, 2), 0);
  cast_unref(&b->object);
  finish();
}

/* A select meets a batch as it meets a single sender, and the other way. */
static void beside_selects(void **state) {
  CAST_UNUSED(state);
  begin(0);
  cast_case cases[2] = {{.chan = chan}, {.chan = chan, .sending = true}};
  uint32_t which = 9;
  uint64_t v, zero;
  cast_batch *b = batch_of(2, 4);
  unit_put(&cases[1].waiter.msg, 6, 0);
  assert_int_equal(send_as(0, b), CAST_PARKED);
  assert_int_equal(
    cast_select(&still->base, &task[1]->base, cases, 2, &which), 0);
  assert_int_equal(which, 0);
  unit_get(&cases[0].waiter.msg, &v, &zero);
  assert_int_equal(v, 4);
  expect_none();
  assert_int_equal(
    cast_select(&still->base, &task[1]->base, cases, 1, &which), 0);
  cast_msg_drop(&cases[0].waiter.msg);
  expect_ready(0, 0);
  assert_int_equal(
    cast_select(&still->base, &task[1]->base, &cases[1], 1, &which),
    CAST_PARKED);
  assert_int_equal(receive_some(5, &all, 1, 6), 0);
  expect_ready(1, 0);
  cast_select_done(&cases[1], 1);
  cast_unref(&b->object);
  finish();
}

static void without_memory(void **state) {
  CAST_UNUSED(state);
  begin(CAST_UNBOUNDED);
  cast_batch *b = batch_of(40, 0);
  cast_mem_fail_at(1);
  assert_int_equal(send_now(b), CASTING_ENOMEM);
  assert_int_equal(b->next, 0); /* nothing has gone */
  cast_mem_fail_at(1);
  assert_null(cast_batch_new(chan, NULL, 2));
  cast_mem_fail_at(2);
  assert_null(cast_batch_new(chan, NULL, 2));
  cast_mem_fail_at(0);
  assert_int_equal(send_now(b), 0);
  cast_batch *r = cast_batch_new(chan, NULL, 1);
  cast_mem_fail_at(1);
  cast_batch_make_room(r, 20);
  cast_mem_fail_at(0);
  assert_int_equal(r->room, 1);
  assert_int_equal(cast_batch_receive(r, &still->base, NULL, &all), 0);
  assert_int_equal(r->count, 1);
  cast_unref(&r->object);
  cast_unref(&b->object);
  finish();
}

/* -- between many sessions ------------------------------------------------ */

enum { SENDERS = 4, RECEIVERS = 3, CORES = 4, MOST = 9 };

static struct {
  cast_chan *chan;
  uint32_t count; /* messages of each sender, if nothing cuts it */
  bool timed;
  _Atomic uint32_t sent;     /* (a) messages that have gone */
  _Atomic uint32_t received; /* (a) */
  _Atomic uint64_t sums[2];  /* (a) of what was sent, and received */
} mix;

typedef struct actor {
  uint64_t id;
  cast_batch *batch;
  uint64_t first;         /* the number of the first message in it */
  uint64_t last[SENDERS]; /* what was received last from each, plus 1 */
} actor;

static uint64_t blend(uint64_t id, uint64_t n) {
  return (id * 1000003 + n + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t soon(unit_task *t) {
  if (!mix.timed) return FOREVER;
  return os_now() + unit_random(&t->seed) % 60000;
}

static void note_sent(const actor *a, uint64_t n) {
  unit_count(&mix.sent);
  atomic_fetch_add_explicit(
    &mix.sums[0], blend(a->id, n), memory_order_relaxed);
}

/* The send of a batch is over: counts what has gone. */
static void settle(unit_task *t, actor *a, int rc) {
  cast_batch *b = a->batch;
  CAST_ALWAYS(rc != 0 || b->next == b->count);
  if (rc == CASTING_ETIMEOUT) cast_batch_left(b);
  for (size_t i = 0; i < b->next; i++) note_sent(a, a->first + i);
  t->n = a->first + b->count; /* what was cut is not sent again */
  cast_unref(&b->object);
  a->batch = NULL;
}

static int start_batch(unit_task *t, actor *a) {
  size_t n = unit_random(&t->seed) % MOST + 1;
  uint64_t deadline = soon(t);
  if (n > mix.count - t->n) n = (size_t)(mix.count - t->n);
  a->first = t->n;
  a->batch = cast_batch_new(mix.chan, NULL, n);
  CAST_ALWAYS(a->batch != NULL);
  for (size_t i = 0; i < n; i++) {
    a->batch->msgs[i] = (cast_msg){.size = 0};
    unit_put(&a->batch->msgs[i], a->id, t->n + i);
  }
  a->batch->count = n;
  CAST_ALWAYS(unit_reserve(t, deadline) == 0);
  cast_msg_drop(&t->base.waiter.msg);
  return unit_wait(
    t, cast_batch_send(a->batch, t->base.session, &t->base), deadline);
}

/* Sends t->n = 0, 1, 2 ... in batches of any size, or one by one. */
static bool send_messages(unit_task *t) {
  actor *a = t->arg;
  while (t->n < mix.count) {
    int rc;
    if (a->id % 2 == 0) {
      rc = unit_over(t) ? t->result : start_batch(t, a);
      if (rc == CAST_PARKED) return false;
      settle(t, a, rc);
    } else {
      rc =
        unit_over(t) ? t->result : unit_send(t, mix.chan, a->id, t->n, soon(t));
      if (rc == CAST_PARKED) return false;
      if (rc == 0) note_sent(a, t->n);
      t->n++;
    }
    if (rc == CASTING_ECLOSED) return true;
    CAST_ALWAYS(rc == 0 || (rc == CASTING_ETIMEOUT && mix.timed));
  }
  return true;
}

static void take(actor *a, cast_msg *m) {
  uint64_t id, n;
  unit_get(m, &id, &n);
  CAST_ALWAYS(id < SENDERS && n < mix.count && n + 1 > a->last[id]);
  a->last[id] = n + 1;
  unit_count(&mix.received);
  atomic_fetch_add_explicit(&mix.sums[1], blend(id, n), memory_order_relaxed);
}

static int start_receive(unit_task *t, actor *a) {
  uint64_t deadline = soon(t);
  size_t n = unit_random(&t->seed) % MOST + 1;
  if (a->id % 2 != 0) return unit_receive(t, mix.chan, deadline);
  a->batch = cast_batch_new(mix.chan, NULL, n);
  CAST_ALWAYS(a->batch != NULL);
  CAST_ALWAYS(unit_reserve(t, deadline) == 0);
  return unit_wait(
    t, cast_batch_receive(a->batch, t->base.session, &t->base, &all), deadline);
}

/* What has come: by the wait one message, and then what else there is. */
static void take_all(unit_task *t, actor *a) {
  cast_msg *m = &t->base.waiter.msg;
  cast_batch *b = a->batch;
  if (b == NULL) {
    take(a, m);
    return;
  }
  if (!cast_msg_is_empty(m)) {
    CAST_ALWAYS(b->count == 0);
    b->msgs[0] = (cast_msg){.size = 0};
    cast_msg_move(&b->msgs[0], m);
    b->count = 1;
    CAST_ALWAYS(cast_batch_receive(b, t->base.session, NULL, &all) == 0);
  }
  for (; b->next < b->count; b->next++) take(a, &b->msgs[b->next]);
}

static bool receive_messages(unit_task *t) {
  actor *a = t->arg;
  for (;;) {
    int rc = unit_over(t) ? t->result : start_receive(t, a);
    if (rc == CAST_PARKED) return false;
    if (rc == 0) take_all(t, a);
    if (a->batch != NULL) cast_unref(&a->batch->object);
    a->batch = NULL;
    if (rc == CASTING_ECLOSED) return true;
    CAST_ALWAYS(rc == 0 || (rc == CASTING_ETIMEOUT && mix.timed));
  }
}

typedef struct crowd {
  unit_session *session[SENDERS + RECEIVERS];
  unit_task *task[SENDERS + RECEIVERS];
  actor actor[SENDERS + RECEIVERS];
} crowd;

static void start(
  crowd *x, size_t capacity, uint32_t count, bool timed, bool in_place) {
  memset(&mix, 0, sizeof mix);
  memset(x, 0, sizeof *x);
  memset(all.first, CAST_FITS, sizeof all.first);
  mix.chan = cast_chan_new(capacity);
  mix.count = count;
  mix.timed = timed;
  for (size_t i = 0; i < SENDERS + RECEIVERS; i++) {
    x->actor[i].id = i < SENDERS ? i : i - SENDERS;
    x->session[i] = unit_session_new();
    x->task[i] = unit_spawn_as(NULL, x->session[i],
      i < SENDERS ? send_messages : receive_messages, &x->actor[i],
      in_place && i % 2 == 0);
    assert_non_null(x->task[i]);
  }
}

static void end(unit_host *h, crowd *x) {
  for (size_t i = 0; i < SENDERS; i++) unit_join(h, x->task[i]);
  cast_chan_close(mix.chan, &h->session.base);
  for (size_t i = SENDERS; i < SENDERS + RECEIVERS; i++)
    unit_join(h, x->task[i]);
  for (size_t i = 0; i < SENDERS + RECEIVERS; i++) unit_close(h, x->session[i]);
  assert_int_equal(mix.sent, mix.received);
  assert_true(mix.sums[0] == mix.sums[1]);
  assert_int_equal(cast_chan_len(mix.chan), 0);
  assert_int_equal(mix.chan->batches, 0);
  cast_unref(&mix.chan->object);
}

static const size_t capacities[] = {0, 1, 5, 100, CAST_UNBOUNDED};
#define CAPACITIES (sizeof capacities / sizeof *capacities)

static void exactly_once_and_in_order(void **state) {
  CAST_UNUSED(state);
  uint32_t count = unit_times(5000);
  unit_host *h = unit_open(CORES);
  for (size_t i = 0; i < 2 * CAPACITIES; i++) {
    crowd x;
    start(&x, capacities[i / 2], count, false, i % 2 != 0);
    end(h, &x);
    assert_int_equal(mix.sent, SENDERS * count);
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
  }
  unit_shut(h);
}

static void close_races(void **state) {
  CAST_UNUSED(state);
  uint64_t seed = 5;
  unit_host *h = unit_open(CORES);
  for (uint32_t round = 0; round < unit_times(200); round++) {
    crowd x;
    start(&x, capacities[round % 4], 10000000, round % 8 >= 4, round % 3 == 0);
    uint32_t enough = (uint32_t)(unit_random(&seed) % 300);
    while (unit_read(&mix.received) < enough) os_cede();
    assert_true(cast_chan_close(mix.chan, &h->session.base));
    end(h, &x);
  }
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(fills_the_buffer, unit_clean),
    cmocka_unit_test_teardown(empty_ones, unit_clean),
    cmocka_unit_test_teardown(unbounded_takes_all, unit_clean),
    cmocka_unit_test_teardown(waits_in_place, unit_clean),
    cmocka_unit_test_teardown(hands_to_those_who_wait, unit_clean),
    cmocka_unit_test_teardown(first_comes_alone, unit_clean),
    cmocka_unit_test_teardown(what_does_not_fit, unit_clean),
    cmocka_unit_test_teardown(how_many_have_gone, unit_clean),
    cmocka_unit_test_teardown(beside_selects, unit_clean),
    cmocka_unit_test_teardown(without_memory, unit_clean),
    cmocka_unit_test_teardown(exactly_once_and_in_order, unit_clean),
    cmocka_unit_test_teardown(timeouts_race, unit_clean),
    cmocka_unit_test_teardown(close_races, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
