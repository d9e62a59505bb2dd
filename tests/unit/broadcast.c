/* broadcast.c - tests of broadcasts: who gets what, who is slow, who leaves.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "../../src/broadcast.h"

static unit_session *still;
static cast_broadcast *cast;

static void begin(void) {
  still = unit_still();
  cast = cast_broadcast_new();
  assert_non_null(cast);
}

static void finish(void) {
  cast_unref(&cast->object);
  unit_still_end(still);
}

static cast_chan *subscribe(size_t capacity, cast_slow slow) {
  cast_chan *c = cast_chan_new(capacity);
  assert_non_null(c);
  assert_int_equal(cast_broadcast_subscribe(cast, c, slow), 0);
  return c;
}

static void publish(uint64_t v, uint32_t got, uint32_t missed) {
  uint32_t ngot, nmissed;
  cast_msg m;
  memset(&m, 0, sizeof m);
  unit_put(&m, v, ~v);
  assert_int_equal(
    cast_broadcast_publish(cast, &still->base, &m, &ngot, &nmissed), 0);
  assert_int_equal(ngot, got);
  assert_int_equal(nmissed, missed);
  cast_msg_drop(&m);
}

static void expect(cast_chan *c, uint64_t expected) {
  cast_waiter w = {.index = 0};
  uint64_t v, check;
  assert_int_equal(cast_chan_receive(c, &still->base, NULL, &w), 0);
  unit_get(&w.msg, &v, &check);
  assert_int_equal(v, expected);
}

static void all_get_it(void **state) {
  CAST_UNUSED(state);
  cast_chan *c[40];
  begin();
  publish(0, 0, 0);
  for (size_t i = 0; i < 40; i++) c[i] = subscribe(2, CAST_SLOW_NEWEST);
  assert_int_equal(cast_broadcast_count(cast), 40);
  publish(1, 40, 0);
  publish(2, 40, 0);
  for (size_t i = 0; i < 40; i++) {
    expect(c[i], 1);
    expect(c[i], 2);
    cast_unref(&c[i]->object);
    assert_int_equal(cast_broadcast_count(cast), 39 - i);
  }
  finish();
}

static void slow_ones(void **state) {
  CAST_UNUSED(state);
  begin();
  cast_chan *oldest = subscribe(2, CAST_SLOW_OLDEST);
  cast_chan *newest = subscribe(2, CAST_SLOW_NEWEST);
  cast_chan *closes = subscribe(2, CAST_SLOW_CLOSE);
  publish(1, 3, 0);
  publish(2, 3, 0);
  publish(3, 1, 2);
  assert_true(cast_chan_is_closed(closes));
  assert_int_equal(cast_broadcast_count(cast), 2);
  publish(4, 1, 1);
  expect(oldest, 3);
  expect(oldest, 4);
  expect(newest, 1);
  expect(newest, 2);
  expect(closes, 1);
  expect(closes, 2);
  cast_unref(&oldest->object);
  cast_unref(&newest->object);
  cast_unref(&closes->object);
  finish();
}

static void closed(void **state) {
  CAST_UNUSED(state);
  uint32_t got, missed;
  cast_msg m;
  begin();
  cast_chan *one = subscribe(1, CAST_SLOW_OLDEST);
  cast_chan *two = subscribe(1, CAST_SLOW_OLDEST);
  cast_chan_close(one, &still->base);
  assert_int_equal(cast_broadcast_count(cast), 1);
  assert_true(cast_broadcast_close(cast, &still->base));
  assert_false(cast_broadcast_close(cast, &still->base));
  assert_true(cast_chan_is_closed(two));
  assert_int_equal(cast_broadcast_count(cast), 0);
  cast_chan *late = cast_chan_new(1);
  assert_int_equal(
    cast_broadcast_subscribe(cast, late, CAST_SLOW_OLDEST), CASTING_ECLOSED);
  memset(&m, 0, sizeof m);
  unit_put(&m, 1, ~UINT64_C(1));
  assert_int_equal(
    cast_broadcast_publish(cast, &still->base, &m, &got, &missed),
    CASTING_ECLOSED);
  cast_msg_drop(&m);
  cast_unref(&late->object);
  /* The broadcast goes with the last of those that had subscribed. */
  cast_unref(&cast->object);
  cast_unref(&one->object);
  cast_unref(&two->object);
  unit_still_end(still);
}

