/* select_files.c - tests of select with descriptors among its cases.
   SPDX-License-Identifier: MIT

   First with one thread, events being dealt out by hand, then in sessions on
   several cores. */
#include "sockets.h"

#include <fcntl.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/epoll.h>
#endif

enum { TASKS = 4, CASES = 3 };

static unit_session *still;
static unit_task *task[TASKS];
static cast_case cases[TASKS][CASES];
static cast_chan *chan;
static cast_descriptor *ends[2];

static void begin(void) {
  still = unit_still();
  memset(cases, 0, sizeof cases);
  for (size_t i = 0; i < TASKS; i++)
    task[i] = unit_task_new(&still->base, NULL, NULL);
  chan = cast_chan_new(1);
  unit_pair(ends);
  assert_non_null(chan);
}

static void finish(void) {
  for (size_t i = 0; i < TASKS; i++) {
    for (size_t k = 0; k < CASES; k++) cast_msg_drop(&cases[i][k].waiter.msg);
    cast_unref(&task[i]->base.object);
  }
  cast_unref(&chan->object);
  unit_unpair(ends);
  unit_still_end(still);
  cast_poller_fini();
  cast_descriptors_fini();
}

static void set_file(size_t i, size_t k, cast_descriptor *d, int side) {
  memset(&cases[i][k], 0, sizeof cases[i][k]);
  cases[i][k].file = d;
  cases[i][k].side = (uint8_t)side;
}

/* What task i selects: to receive from the channel, or to read from ends[0]. */
static void set_both(size_t i) {
  memset(&cases[i][0], 0, sizeof cases[i][0]);
  cases[i][0].chan = chan;
  set_file(i, 1, ends[0], CAST_READ);
}

static int start(size_t i, uint32_t n, uint32_t *which) {
  return cast_select_files(&still->base, &task[i]->base, cases[i], n, which);
}

static int try(size_t i, uint32_t n, uint32_t *which) {
  return cast_select_files(&still->base, NULL, cases[i], n, which);
}

/* As the poller does, when the set has told of it. */
static void deal(cast_descriptor *d, uint32_t what) {
  os_ready e = {(uint64_t)d->generation << 32 | d->place, what};
  cast_jobs jobs = {NULL, NULL, 0};
  cast_descriptors_dispatch(&e, 1, &still->base, &jobs);
  assert_int_equal(jobs.n, 0);
}

static void expect_ready(size_t i, uint32_t k, uint32_t n, int result) {
  unit_task *t = unit_still_next(still);
  assert_ptr_equal(t, task[i]);
  assert_int_equal(t->base.wait.result, result);
  assert_int_equal(t->base.wait.index, k);
  cast_wait_done(&t->base);
  cast_select_done(cases[i], n);
}

static void send(uint64_t v) {
  cast_waiter w;
  memset(&w, 0, sizeof w);
  unit_put(&w.msg, v, ~v);
  assert_int_equal(cast_chan_send(chan, &still->base, NULL, &w), 0);
}

/* -- the tests ------------------------------------------------------------ */

static void ready_at_once(void **state) {
  CAST_UNUSED(state);
  uint32_t which = 9;
  begin();
  set_both(0);
  assert_int_equal(try(0, 2, &which), CASTING_EEMPTY);
  unit_write_all(ends[1], "x", 1);
  for (int round = 0; round < 2; round++) {
    set_both(0);
    assert_int_equal(try(0, 2, &which), 0);
    assert_int_equal(which, 1);
    set_both(0);
    assert_int_equal(start(0, 2, &which), 0);
    assert_int_equal(which, 1);
  }
  /* Found before an event has told of it: as if one had. */
  assert_true(cast_descriptor_is_ready(ends[0], CAST_READ));
  /* What the caller knows by itself counts, and needs no descriptor. */
  memset(&cases[1][0], 0, sizeof cases[1][0]);
  cases[1][0].ready = CAST_FILE_READY;
  assert_int_equal(try(1, 1, &which), 0);
  assert_int_equal(which, 0);
  finish();
}

