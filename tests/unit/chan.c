/* chan.c - tests of channels, step by step: order, hand-over, close.
   SPDX-License-Identifier: MIT

   One thread; chan_many.c has many sessions. */
#include "fixture.h"

enum { WAITERS = 5 };

static unit_session *still;
static unit_task *task[2 * WAITERS];
static cast_chan *chan;

static void begin(size_t capacity) {
  still = unit_still();
  for (size_t i = 0; i < 2 * WAITERS; i++) {
    task[i] = unit_task_new(&still->base, NULL, NULL);
    assert_non_null(task[i]);
  }
  chan = cast_chan_new(capacity);
  assert_non_null(chan);
}

static void finish(void) {
  cast_unref(&chan->object);
  for (size_t i = 0; i < 2 * WAITERS; i++) cast_unref(&task[i]->base.object);
  unit_still_end(still);
}

/* Task i sends number v, and parks if it must. */
static int send(size_t i, uint64_t v) {
  cast_task *t = &task[i]->base;
  unit_put(&t->waiter.msg, v, ~v);
  return cast_chan_send(chan, &still->base, t, &t->waiter);
}

static int receive(size_t i) {
  cast_task *t = &task[i]->base;
  return cast_chan_receive(chan, &still->base, t, &t->waiter);
}

static int try_send(uint64_t v) {
  cast_waiter w = {.index = 0};
  unit_put(&w.msg, v, ~v);
  int rc = cast_chan_send(chan, &still->base, NULL, &w);
  assert_int_equal(rc == 0, cast_msg_is_empty(&w.msg));
  cast_msg_drop(&w.msg);
  return rc;
}

static int try_receive(uint64_t *v) {
  cast_waiter w = {.index = 0};
  uint64_t check;
  int rc = cast_chan_receive(chan, &still->base, NULL, &w);
  assert_int_equal(rc != 0, cast_msg_is_empty(&w.msg));
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
  assert_int_equal(t->base.wait.result, result);
  assert_int_equal(t->base.wait.index, 0);
  assert_int_equal(t->base.status, CAST_READY);
  cast_wait_done(&t->base);
}

/* Task i was handed v. */
static void expect_message(size_t i, uint64_t expected) {
  uint64_t v, check;
  unit_get(&task[i]->base.waiter.msg, &v, &check);
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
  assert_false(cast_chan_is_closed(chan));
  assert_null(chan->ring);
  finish();
}