static void no_memory(void **state) {
  CAST_UNUSED(state);
  uint32_t got, missed;
  cast_msg m;
  begin();
  cast_mem_fail_at(1);
  assert_null(cast_broadcast_new());
  cast_chan *c = cast_chan_new(1);
  cast_mem_fail_at(1);
  assert_int_equal(
    cast_broadcast_subscribe(cast, c, CAST_SLOW_OLDEST), CASTING_ENOMEM);
  assert_int_equal(cast_broadcast_subscribe(cast, c, CAST_SLOW_OLDEST), 0);
  memset(&m, 0, sizeof m);
  unit_put(&m, 1, ~UINT64_C(1));
  for (uint64_t i = 1; i < 3; i++) { /* the list, then the ring */
    cast_mem_fail_from(i);
    int rc = cast_broadcast_publish(cast, &still->base, &m, &got, &missed);
    cast_mem_fail_at(0);
    assert_int_equal(rc, CASTING_ENOMEM);
    assert_int_equal(got, 0);
  }
  cast_msg_drop(&m);
  publish(1, 1, 0);
  cast_unref(&c->object);
  finish();
}

/* -- many sessions -------------------------------------------------------- */

enum { PUBLISHERS = 3, CORES = 4, AT_ONCE = 5 };

static struct {
  cast_broadcast *cast;
  uint32_t count;
  _Atomic uint32_t npublished; /* (a) publishers that have ended */
} mix;

static bool publish_many(unit_task *t) {
  for (uint64_t i = 0; i < mix.count; i++) {
    uint32_t got, missed;
    cast_msg m;
    memset(&m, 0, sizeof m);
    unit_put(&m, (uint64_t)(uintptr_t)t->arg, i);
    CAST_ALWAYS(cast_broadcast_publish(
                  mix.cast, t->base.session, &m, &got, &missed) == 0);
    cast_msg_drop(&m);
  }
  unit_count(&mix.npublished);
  return true;
}

/* Subscribes and leaves again and again; what comes of one publisher is in
   order. */
static bool listen_many(unit_task *t) {
  cast_session *s = t->base.session;
  while (unit_read(&mix.npublished) < PUBLISHERS) {
    uint64_t last[PUBLISHERS] = {0}, who, n;
    cast_chan *c = cast_chan_new(1 + unit_random(&t->seed) % 4);
    CAST_ALWAYS(cast_broadcast_subscribe(
                  mix.cast, c, (cast_slow)(unit_random(&t->seed) % 3)) == 0);
    for (uint64_t k = unit_random(&t->seed) % 50; k > 0; k--) {
      cast_waiter w = {.index = 0};
      if (cast_chan_receive(c, s, NULL, &w) != 0) continue;
      unit_get(&w.msg, &who, &n);
      CAST_ALWAYS(who < PUBLISHERS && n + 1 > last[who]);
      last[who] = n + 1;
    }
    if (unit_random(&t->seed) % 2 == 0) cast_chan_close(c, s);
    cast_unref(&c->object);
  }
  return true;
}

static void coming_and_going(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(CORES);
  unit_session *s[PUBLISHERS + AT_ONCE];
  unit_task *t[PUBLISHERS + AT_ONCE];
  memset(&mix, 0, sizeof mix);
  mix.count = unit_times(3000);
  mix.cast = cast_broadcast_new();
  for (uintptr_t i = 0; i < PUBLISHERS + AT_ONCE; i++) {
    s[i] = unit_session_new();
    t[i] =
      unit_spawn(s[i], i < PUBLISHERS ? publish_many : listen_many, (void *)i);
  }
  for (size_t i = 0; i < PUBLISHERS + AT_ONCE; i++) unit_join(h, t[i]);
  for (size_t i = 0; i < PUBLISHERS + AT_ONCE; i++) unit_close(h, s[i]);
  assert_int_equal(cast_broadcast_count(mix.cast), 0);
  cast_unref(&mix.cast->object);
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(all_get_it, unit_clean),
    cmocka_unit_test_teardown(slow_ones, unit_clean),
    cmocka_unit_test_teardown(closed, unit_clean),
    cmocka_unit_test_teardown(no_memory, unit_clean),
    cmocka_unit_test_teardown(coming_and_going, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