static void an_event_ends_it(void **state) {
  CAST_UNUSED(state);
  uint32_t which;
  begin();
  for (int round = 0; round < 3; round++) {
    set_both(0);
    assert_int_equal(start(0, 2, &which), CAST_PARKED);
    assert_true(cast_descriptor_is_awaited(ends[0], CAST_READ));
    deal(ends[0], OS_WRITABLE);
    assert_null(unit_still_next(still));
    deal(ends[0], OS_READABLE);
    expect_ready(0, 1, 2, 0);
    assert_false(cast_descriptor_is_awaited(ends[0], CAST_READ));
    assert_int_equal(chan->selecting, 0);
    /* There was nothing: that event is forgotten, and the select waits. */
    assert_true(cast_descriptor_is_ready(ends[0], CAST_READ));
  }
  finish();
}

static void a_channel_ends_it(void **state) {
  CAST_UNUSED(state);
  uint32_t which;
  begin();
  for (uint64_t round = 1; round <= 3; round++) {
    set_both(0);
    assert_int_equal(start(0, 2, &which), CAST_PARKED);
    send(round);
    deal(ends[0], OS_READABLE); /* too late */
    expect_ready(0, 0, 2, 0);
    assert_null(unit_still_next(still));
    assert_false(cast_descriptor_is_awaited(ends[0], CAST_READ));
    cast_msg_drop(&cases[0][0].waiter.msg);
  }
  finish();
}

static void closed(void **state) {
  CAST_UNUSED(state);
  uint32_t which;
  begin();
  set_both(0);
  assert_int_equal(start(0, 2, &which), CAST_PARKED);
  assert_true(cast_descriptor_close(ends[0], &still->base));
  expect_ready(0, 1, 2, CASTING_ECLOSED);
  set_both(0);
  assert_int_equal(start(0, 2, &which), 0);
  assert_int_equal(which, 1);
  assert_int_equal(cases[0][1].ready, CAST_FILE_CLOSED);
  finish();
}

/* What the set refuses is ready, and so is a number of nothing. */
static void refused(void **state) {
  CAST_UNUSED(state);
  uint32_t which;
  int fd = open("/dev/null", O_RDONLY);
  cast_descriptor *d = cast_descriptor_borrow(fd);
  begin();
  assert_true(fd >= 0 && d != NULL);
  set_file(0, 0, d, CAST_READ);
  assert_int_equal(start(0, 1, &which), 0);
  assert_int_equal(cases[0][0].ready, CAST_FILE_READY);
  assert_int_equal(close(fd), 0);
  set_file(0, 0, d, CAST_READ);
  assert_int_equal(start(0, 1, &which), 0);
  assert_int_equal(cases[0][0].ready, CAST_FILE_BAD);
  cast_unref(&d->object);
  finish();
}

#if defined(__linux__)
/* The set has no room, which is found out when the select stands in the queue
   of the channel already: it leaves that, and nothing has happened. */
static void called_off_by_itself(void **state) {
  enum { NESTS = 6 }; /* sets within sets, more than the kernel allows */
  CAST_UNUSED(state);
  uint32_t which;
  int fd[NESTS];
  cast_descriptor *d;
  begin();
  for (int i = 0; i < NESTS; i++) {
    struct epoll_event e = {.events = EPOLLIN};
    fd[i] = epoll_create1(EPOLL_CLOEXEC);
    assert_true(fd[i] >= 0);
    if (i > 0 && epoll_ctl(fd[i], EPOLL_CTL_ADD, fd[i - 1], &e) != 0) {
      assert_int_equal(close(fd[i]), 0);
      fd[i] = fd[i - 1];
    }
  }
  d = cast_descriptor_borrow(fd[NESTS - 1]);
  for (int round = 0; round < 2; round++) {
    set_both(0);
    set_file(0, 2, d, CAST_READ);
    assert_int_equal(start(0, 3, &which), CASTING_ENOMEM);
    assert_int_equal(chan->selecting, 0);
    assert_false(cast_descriptor_is_awaited(ends[0], CAST_READ));
    send(1);
    deal(ends[0], OS_READABLE);
    assert_null(unit_still_next(still));
    set_both(0);
    assert_int_equal(try(0, 1, &which), 0);
    cast_msg_drop(&cases[0][0].waiter.msg);
  }
  cast_unref(&d->object);
  for (int i = 0; i < NESTS; i++)
    if (i == 0 || fd[i] != fd[i - 1]) assert_int_equal(close(fd[i]), 0);
  finish();
}
#else
static void called_off_by_itself(void **state) { CAST_UNUSED(state); }
#endif

/* Of those that wait for a listener an event wakes the selects, up to the first
   task that accepts; and a select that finds a connection tells that one. */
