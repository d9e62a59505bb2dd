/* poller.c - tests of who polls: no descriptor is forgotten when threads change
   places.
   SPDX-License-Identifier: MIT

   Each is a scenario that a model has found (tests/model/poller.pml) in a
   version that forgot the descriptor: then the byte was read late, when
   something else came by, or never. */
#include "sockets.h"

#include <poll.h>
#include <pthread.h>

static _Atomic uint32_t got;

/* The task reads one byte of t->arg, and counts it. */
static bool read_and_count(unit_task *t) {
  char byte;
  intptr_t n = unit_read_some(t, t->arg, &byte, 1, FOREVER);
  if (n == PARKED_READ) return false;
  CAST_ALWAYS(n == 1);
  unit_count(&got);
  return true;
}

/* The same, and then closes it, in the pool. */
static bool read_and_close(unit_task *t) {
  char byte;
  intptr_t n = unit_read_some(t, t->arg, &byte, 1, FOREVER);
  if (n == PARKED_READ) return false;
  CAST_ALWAYS(n == 1);
  cast_descriptor_close(t->arg, t->base.session);
  return true;
}

static bool nothing(unit_task *t) {
  CAST_UNUSED(t);
  return true;
}

static void await(cast_descriptor *d) {
  while (!cast_descriptor_is_awaited(d, CAST_READ)) os_cede();
}

/* Until the worker that has looked sleeps in the poller again. */
static void await_rest(void) {
  while (!cast_poller_taken() || cast_sched_busy() != 0) os_cede();
}

static bool is_asleep(cast_host *h) {
  return atomic_load_explicit(&h->where, memory_order_acquire) == CAST_AT_SLEEP;
}

/* -- a host and a worker -------------------------------------------------- */

typedef struct script {
  cast_host *host;
  cast_descriptor *first, *second; /* to write to; the first may be NULL */
} script;

/* When the host is asleep: a byte for the pool, and when that has gone to sleep
   again, one for the host. */
static void *write_to_both(void *arg) {
  script *s = arg;
  while (!is_asleep(s->host)) os_cede();
  if (s->first != NULL) {
    unit_write_all(s->first, "x", 1);
    while (unit_read(&got) == 0) os_cede();
    await_rest();
  }
  unit_write_all(s->second, "x", 1);
  return NULL;
}

/* The worker has the token, and the host relies on it; then the pool has no
   descriptor any more. */
static bool close_and_count(unit_task *t) {
  bool over = read_and_close(t);
  if (over) unit_count(&got);
  return over;
}
static void a_host_relies_on_a_worker(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  unit_session *s = unit_session_new();
  cast_descriptor *a[2], *b[2];
  pthread_t writer;
  char byte;
  unit_pair(a);
  unit_pair(b);
  unit_write(&got, 0);
  unit_task *t = unit_spawn(s, close_and_count, a[0]);
  await(a[0]);
  await_rest();
  script play = {&h->host, a[1], b[1]};
  CAST_ALWAYS(pthread_create(&writer, NULL, write_to_both, &play) == 0);
  assert_int_equal(
    unit_read_some(h->main, b[0], &byte, 1, os_now() + PATIENCE_NS), 1);
  CAST_ALWAYS(pthread_join(writer, NULL) == 0);
  unit_join(h, t);
  unit_unpair(a);
  unit_unpair(b);
  unit_close(h, s);
  unit_shut(h);
}

/* A task of the pool and then the main program wait for the same descriptor.
   The main program gives up and computes; it is the pool's again. */