static void buffered_first_in_first_out(void **state) {
  CAST_UNUSED(state);
  for (size_t capacity = 1; capacity <= 9; capacity++) {
    uint64_t in = 0, out = 0, v;
    begin(capacity);
    /* It grows with its oldest message anywhere. */
    for (size_t i = 0; i < capacity / 2; i++) {
      assert_int_equal(try_send(in++), 0);
      assert_int_equal(try_send(in++), 0);
      expect_receive(out++);
    }
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
  for (uint64_t i = 0; i < 10000; i++) {
    assert_int_equal(try_send(i), 0);
    if (i % 2 != 0) expect_receive(i / 2);
  }
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
      assert_true(cast_msg_is_empty(&task[i]->base.waiter.msg));
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
  assert_true(cast_chan_close(chan, &still->base));
  assert_false(cast_chan_close(chan, &still->base));
  assert_true(cast_chan_is_closed(chan));
  for (size_t i = 0; i < WAITERS; i++) {
    expect_ready(i, CASTING_ECLOSED);
    assert_true(cast_msg_is_empty(&task[i]->base.waiter.msg));
  }
  assert_int_equal(send(0, 1), CASTING_ECLOSED);
  expect_message(0, 1); /* still the sender's */
  assert_int_equal(receive(0), CASTING_ECLOSED);
  finish();
}

/* A few at a time; it is closed for everybody from the first on. */
static void close_in_parts(void **state) {
  CAST_UNUSED(state);
  begin(1);
  for (size_t i = 0; i < WAITERS; i++) receive(i);
  for (size_t i = 0; i + 1 < WAITERS; i++) {
    assert_true(cast_chan_close_part(chan, 1));
    assert_true(cast_chan_is_closed(chan));
    assert_int_equal(try_send(1), CASTING_ECLOSED);
    assert_int_equal(receive(WAITERS), CASTING_ECLOSED);
    cast_session_look(&still->base); /* pushed, as from another thread */
    expect_ready(i, CASTING_ECLOSED);
    assert_null(unit_still_next(still));
  }
  assert_false(cast_chan_close_part(chan, 1));
  assert_false(cast_chan_close_part(chan, 1));
  cast_session_look(&still->base);
  expect_ready(WAITERS - 1, CASTING_ECLOSED);
  finish();
  /* Senders at once; and whoever closes it anew wakes all. */
  begin(0);
  for (size_t i = 0; i < WAITERS; i++) send(i, i);
  assert_false(cast_chan_close_part(chan, 1));
  cast_session_look(&still->base);
  for (size_t i = 0; i < WAITERS; i++) expect_ready(i, CASTING_ECLOSED);
  finish();
  begin(0);
  for (size_t i = 0; i < WAITERS; i++) receive(i);
  assert_true(cast_chan_close_part(chan, 1));
  cast_session_look(&still->base);
  assert_false(cast_chan_close(chan, &still->base));
  assert_false(cast_chan_close_part(chan, 1));
  for (size_t i = 0; i < WAITERS; i++) expect_ready(i, CASTING_ECLOSED);
  finish();
}

static void close_drains(void **state) {
  CAST_UNUSED(state);
  uint64_t v;
  begin(3);
  for (uint64_t i = 0; i < 3; i++) assert_int_equal(try_send(i), 0);
  for (size_t i = 0; i < WAITERS; i++)
    assert_int_equal(send(i, 100 + i), CAST_PARKED);
  assert_true(cast_chan_close(chan, &still->base));
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
  cast_wait_end(&task[0]->base, CASTING_ETIMEOUT);
  assert_true(cast_list_is_empty(&task[0]->base.waiter.link));
  assert_true(cast_wait_claim(&task[1]->base.wait));
  assert_true(cast_wait_claim(&task[2]->base.wait));
  assert_int_equal(try_send(5), 0);
  expect_ready(3, 0); /* who is handed something comes first */
  expect_ready(0, CASTING_ETIMEOUT);
  expect_message(3, 5);
  for (size_t i = 1; i < 3; i++) cast_wait_done(&task[i]->base);
  for (size_t i = 0; i < 4; i++) send(i, i);
  cast_wait_end(&task[0]->base, CASTING_ETIMEOUT);
  assert_true(cast_wait_claim(&task[2]->base.wait));
  expect_receive(1);
  expect_receive(3);
  assert_int_equal(try_receive(&v), CASTING_EEMPTY);
  expect_ready(1, 0);
  /* In front, but for the limit of those in a row, which tests may shrink. */
  if (CAST_NEXT_STREAK > 1) expect_ready(3, 0);
  expect_ready(0, CASTING_ETIMEOUT);
  if (CAST_NEXT_STREAK <= 1) expect_ready(3, 0);
  cast_wait_done(&task[2]->base);
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
  assert_int_equal(cast_chan_grow(chan, NULL), 0);
  cast_lock_take(&chan->lock);
  assert_int_equal(cast_chan_send_locked(chan, &w, &wake), 0);
  unit_put(&w.msg, 2, ~UINT64_C(2));
  assert_int_equal(cast_chan_send_locked(chan, &w, &wake), CASTING_EFULL);
  assert_null(wake);
  cast_msg_drop(&w.msg);
  cast_wait_arm(&task[0]->base, CAST_WAIT_ONE);
  unit_put(&task[0]->base.waiter.msg, 3, ~UINT64_C(3));
  task[0]->base.waiter.index = 0;
  cast_chan_queue_locked(chan, &task[0]->base, &task[0]->base.waiter, true);
  assert_true(cast_chan_can_receive_locked(chan));
  assert_int_equal(cast_chan_receive_locked(chan, &w, &wake), 0);
  assert_ptr_equal(wake, &task[0]->base);
  cast_lock_drop(&chan->lock);
  cast_msg_drop(&w.msg);
  cast_wait_done(wake);
  assert_null(unit_still_next(still)); /* waking is the caller's */
  cast_chan_close(chan, &still->base);
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
    if (cast_mem_has_failed()) {
      assert_int_equal(rc, CASTING_ENOMEM);
      assert_int_equal(cast_chan_len(chan), before);
      assert_int_equal(cast_chan_grow(chan, NULL), 0);
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
static void note_free(cast_chan *c, cast_object **more) {
  CAST_UNUSED(more);
  assert_ptr_equal(c->owner, &nfreed);
  nfreed++;
}

static const cast_chan_kind noted = {.freed = note_free};

/* A channel in a message in a channel in a ...: its end does not recurse. */
static void end_of_a_long_chain(void **state) {
  CAST_UNUSED(state);
  enum { DEPTH = 100000 };
  cast_chan *inner = cast_chan_new(1);
  nfreed = 0;
  inner->kind = &noted;
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

static void peek_takes_nothing(void **state) {
  CAST_UNUSED(state);
  cast_msg m;
  uint64_t v, check;
  begin(4);
  memset(&m, 0, sizeof m);
  assert_false(cast_chan_peek(chan, 0, &m));
  for (uint64_t i = 0; i < 3; i++) assert_int_equal(try_send(i), 0);
  expect_receive(0);
  for (uint64_t i = 3; i < 5; i++) assert_int_equal(try_send(i), 0);
  for (uint64_t i = 0; i < 4; i++) {
    assert_true(cast_chan_peek(chan, (size_t)i, &m));
    unit_get(&m, &v, &check);
    assert_int_equal(v, i + 1);
  }
  assert_false(cast_chan_peek(chan, 4, &m));
  assert_false(cast_chan_peek(chan, SIZE_MAX, &m));
  assert_int_equal(cast_chan_len(chan), 4);
  for (uint64_t i = 1; i < 5; i++) expect_receive(i);
  finish();
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(peek_takes_nothing, unit_clean),
    cmocka_unit_test_teardown(unbuffered_never_keeps, unit_clean),
    cmocka_unit_test_teardown(buffered_first_in_first_out, unit_clean),
    cmocka_unit_test_teardown(unbounded_takes_all, unit_clean),
    cmocka_unit_test_teardown(receivers_in_order_of_waiting, unit_clean),
    cmocka_unit_test_teardown(senders_in_order_of_waiting, unit_clean),
    cmocka_unit_test_teardown(close_ends_all_waits, unit_clean),
    cmocka_unit_test_teardown(close_in_parts, unit_clean),
    cmocka_unit_test_teardown(close_drains, unit_clean),
    cmocka_unit_test_teardown(ended_waits_are_skipped, unit_clean),
    cmocka_unit_test_teardown(looks_and_moves_under_the_lock, unit_clean),
    cmocka_unit_test_teardown(no_memory_changes_nothing, unit_clean),
    cmocka_unit_test_teardown(end_of_a_long_chain, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
