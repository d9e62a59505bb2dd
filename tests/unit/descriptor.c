/* descriptor.c - tests of waiting for descriptors, and of who looks at them.
   SPDX-License-Identifier: MIT */
#include "sockets.h"

/* -- ping-pong ------------------------------------------------------------ */

typedef struct player {
  cast_descriptor *d;
  uint64_t rounds;
  bool serves;
} player;

static bool play(unit_task *t) {
  player *p = t->arg;
  if (p->serves && t->at == 0) {
    t->at = 1;
    unit_write_all(p->d, "x", 1);
  }
  while (t->n < p->rounds) {
    char byte;
    intptr_t n = unit_read_some(t, p->d, &byte, 1, FOREVER);
    if (n == PARKED_READ) return false;
    CAST_ALWAYS(n == 1);
    t->n++;
    if (!p->serves || t->n < p->rounds) unit_write_all(p->d, "x", 1);
  }
  return true;
}

/* Between sessions on so many cores, in tasks that yield and tasks that block
   in place, many pairs at once. */
static void sockets_pass_bytes(void **state) {
  enum { PAIRS = 8 };
  CAST_UNUSED(state);
  for (int way = 0; way < 8; way++) {
    unit_host *h = unit_open(1 + way % 2);
    unit_session *s[2] = {unit_session_new(), unit_session_new()};
    cast_descriptor *d[PAIRS][2];
    player p[PAIRS][2];
    unit_task *t[PAIRS][2];
    for (int i = 0; i < PAIRS; i++) {
      unit_pair(d[i]);
      for (int k = 0; k < 2; k++) {
        p[i][k] = (player){d[i][k], unit_times(2000), k == 0};
        t[i][k] = unit_spawn_as(NULL, s[way & 2 ? k : 0], play, &p[i][k],
          (way & 4) != 0 && i % 2 == 0);
      }
    }
    for (int i = 0; i < PAIRS; i++) {
      for (int k = 0; k < 2; k++) unit_join(h, t[i][k]);
      unit_unpair(d[i]);
    }
    unit_close(h, s[0]);
    unit_close(h, s[1]);
    unit_shut(h);
  }
}

/* A main program and its own tasks need no thread of the pool. */
static void a_host_polls_itself(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_descriptor *d[2];
  player p[2];
  unit_task *t[2];
  unit_pair(d);
  for (int k = 0; k < 2; k++) {
    p[k] = (player){d[k], unit_times(5000), k == 0};
    t[k] = unit_task_new(&h->session.base, play, &p[k]);
    assert_int_equal(cast_task_start(&t[k]->base, &h->session.base), 0);
  }
  for (int k = 0; k < 2; k++) unit_join(h, t[k]);
  assert_int_equal(cast_sched_workers(), 0);
  unit_unpair(d);
  unit_shut(h);
}

/* The main program with a task of the pool. */
static void a_host_talks_to_the_pool(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(2);
  unit_session *s = unit_session_new();
  cast_descriptor *d[2];
  player p;
  char byte;
  unit_pair(d);
  p = (player){d[1], unit_times(3000), false};
  unit_task *t = unit_spawn(s, play, &p);
  for (uint64_t i = 0; i < p.rounds; i++) {
    unit_write_all(d[0], "y", 1);
    assert_int_equal(
      unit_read_some(h->main, d[0], &byte, 1, os_now() + PATIENCE_NS), 1);
  }
  unit_join(h, t);
  unit_unpair(d);
  unit_close(h, s);
  unit_shut(h);
}

/* -- ends ----------------------------------------------------------------- */

static bool wait_for_close(unit_task *t) {
  char byte;
  intptr_t n = unit_read_some(t, t->arg, &byte, 1, FOREVER);
  if (n == PARKED_READ) return false;
  CAST_ALWAYS(n == CASTING_ECLOSED);
  return true;
}

