/* faults.c - scratch */
#include "fixture.h"

#include <pthread.h>
#include <unistd.h>

#include "../../src/io/descriptor.h"
#include "../../src/os/socket.h"

static inline int unit_ready(
  unit_task *t, cast_descriptor *d, int side, uint64_t deadline) {
  CAST_ALWAYS(unit_reserve(t, deadline) == 0);
  return unit_wait(t, cast_descriptor_wait(d, side, &t->base), deadline);
}

static intptr_t unit_read_some(
  unit_task *t, cast_descriptor *d, void *to, size_t n, uint64_t deadline) {
  int rc = unit_over(t) ? t->result : 0;
  while (rc == 0) {
    intptr_t got;
    if (!cast_descriptor_begin(d)) return CASTING_ECLOSED;
    cast_descriptor_try(d, CAST_READ);
    got = os_read(d->fd, to, n);
    cast_descriptor_end(d);
    if (got != OS_EAGAIN) return got;
    rc = unit_ready(t, d, CAST_READ, deadline);
  }
  return rc == CAST_PARKED ? -CAST_PARKED - 5000 : rc;
}
#define PARKED_READ (-CAST_PARKED - 5000)

static void pair(cast_descriptor *d[2]) {
  int fd[2];
  CAST_ALWAYS(os_socket_pair(fd) == 0);
  for (int i = 0; i < 2; i++) {
    d[i] = cast_descriptor_new(fd[i], 0);
    CAST_ALWAYS(d[i] != NULL);
  }
}
static void unpair(cast_descriptor *d[2]) {
  for (int i = 0; i < 2; i++) cast_unref(&d[i]->object);
}

static bool read_one(unit_task *t) {
  char byte;
  intptr_t n = unit_read_some(t, t->arg, &byte, 1, FOREVER);
  if (n == PARKED_READ) return false;
  return true;
}

static _Atomic uint32_t got;
static bool read_and_count(unit_task *t) {
  char byte;
  intptr_t n = unit_read_some(t, t->arg, &byte, 1, FOREVER);
  if (n == PARKED_READ) return false;
  if (n == 1) unit_count(&got);
  return true;
}

typedef struct late { int fd; unsigned ms; } late;
static void *write_late(void *arg) {
  late *l = arg;
  usleep(l->ms * 1000);
  CAST_ALWAYS(write(l->fd, "x", 1) == 1);
  return NULL;
}

static bool close_later(unit_task *t) {
  if (t->at++ == 0) return unit_sleep(t, os_now() + 50 * MS), false;
  (void)unit_over(t);
  cast_descriptor_close(t->arg, t->base.session);
  return true;
}

/* F1 */
static void a_host_relies_on_a_worker(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  unit_session *s = unit_session_new(), *s2 = unit_session_new();
  cast_descriptor *a[2], *b[2];
  pthread_t writer;
  char byte;
  pair(a);
  pair(b);
  unit_task *t = unit_spawn(s, read_one, a[0]);
  while (!cast_descriptor_is_awaited(a[0], CAST_READ)) os_cede();
  while (!cast_poller_taken() || cast_sched_busy() != 0) os_cede();
  unit_task *t2 = unit_spawn(s2, close_later, a[0]);
  while (cast_sched_busy() != 0 || !cast_poller_taken()) os_cede();
  late l = {b[1]->fd, 300};
  CAST_ALWAYS(pthread_create(&writer, NULL, write_late, &l) == 0);
  intptr_t n = unit_read_some(h->main, b[0], &byte, 1, os_now() + 1500 * MS);
  printf("F1: host read %d (1 is good)\n", (int)n);
  pthread_join(writer, NULL);
  unit_join(h, t);
  unit_join(h, t2);
  unpair(a);
  unpair(b);
  unit_close(h, s);
  unit_close(h, s2);
  unit_shut(h);
}

/* F2: a shared descriptor, waited for in the pool and then by the host. */
static void a_host_waits_for_a_shared_one(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  unit_session *s = unit_session_new(), *s2 = unit_session_new();
  cast_descriptor *a[2], *c[2];
  char byte;
  pair(a);
  pair(c);
  unit_write(&got, 0);
  unit_task *t = unit_spawn(s, read_and_count, a[0]);
  while (!cast_descriptor_is_awaited(a[0], CAST_READ)) os_cede();
  while (!cast_poller_taken() || cast_sched_busy() != 0) os_cede();
  (void)unit_read_some(h->main, a[0], &byte, 1, os_now() + 20 * MS);
  /* the worker leaves the poller once */
  unit_task *t2 = unit_spawn(s2, close_later, c[0]);
  unit_join(h, t2);
  while (cast_sched_busy() != 0) os_cede();
  usleep(100000);
  CAST_ALWAYS(write(a[1]->fd, "x", 1) == 1);
  usleep(500000); /* the main program computes */
  printf("F2: pool read %u after 0.5 s (1 is good)\n", unit_read(&got));
  unit_join(h, t);
  unpair(a);
  unpair(c);
  unit_close(h, s);
  unit_close(h, s2);
  unit_shut(h);
}