static void a_host_waits_for_a_shared_one(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  unit_session *s = unit_session_new(), *s2 = unit_session_new();
  cast_descriptor *a[2];
  uint64_t until;
  char byte;
  unit_pair(a);
  unit_write(&got, 0);
  unit_task *t = unit_spawn(s, read_and_count, a[0]);
  await(a[0]);
  await_rest();
  assert_int_equal(unit_read_some(h->main, a[0], &byte, 1, os_now() + 20 * MS),
    CASTING_ETIMEOUT);
  unit_join(
    h, unit_spawn(s2, nothing, NULL)); /* the worker leaves the poller */
  while (cast_sched_busy() != 0) os_cede();
  unit_write_all(a[1], "x", 1);
  for (until = os_now() + PATIENCE_NS; unit_read(&got) == 0;)
    if (os_now() > until) fail_msg("nobody has looked");
  unit_join(h, t);
  unit_unpair(a);
  unit_close(h, s);
  unit_close(h, s2);
  unit_shut(h);
}

/* -- a host that does not sleep ------------------------------------------- */

/* Writes the byte as soon as the other task waits, and yields until it is
   read. */
static bool write_and_yield(unit_task *t) {
  cast_descriptor **a = t->arg;
  if (t->at == 0) {
    if (cast_descriptor_is_awaited(a[0], CAST_READ)) {
      unit_write_all(a[1], "x", 1);
      t->at = 1;
      t->n = os_now() + PATIENCE_NS;
    }
  } else if (unit_read(&got) != 0) {
    return true;
  } else if (os_now() > t->n) {
    fail_msg("the host has not looked");
  }
  cast_task_yield(&t->base);
  return false;
}

static void a_host_that_is_never_idle(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_descriptor *a[2];
  unit_pair(a);
  unit_write(&got, 0);
  unit_task *t = unit_task_new(&h->session.base, read_and_count, a[0]);
  unit_task *y = unit_task_new(&h->session.base, write_and_yield, a);
  assert_int_equal(cast_task_start(&t->base, &h->session.base), 0);
  assert_int_equal(cast_task_start(&y->base, &h->session.base), 0);
  unit_join(h, y);
  unit_join(h, t);
  unit_unpair(a);
  unit_shut(h);
}

static bool never(void *arg) {
  CAST_UNUSED(arg);
  return false;
}

/* A loop of the program's own that polls casting, and never waits in it. */
static void a_host_that_polls_at_once(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_descriptor *a[2];
  uint64_t until = os_now() + PATIENCE_NS;
  unit_pair(a);
  unit_write(&got, 0);
  unit_task *t = unit_task_new(&h->session.base, read_and_count, a[0]);
  assert_int_equal(cast_task_start(&t->base, &h->session.base), 0);
  CAST_ALWAYS(cast_host_reserve(&h->host) == 0);
  h->session.inside = false;
  for (bool written = false; unit_read(&got) == 0;) {
    if (os_now() > until) fail_msg("polling has not looked");
    if (!written && cast_descriptor_is_awaited(a[0], CAST_READ)) {
      unit_write_all(a[1], "x", 1);
      written = true;
    }
    cast_host_poll(&h->host, 0, never, NULL);
  }
  h->session.inside = true;
  unit_join(h, t);
  unit_unpair(a);
  unit_shut(h);
}

/* The program sleeps in a loop of its own, which knows nothing of the socket but
   the descriptor of casting: a worker looks meanwhile. */
static void a_loop_of_the_programs_own(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_descriptor *a[2];
  struct pollfd p = {.events = POLLIN};
  unit_pair(a);
  unit_write(&got, 0);
  unit_task *t = unit_task_new(&h->session.base, read_and_count, a[0]);
  assert_int_equal(cast_task_start(&t->base, &h->session.base), 0);
  CAST_ALWAYS(cast_host_reserve(&h->host) == 0);
  h->session.inside = false;
  p.fd = cast_host_fd(&h->host);
  assert_true(p.fd >= 0);
  while (!cast_descriptor_is_awaited(a[0], CAST_READ))
    cast_host_poll(&h->host, 0, never, NULL);
  unit_write_all(a[1], "x", 1);
  while (unit_read(&got) == 0) {
    assert_int_equal(poll(&p, 1, (int)(PATIENCE_NS / MS)), 1);
    cast_host_poll(&h->host, 0, never, NULL);
  }
  cast_host_return(&h->host);
  h->session.inside = true;
  unit_join(h, t);
  unit_unpair(a);
  unit_shut(h);
}