static void close_wakes_who_waits(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(2);
  unit_session *s = unit_session_new();
  for (uint32_t i = 0; i < unit_times(500); i++) {
    cast_descriptor *d[2];
    unit_task *t;
    unit_pair(d);
    t = unit_spawn(s, wait_for_close, d[0]);
    if (i % 3 == 0)
      while (!cast_descriptor_is_awaited(d[0], CAST_READ)) os_cede();
    assert_true(cast_descriptor_close(d[0], &h->session.base));
    assert_false(cast_descriptor_close(d[0], &h->session.base));
    assert_false(cast_descriptor_begin(d[0]));
    unit_join(h, t);
    unit_unpair(d);
  }
  unit_close(h, s);
  unit_shut(h);
}

static void a_deadline_ends_the_wait(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_descriptor *d[2];
  char byte;
  unit_pair(d);
  for (int i = 0; i < 5; i++) {
    uint64_t until = os_now() + 3 * MS;
    assert_int_equal(
      unit_read_some(h->main, d[0], &byte, 1, until), CASTING_ETIMEOUT);
    assert_true(os_now() >= until);
  }
  unit_write_all(d[1], "z", 1);
  assert_int_equal(
    unit_read_some(h->main, d[0], &byte, 1, os_now() + PATIENCE_NS), 1);
  assert_int_equal(byte, 'z');
  unit_unpair(d);
  unit_shut(h);
}

/* -- several who accept --------------------------------------------------- */

static cast_descriptor *listener;
static _Atomic uint32_t naccepted;

static bool accept_all(unit_task *t) {
  int rc = unit_over(t) ? t->result : 0;
  for (;;) {
    os_address from;
    int fd;
    if (rc == CASTING_ECLOSED || !cast_descriptor_begin(listener)) return true;
    CAST_ALWAYS(rc == 0);
    cast_descriptor_try(listener, CAST_READ);
    fd = os_accept(listener->fd, &from);
    cast_descriptor_end(listener);
    if (fd >= 0) {
      cast_descriptor_pass(listener, CAST_READ, t->base.session);
      os_close(fd);
      unit_count(&naccepted);
      continue;
    }
    CAST_ALWAYS(fd == OS_EAGAIN);
    rc = unit_ready(t, listener, CAST_READ, FOREVER);
    if (rc == CAST_PARKED) return false;
  }
}

static void no_connection_is_stranded(void **state) {
  enum { TASKS = 12, SESSIONS = 3 };
  CAST_UNUSED(state);
  unit_host *h = unit_open(2);
  unit_session *s[SESSIONS];
  unit_task *t[TASKS];
  os_address at;
  uint32_t n = unit_times(2000);
  int fd = os_socket(OS_INET, false);
  assert_true(fd >= 0 && os_address_parse(&at, "127.0.0.1", 0));
  assert_int_equal(os_bind(fd, &at), 0);
  assert_int_equal(os_listen(fd, 0), 0);
  assert_int_equal(os_local_address(fd, &at), 0);
  listener = cast_descriptor_new(fd, CAST_ACCEPTS);
  unit_write(&naccepted, 0);
  for (int i = 0; i < SESSIONS; i++) s[i] = unit_session_new();
  for (int i = 0; i < TASKS; i++)
    t[i] = unit_spawn(s[i % SESSIONS], accept_all, NULL);
  for (uint32_t i = 0; i < n; i++) {
    int c = os_socket(OS_INET, false);
    int rc = os_connect(c, &at);
    assert_true(c >= 0 && (rc == 0 || rc == OS_EAGAIN));
    if (i % 16 == 0)
      while (unit_read(&naccepted) < i) os_cede();
    while (os_poll_now(c, OS_WRITABLE) == 0) os_cede();
    os_abort(c);
    os_close(c);
  }
  while (unit_read(&naccepted) < n) os_cede();
  cast_descriptor_close(listener, &h->session.base);
  for (int i = 0; i < TASKS; i++) unit_join(h, t[i]);
  cast_unref(&listener->object);
  for (int i = 0; i < SESSIONS; i++) unit_close(h, s[i]);
  unit_shut(h);
}