/* F3: a task of the host that yields for ever. */
static _Atomic uint32_t over;
static bool yield_for_long(unit_task *t) {
  if (t->at++ == 0) t->n = os_now() + 1000 * MS;
  if (os_now() > t->n) return true;
  cast_task_yield(&t->base);
  return false;
}
static void a_host_that_is_never_idle(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_descriptor *a[2];
  pair(a);
  unit_write(&got, 0);
  unit_task *t = unit_task_new(&h->session.base, read_and_count, a[0]);
  unit_task *y = unit_task_new(&h->session.base, yield_for_long, NULL);
  assert_int_equal(cast_task_start(&t->base, &h->session.base), 0);
  assert_int_equal(cast_task_start(&y->base, &h->session.base), 0);
  late l = {a[1]->fd, 100};
  pthread_t writer;
  CAST_ALWAYS(pthread_create(&writer, NULL, write_late, &l) == 0);
  uint64_t from = os_now();
  unit_join(h, t);
  printf("F3: %d ms (100 is good, 1000 is starvation)\n",
    (int)((os_now() - from) / MS));
  unit_join(h, y);
  pthread_join(writer, NULL);
  unpair(a);
  unit_shut(h);
}

static bool never(void *arg) { CAST_UNUSED(arg); return false; }

/* F6: poll with no time to wait */
static void a_host_that_polls_at_once(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_descriptor *a[2];
  pair(a);
  unit_write(&got, 0);
  unit_task *t = unit_task_new(&h->session.base, read_and_count, a[0]);
  assert_int_equal(cast_task_start(&t->base, &h->session.base), 0);
  CAST_ALWAYS(cast_host_reserve(&h->host) == 0);
  h->session.inside = false;
  for (int i = 0; i < 50; i++) {
    if (i == 10) CAST_ALWAYS(write(a[1]->fd, "x", 1) == 1);
    cast_host_poll(&h->host, 0, never, NULL);
    usleep(10000);
  }
  h->session.inside = true;
  printf("F6: polled read %u (1 is good)\n", unit_read(&got));
  unit_join(h, t);
  unpair(a);
  unit_shut(h);
}

/* F5: a second host sleeps in the poller for the first one. */
static cast_chan *never_sent;
static _Atomic uint32_t second;
static void *second_host(void *arg) {
  unit_host *h;
  CAST_UNUSED(arg);
  CAST_ALWAYS(unit_host_make(&h, &unit_host_ops) == 0);
  unit_write(&second, 1);
  (void)unit_sleep(h->main, os_now() + 400 * MS);
  while (unit_read(&second) != 2) os_cede();
  unit_shut(h);
  return NULL;
}
static void two_hosts(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_descriptor *a[2];
  pair(a);
  unit_write(&got, 0);
  unit_write(&second, 0);
  unit_task *t = unit_task_new(&h->session.base, read_and_count, a[0]);
  assert_int_equal(cast_task_start(&t->base, &h->session.base), 0);
  (void)unit_sleep(h->main, os_now() + 20 * MS); /* t waits for a[0] */
  pthread_t other, writer;
  CAST_ALWAYS(pthread_create(&other, NULL, second_host, NULL) == 0);
  while (unit_read(&second) == 0) os_cede();
  usleep(100000); /* the main program computes; the other one has the token */
  printf("F5: the token is %s\n", cast_poller_taken() ? "taken" : "free");
  late l = {a[1]->fd, 700};
  CAST_ALWAYS(pthread_create(&writer, NULL, write_late, &l) == 0);
  int rc = unit_event(h->main, &t->base.done, os_now() + 2000 * MS);
  printf("F5: host waited: %d (0 is good)\n", rc);
  pthread_join(writer, NULL);
  unit_join(h, t);
  unit_write(&second, 2);
  pthread_join(other, NULL);
  unpair(a);
  unit_shut(h);
}

/* F4: with two hosts the first wait is counted as the pool's, and nobody is
   woken to look. */
static void *idle_host(void *arg) {
  unit_host *h;
  CAST_UNUSED(arg);
  CAST_ALWAYS(unit_host_make(&h, &unit_host_ops) == 0);
  unit_write(&second, 1);
  while (unit_read(&second) != 2) usleep(1000);
  unit_shut(h);
  return NULL;
}
static void two_hosts_first_wait(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(1);
  cast_descriptor *a[2];
  char byte;
  pair(a);
  unit_write(&second, 0);
  pthread_t other, writer;
  CAST_ALWAYS(pthread_create(&other, NULL, idle_host, NULL) == 0);
  while (unit_read(&second) == 0) os_cede();
  while (!cast_sysmon_is_asleep()) os_cede();
  late l = {a[1]->fd, 5};
  CAST_ALWAYS(pthread_create(&writer, NULL, write_late, &l) == 0);
  uint64_t from = os_now();
  intptr_t n = unit_read_some(h->main, a[0], &byte, 1, os_now() + 2000 * MS);
  printf("F4: read %d after %d ms (5 is good)\n", (int)n,
    (int)((os_now() - from) / MS));
  pthread_join(writer, NULL);
  unit_write(&second, 2);
  pthread_join(other, NULL);
  unpair(a);
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_host_relies_on_a_worker),
    cmocka_unit_test(a_host_waits_for_a_shared_one),
    cmocka_unit_test(a_host_that_is_never_idle),
    cmocka_unit_test(a_host_that_polls_at_once),
    cmocka_unit_test(two_hosts),
    cmocka_unit_test(two_hosts_first_wait),
  };
  CAST_UNUSED(never_sent);
  CAST_UNUSED(over);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