static void beside_those_who_accept(void **state) {
  CAST_UNUSED(state);
  uint32_t which;
  cast_descriptor *d;
  os_address a;
  int fd, client;
  begin();
  assert_true(os_address_parse(&a, "127.0.0.1", 0));
  fd = os_socket(OS_INET, false);
  assert_int_equal(os_bind(fd, &a), 0);
  assert_int_equal(os_listen(fd, 0), 0);
  assert_int_equal(os_local_address(fd, &a), 0);
  d = cast_descriptor_new(fd, CAST_ACCEPTS);
  for (size_t i = 0; i < 3; i++) {
    set_file(i, 0, d, CAST_READ);
    if (i != 1) assert_int_equal(start(i, 1, &which), CAST_PARKED);
    if (i == 1)
      assert_int_equal(
        cast_descriptor_wait(d, CAST_READ, &task[1]->base), CAST_PARKED);
  }
  deal(d, OS_READABLE);
  expect_ready(0, 0, 1, 0);
  assert_ptr_equal(unit_still_next(still), task[1]);
  cast_wait_done(&task[1]->base);
  assert_null(unit_still_next(still)); /* the third waits on */
  cast_descriptor_try(d, CAST_READ);
  assert_int_equal(
    cast_descriptor_wait(d, CAST_READ, &task[1]->base), CAST_PARKED);
  client = os_socket(OS_INET, false);
  assert_true(
    os_connect(client, &a) == 0 || os_poll_now(client, OS_WRITABLE) != 0);
  set_file(0, 0, d, CAST_READ);
  assert_int_equal(try(0, 1, &which), 0);
  expect_ready(2, 0, 1, 0);
  assert_ptr_equal(unit_still_next(still), task[1]);
  cast_wait_done(&task[1]->base);
  os_close(client);
  cast_unref(&d->object);
  finish();
}

static void the_choice_is_fair(void **state) {
  CAST_UNUSED(state);
  uint32_t which, n[3] = {0, 0, 0};
  begin();
  unit_write_all(ends[1], "x", 1);
  for (int round = 0; round < 3000; round++) {
    if (cast_chan_len(chan) == 0) send(5);
    set_both(0);
    set_file(0, 2, ends[0], CAST_WRITE);
    assert_int_equal(try(0, 3, &which), 0);
    if (which == 0) cast_msg_drop(&cases[0][0].waiter.msg);
    n[which]++;
  }
  for (int i = 0; i < 3; i++) assert_in_range(n[i], 800, 1200);
  finish();
}

/* The owner ends the wait: for a deadline, say. */
static void called_off(void **state) {
  CAST_UNUSED(state);
  uint32_t which;
  begin();
  set_both(0);
  assert_int_equal(start(0, 2, &which), CAST_PARKED);
  assert_true(cast_wait_end(&task[0]->base, CASTING_ETIMEOUT));
  deal(ends[0], OS_READABLE);
  assert_ptr_equal(unit_still_next(still), task[0]);
  assert_int_equal(task[0]->base.wait.result, CASTING_ETIMEOUT);
  cast_wait_done(&task[0]->base);
  cast_select_done(cases[0], 2);
  assert_null(unit_still_next(still));
  assert_false(cast_descriptor_is_awaited(ends[0], CAST_READ));
  finish();
}

/* -- many threads --------------------------------------------------------- */

/* One of a pair of tasks: what the first writes into the socket the second
   answers through a channel; each waits for its end of the socket and for its
   channel. */
typedef struct player {
  cast_descriptor *d;
  cast_chan *c;     /* that it receives from */
  cast_chan *reply; /* that it sends to */
  uint64_t rounds;
  bool first;
  cast_case cases[2];
} player;

/* As unit_select. A select that was told of nothing is begun anew. */
static int wait_for_either(unit_task *t, player *p) {
  int rc;
  CAST_ALWAYS(unit_reserve(t, FOREVER) == 0);
  memset(p->cases, 0, sizeof p->cases);
  p->cases[0].file = p->d;
  p->cases[0].side = CAST_READ;
  p->cases[1].chan = p->c;
  rc = cast_select_files(t->base.session, &t->base, p->cases, 2, &t->which);
  if (rc == CAST_PARKED) {
    t->cases = p->cases;
    t->ncases = 2;
  }
  return unit_wait(t, rc, FOREVER);
}