/* -- a pool that has something else to do --------------------------------- */

static _Atomic uint32_t over;

/* Computes for ever, on the only core. */
static bool compute(unit_task *t) {
  uint64_t until = os_now() + MS;
  if (unit_read(&over) != 0) return true;
  while (os_now() < until) os_relax();
  cast_task_yield(&t->base);
  return false;
}

static void bytes_come_beside_a_session_that_computes(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  unit_session *s = unit_session_new(), *busy = unit_session_new();
  cast_descriptor *d[2];
  player p[2];
  unit_task *t[2], *b;
  unit_write(&over, 0);
  unit_pair(d);
  b = unit_spawn(busy, compute, NULL);
  for (int k = 0; k < 2; k++) {
    p[k] = (player){d[k], 100, k == 0};
    t[k] = unit_spawn(k == 0 ? s : busy, play, &p[k]);
  }
  for (int k = 0; k < 2; k++) unit_join(h, t[k]);
  unit_write(&over, 1);
  unit_join(h, b);
  unit_unpair(d);
  unit_close(h, s);
  unit_close(h, busy);
  unit_shut(h);
}

/* A descriptor whose number the program has closed, and that is another's now,
   leaves the new one alone. */
static void a_number_that_was_lost(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_descriptor *d[2], *e[2];
  char byte;
  unit_pair(d);
  assert_int_equal(
    unit_read_some(h->main, d[0], &byte, 1, os_now() + MS), CASTING_ETIMEOUT);
  os_close(d[0]->fd);
  unit_pair(e);
  assert_int_equal(e[0]->fd, d[0]->fd);
  assert_false(cast_descriptor_begin(d[0]));
  unit_write_all(e[1], "q", 1);
  unit_unpair(d);
  assert_int_equal(
    unit_read_some(h->main, e[0], &byte, 1, os_now() + PATIENCE_NS), 1);
  unit_unpair(e);
  unit_shut(h);
}

/* Of two descriptors: writes to the second as soon as a task waits for the
   first. */
static bool write_when_awaited(unit_task *t) {
  cast_descriptor **d = t->arg;
  while (!cast_descriptor_is_awaited(d[0], CAST_READ)) os_cede();
  unit_write_all(d[1], "r", 1);
  return true;
}

/* A message in a channel of C's may keep a stream when all hosts have ended,
   and the set with them: the next runtime has another set. */
static void one_that_outlives_the_runtime(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  unit_session *s;
  unit_task *t;
  cast_descriptor *d[2];
  char byte;
  unit_pair(d);
  assert_int_equal(
    unit_read_some(h->main, d[0], &byte, 1, os_now() + MS), CASTING_ETIMEOUT);
  unit_shut(h);
  h = unit_open(1);
  assert_false(cast_poller_wanted_by_host());
  s = unit_session_new();
  t = unit_spawn(s, write_when_awaited, d);
  assert_int_equal(
    unit_read_some(h->main, d[0], &byte, 1, os_now() + PATIENCE_NS), 1);
  unit_join(h, t);
  unit_unpair(d);
  unit_close(h, s);
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(sockets_pass_bytes, unit_clean),
    cmocka_unit_test_teardown(a_host_polls_itself, unit_clean),
    cmocka_unit_test_teardown(a_host_talks_to_the_pool, unit_clean),
    cmocka_unit_test_teardown(close_wakes_who_waits, unit_clean),
    cmocka_unit_test_teardown(a_deadline_ends_the_wait, unit_clean),
    cmocka_unit_test_teardown(no_connection_is_stranded, unit_clean),
    cmocka_unit_test_teardown(
      bytes_come_beside_a_session_that_computes, unit_clean),
    cmocka_unit_test_teardown(a_number_that_was_lost, unit_clean),
    cmocka_unit_test_teardown(one_that_outlives_the_runtime, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
