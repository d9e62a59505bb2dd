/* foreign.c - tests of threads outside of the pool that wait.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <pthread.h>

#include "../../src/foreign.h"

enum { THREADS = 3 };

static cast_chan *chan;
static _Atomic uint32_t received, given_up;
static _Atomic uint64_t sum;
static uint32_t each;

static void number(cast_msg *m, uint64_t v) {
  memset(m, 0, sizeof *m);
  unit_put(m, v, ~v);
}

static void at_once(void **state) {
  CAST_UNUSED(state);
  cast_msg m;
  uint64_t v, check;
  chan = cast_chan_new(1);
  number(&m, 5);
  assert_int_equal(cast_foreign_send(chan, &m, 0), 0);
  assert_true(cast_msg_is_empty(&m));
  number(&m, 6);
  assert_int_equal(cast_foreign_send(chan, &m, 0), CASTING_EFULL);
  assert_int_equal(
    cast_foreign_send(chan, &m, os_now() + MS), CASTING_ETIMEOUT);
  assert_false(cast_msg_is_empty(&m)); /* still the sender's */
  cast_msg_drop(&m);
  assert_int_equal(cast_foreign_receive(chan, &m, FOREVER), 0);
  unit_get(&m, &v, &check);
  assert_true(v == 5);
  assert_int_equal(cast_foreign_receive(chan, &m, 0), CASTING_EEMPTY);
  assert_int_equal(
    cast_foreign_receive(chan, &m, os_now() + MS), CASTING_ETIMEOUT);
  assert_true(cast_list_is_empty(&chan->receivers));
  assert_true(cast_list_is_empty(&chan->senders));
  cast_chan_close(chan, NULL);
  assert_int_equal(cast_foreign_receive(chan, &m, FOREVER), CASTING_ECLOSED);
  cast_unref(&chan->object);
}

/* With deadlines so short that they meet the messages. */
static void *sender(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg * 7919 + 1;
  for (uint32_t i = 1; i <= each; i++) {
    cast_msg m;
    int rc;
    number(&m, i);
    do {
      uint64_t wait = unit_random(&seed) % 30000;
      rc = cast_foreign_send(chan, &m, os_now() + wait);
      if (rc == CASTING_ETIMEOUT) unit_count(&given_up);
    } while (rc == CASTING_ETIMEOUT);
    CAST_ALWAYS(rc == 0);
  }
  return NULL;
}

static void *receiver(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg * 104729 + 1;
  for (;;) {
    cast_msg m;
    uint64_t v, check;
    int rc;
    memset(&m, 0, sizeof m);
    rc = cast_foreign_receive(chan, &m, os_now() + unit_random(&seed) % 30000);
    if (rc == CASTING_ECLOSED) return NULL;
    if (rc == CASTING_ETIMEOUT) continue;
    CAST_ALWAYS(rc == 0);
    unit_get(&m, &v, &check);
    CAST_ALWAYS(check == ~v);
    unit_count(&received);
    atomic_fetch_add_explicit(&sum, v, memory_order_relaxed);
  }
}

static void exactly_once(size_t capacity) {
  pthread_t in[THREADS], out[THREADS];
  each = unit_times(4000);
  atomic_store(&received, 0);
  atomic_store(&sum, 0);
  chan = cast_chan_new(capacity);
  for (uintptr_t i = 0; i < THREADS; i++) {
    CAST_ALWAYS(pthread_create(&in[i], NULL, sender, (void *)(i + 1)) == 0);
    CAST_ALWAYS(pthread_create(&out[i], NULL, receiver, (void *)(i + 9)) == 0);
  }
  for (int i = 0; i < THREADS; i++) (void)pthread_join(in[i], NULL);
  /* What is buffered is still received; nobody waits to send. */
  cast_chan_close(chan, NULL);
  for (int i = 0; i < THREADS; i++) (void)pthread_join(out[i], NULL);
  cast_unref(&chan->object);
  CAST_ALWAYS(unit_read(&received) == THREADS * each);
  CAST_ALWAYS(atomic_load(&sum) == (uint64_t)THREADS * each * (each + 1) / 2);
}

static void unbuffered(void **state) {
  CAST_UNUSED(state);
  exactly_once(0);
}

static void buffered(void **state) {
  CAST_UNUSED(state);
  exactly_once(2);
}

/* A close, or an event, ends the waits of all. */
static cast_event event;

static void *closed_on(void *arg) {
  cast_msg m;
  memset(&m, 0, sizeof m);
  CAST_UNUSED(arg);
  CAST_ALWAYS(cast_foreign_receive(chan, &m, FOREVER) == CASTING_ECLOSED);
  CAST_ALWAYS(cast_foreign_await(&event, FOREVER) == 0);
  return NULL;
}

static void all_are_woken(void **state) {
  CAST_UNUSED(state);
  for (uint32_t round = 0; round < unit_times(200); round++) {
    pthread_t thread[THREADS];
    chan = cast_chan_new(0);
    cast_event_init(&event);
    assert_int_equal(cast_foreign_await(&event, 0), CASTING_ETIMEOUT);
    for (int i = 0; i < THREADS; i++)
      CAST_ALWAYS(pthread_create(&thread[i], NULL, closed_on, NULL) == 0);
    if (round % 2 == 0) os_cede();
    cast_chan_close(chan, NULL);
    cast_event_set(&event, NULL);
    for (int i = 0; i < THREADS; i++) (void)pthread_join(thread[i], NULL);
    assert_int_equal(cast_foreign_await(&event, FOREVER), 0);
    cast_unref(&chan->object);
  }
}

int main(void) {
  const struct CMUnitTest list[] = {
    cmocka_unit_test(at_once),
    cmocka_unit_test(unbuffered),
    cmocka_unit_test(buffered),
    cmocka_unit_test(all_are_woken),
  };
  return cmocka_run_group_tests(list, NULL, NULL);
}