static void step(unit_task *t, player *p) {
  if (p->first) {
    unit_write_all(p->d, "x", 1);
    return;
  }
  cast_waiter w;
  memset(&w, 0, sizeof w);
  unit_put(&w.msg, t->n, ~t->n);
  CAST_ALWAYS(cast_chan_send(p->reply, t->base.session, NULL, &w) == 0);
}

static bool has_read(player *p) {
  char byte;
  intptr_t n;
  CAST_ALWAYS(cast_descriptor_begin(p->d));
  cast_descriptor_try(p->d, CAST_READ);
  n = os_read(p->d->fd, &byte, 1);
  cast_descriptor_end(p->d);
  CAST_ALWAYS(n == 1 || n == OS_EAGAIN);
  return n == 1;
}

static bool play(unit_task *t) {
  player *p = t->arg;
  bool over = unit_over(t);
  int rc = t->result;
  if (!over && t->at++ == 0 && p->first) step(t, p);
  for (;;) {
    uint64_t v, check;
    if (!over) rc = wait_for_either(t, p);
    over = false;
    if (rc == CAST_PARKED) return false;
    CAST_ALWAYS(rc == 0 && (p->first || t->which == 0));
    if (t->which == 0 && !has_read(p)) continue;
    CAST_ALWAYS(t->which == (p->first ? 1u : 0u));
    if (p->first) {
      unit_get(&p->cases[1].waiter.msg, &v, &check);
      cast_msg_drop(&p->cases[1].waiter.msg);
      CAST_ALWAYS(v == t->n && check == ~v);
    } else {
      step(t, p);
    }
    if (++t->n == p->rounds) return true;
    if (p->first) step(t, p);
  }
}

/* Events that tell of nothing, at any time: also between a look and the place
   in the queue. */
static bool make_noise(unit_task *t) {
  cast_descriptor *(*d)[2] = t->arg;
  for (uint32_t i = 0; i < unit_times(200000); i++)
    cast_descriptor_pass(d[i % 6][i / 6 % 2], CAST_READ, t->base.session);
  return true;
}

static void on_many_threads(void **state) {
  enum { PAIRS = 6 };
  CAST_UNUSED(state);
  for (int way = 0; way < 4; way++) {
    unit_host *h = unit_open(1 + way % 2);
    unit_session *s[2] = {unit_session_new(), unit_session_new()};
    cast_descriptor *d[PAIRS][2];
    cast_chan *c[PAIRS][2];
    player p[PAIRS][2];
    unit_task *t[PAIRS][2], *noise;
    for (int i = 0; i < PAIRS; i++) {
      unit_pair(d[i]);
      for (int k = 0; k < 2; k++) c[i][k] = cast_chan_new(1);
      for (int k = 0; k < 2; k++) {
        p[i][k] = (player){.d = d[i][k],
          .c = c[i][k],
          .reply = c[i][1 - k],
          .rounds = unit_times(2000),
          .first = k == 0};
        t[i][k] = unit_spawn_as(
          NULL, s[k], play, &p[i][k], (way & 2) != 0 && i % 2 == 0);
      }
    }
    noise = unit_spawn(s[way % 2], make_noise, d);
    unit_join(h, noise);
    for (int i = 0; i < PAIRS; i++) {
      for (int k = 0; k < 2; k++) unit_join(h, t[i][k]);
      unit_unpair(d[i]);
      for (int k = 0; k < 2; k++) cast_unref(&c[i][k]->object);
    }
    unit_close(h, s[0]);
    unit_close(h, s[1]);
    unit_shut(h);
  }
}

int main(void) {
  const struct CMUnitTest list[] = {
    cmocka_unit_test_teardown(ready_at_once, unit_clean),
    cmocka_unit_test_teardown(an_event_ends_it, unit_clean),
    cmocka_unit_test_teardown(a_channel_ends_it, unit_clean),
    cmocka_unit_test_teardown(closed, unit_clean),
    cmocka_unit_test_teardown(refused, unit_clean),
    cmocka_unit_test_teardown(called_off_by_itself, unit_clean),
    cmocka_unit_test_teardown(beside_those_who_accept, unit_clean),
    cmocka_unit_test_teardown(the_choice_is_fair, unit_clean),
    cmocka_unit_test_teardown(called_off, unit_clean),
    cmocka_unit_test_teardown(on_many_threads, unit_clean),
  };
  return cmocka_run_group_tests(list, NULL, NULL);
}