/* -- two hosts ------------------------------------------------------------ */

static _Atomic uint32_t second; /* what the second host has done, or is to do */
enum { STARTED = 1, GONE, END };

/* Sleeps for a while, in the poller if the first one is not there. */
static void *sleep_and_leave(void *arg) {
  unit_host *h;
  CAST_UNUSED(arg);
  CAST_ALWAYS(unit_host_make(&h, &unit_host_ops) == 0);
  unit_write(&second, STARTED);
  (void)unit_sleep(h->main, os_now() + 200 * MS);
  unit_write(&second, GONE);
  while (unit_read(&second) != END) os_cede();
  unit_shut(h);
  return NULL;
}

static void *write_when_left(void *arg) {
  script *s = arg;
  while (unit_read(&second) != GONE || !is_asleep(s->host)) os_cede();
  unit_write_all(s->second, "x", 1);
  return NULL;
}

/* The second host has the token while the first one computes, and leaves. */
static void the_second_host_leaves(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_descriptor *a[2];
  pthread_t other, writer;
  unit_pair(a);
  unit_write(&got, 0);
  unit_write(&second, 0);
  unit_task *t = unit_task_new(&h->session.base, read_and_count, a[0]);
  assert_int_equal(cast_task_start(&t->base, &h->session.base), 0);
  (void)unit_sleep(h->main, os_now() + 20 * MS); /* t waits for a[0] */
  CAST_ALWAYS(pthread_create(&other, NULL, sleep_and_leave, NULL) == 0);
  while (unit_read(&second) == 0) os_cede();
  script play = {&h->host, NULL, a[1]};
  CAST_ALWAYS(pthread_create(&writer, NULL, write_when_left, &play) == 0);
  assert_int_equal(
    unit_event(h->main, &t->base.done, os_now() + PATIENCE_NS), 0);
  CAST_ALWAYS(pthread_join(writer, NULL) == 0);
  unit_join(h, t);
  unit_write(&second, END);
  CAST_ALWAYS(pthread_join(other, NULL) == 0);
  unit_unpair(a);
  unit_shut(h);
}

static void *stay(void *arg) {
  unit_host *h;
  CAST_UNUSED(arg);
  CAST_ALWAYS(unit_host_make(&h, &unit_host_ops) == 0);
  unit_write(&second, STARTED);
  while (unit_read(&second) != END) os_cede();
  unit_shut(h);
  return NULL;
}

/* With two hosts a wait counts as the pool's: somebody is woken to look,
   although no worker has run and sysmon is asleep. */
static void the_first_wait_beside_another_host(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_descriptor *a[2];
  pthread_t other, writer;
  char byte;
  unit_pair(a);
  unit_write(&second, 0);
  CAST_ALWAYS(pthread_create(&other, NULL, stay, NULL) == 0);
  while (unit_read(&second) == 0) os_cede();
  script play = {&h->host, NULL, a[1]};
  CAST_ALWAYS(pthread_create(&writer, NULL, write_to_both, &play) == 0);
  assert_int_equal(
    unit_read_some(h->main, a[0], &byte, 1, os_now() + PATIENCE_NS), 1);
  CAST_ALWAYS(pthread_join(writer, NULL) == 0);
  unit_write(&second, END);
  CAST_ALWAYS(pthread_join(other, NULL) == 0);
  unit_unpair(a);
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(a_host_relies_on_a_worker, unit_clean),
    cmocka_unit_test_teardown(a_host_waits_for_a_shared_one, unit_clean),
    cmocka_unit_test_teardown(a_host_that_is_never_idle, unit_clean),
    cmocka_unit_test_teardown(a_host_that_polls_at_once, unit_clean),
    cmocka_unit_test_teardown(a_loop_of_the_programs_own, unit_clean),
    cmocka_unit_test_teardown(the_second_host_leaves, unit_clean),
    cmocka_unit_test_teardown(the_first_wait_beside_another_host, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
