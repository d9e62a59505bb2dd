/* runtime.c - tests of start and stop, of names, and of doing nothing.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <dirent.h>

/* -- start and stop ------------------------------------------------------- */

static bool end_at_once(unit_task *t) {
  CAST_UNUSED(t);
  return true;
}

static void started_and_stopped(void **state) {
  CAST_UNUSED(state);
  for (uint32_t round = 0; round < unit_times(400); round++) {
    unit_host *h = unit_open(1 + round % 3);
    uint32_t n = round % 4;
    unit_session *s[4];
    unit_task *t[4];
    for (uint32_t i = 0; i < n; i++) {
      s[i] = unit_session_new();
      t[i] = unit_spawn(s[i], end_at_once, NULL);
    }
    for (uint32_t i = 0; i < n; i++) {
      if (round % 2 == 0)
        unit_join(h, t[i]);
      else
        cast_unref(&t[i]->base.object);
      unit_close(h, s[i]);
    }
    unit_shut(h);
    assert_int_equal(cast_mem_live(), unit_lost);
  }
}

static void started_once_for_all(void **state) {
  CAST_UNUSED(state);
  assert_int_equal(cast_runtime_ref(), 0);
  assert_int_equal(cast_sched_first(), 0);
  for (int i = 0; i < 3; i++) assert_int_equal(cast_runtime_ref(), 0);
  assert_true(cast_sched_workers() == 1);
  for (int i = 0; i < 3; i++) cast_runtime_unref(true);
  assert_true(cast_sched_workers() == 1);
  cast_runtime_unref(true);
  assert_true(cast_sched_workers() == 0);
}

/* Hosts come and go, in threads of their own. */
static void come_and_go(void *arg) {
  uint64_t seed = (uintptr_t)arg;
  for (uint32_t i = 0; i < unit_times(200); i++) {
    CAST_ALWAYS(cast_runtime_ref() == 0);
    if (unit_random(&seed) % 2 == 0) CAST_ALWAYS(cast_sched_first() == 0);
    if (unit_random(&seed) % 3 == 0) {
      unit_host *h;
      CAST_ALWAYS(unit_host_make(&h, &unit_host_ops) == 0);
      unit_session *s = unit_session_new();
      unit_join(h, unit_spawn(s, end_at_once, NULL));
      unit_close(h, s);
      unit_shut(h);
    }
    cast_runtime_unref(true);
  }
}

static void started_by_several(void **state) {
  CAST_UNUSED(state);
  os_thread thread[3];
  for (uintptr_t i = 0; i < 3; i++)
    assert_int_equal(
      os_thread_start(&thread[i], come_and_go, (void *)(i + 1), "host"), 0);
  for (int i = 0; i < 3; i++) os_thread_join(&thread[i]);
}

static bool spin_on(unit_task *t) {
  unit_write(t->arg, 1);
  while (unit_read(t->arg) < 3) os_cede();
  return true;
}

/* A session that cannot be closed: the runtime stays, for ever, and is used
   again. In a process of its own. */
static void leave_one_behind(void *arg) {
  static _Atomic uint32_t stage;
  unit_host *h = unit_open(2);
  unit_session *s = unit_session_new();
  unit_task *t = unit_spawn(s, spin_on, &stage);
  while (unit_read(&stage) == 0) os_cede();
  CAST_UNUSED(arg);
  /* As the end of a host does when its patience is over. */
  cast_session *own = &h->session.base;
  cast_session_end(own);
  cast_host_fini(&h->host);
  cast_unref(&h->main->base.object);
  cast_unref(&own->object);
  cast_session_unref_weak(own);
  cast_runtime_unref(false);
  CAST_ALWAYS(cast_sched_workers() > 0);
  /* A later host meets it. */
  h = unit_open(2);
  unit_session *other = unit_session_new();
  unit_join(h, unit_spawn(other, end_at_once, NULL));
  unit_write(&stage, 3);
  unit_join(h, t);
  unit_close(h, s);
  unit_close(h, other);
  unit_shut(h);
  CAST_ALWAYS(cast_sched_workers() > 0);
}

static void stays_if_one_is_stuck(void **state) {
  CAST_UNUSED(state);
  if (unit_valgrind()) skip();
  assert_false(unit_dies(leave_one_behind, NULL));
}

/* -- limits --------------------------------------------------------------- */

static void threads(
  uint32_t min, uint32_t max, uint32_t new_min, uint32_t new_max) {
  cast_runtime_threads(&min, &max);
  assert_int_equal(min, new_min);
  assert_int_equal(max, new_max);
}

static void limits_of_the_pool(void **state) {
  CAST_UNUSED(state);
  uint32_t min = 0, max = 0;
  cast_runtime_threads(&min, &max);
  assert_true(min >= 1 && max >= min);
  for (int started = 0; started < 2; started++) {
    if (started) assert_int_equal(cast_runtime_ref(), 0);
    threads(1, 8, 1, 8);
    threads(0, 4, 1, 4);
    threads(3, 0, 3, 4);
    threads(0, 0, 3, 4);
    threads(6, 0, 6, 6); /* the other one follows */
    threads(0, 2, 2, 2);
    threads(5, 3, 3, 3);
    threads(min, max, min, max);
    if (started) cast_runtime_unref(true);
  }
}

/* -- names ---------------------------------------------------------------- */

static cast_chan *named(const char *name, size_t capacity, int expected) {
  int rc = 99;
  cast_chan *c = cast_runtime_named(name, strlen(name), &capacity, &rc);
  assert_int_equal(rc, expected);
  assert_true((c != NULL) == (rc == 0));
  return c;
}

static void names_of_channels(void **state) {
  CAST_UNUSED(state);
  int rc;
  unit_host *h = unit_open(1);
  cast_chan *a = named("a", 3, 0), *b = named("b", 0, 0);
  assert_ptr_not_equal(a, b);
  assert_int_equal(a->capacity, 3);
  assert_ptr_equal(named("a", 3, 0), a);
  assert_int_equal(a->object.refs, 3);
  assert_null(named("a", 4, CASTING_EINVAL));
  assert_ptr_equal(cast_runtime_named("a", 1, NULL, &rc), a);
  cast_chan *none = cast_runtime_named("", 0, NULL, &rc);
  assert_int_equal(none->capacity, 0);
  /* Names are bytes; one may begin with another. */
  cast_chan *bytes = cast_runtime_named("a\0b", 3, NULL, &rc);
  assert_ptr_not_equal(bytes, a);
  assert_ptr_equal(cast_runtime_named("a\0b", 3, NULL, &rc), bytes);
  /* Found again until closed, then made anew, with any capacity. */
  assert_true(cast_chan_close(a, NULL));
  cast_chan *again = named("a", 4, 0);
  assert_ptr_not_equal(again, a);
  assert_int_equal(a->object.refs, 3); /* the registry has forgotten it */
  for (int i = 0; i < 3; i++) cast_unref(&a->object);
  for (int i = 0; i < 2; i++) cast_unref(&bytes->object);
  cast_unref(&again->object);
  cast_unref(&none->object);
  assert_ptr_equal(named("b", 0, 0), b);
  for (int i = 0; i < 2; i++) cast_unref(&b->object);
  unit_shut(h); /* lets go of the others */
  assert_int_equal(cast_mem_live(), unit_lost);
}

static void no_memory_for_a_name(void **state) {
  CAST_UNUSED(state);
  int rc;
  unit_host *h = unit_open(1);
  cast_chan *c = NULL;
  for (uint64_t n = 1; n < 4; n++) {
    cast_mem_fail_at(n);
    c = cast_runtime_named("x", 1, NULL, &rc);
    cast_mem_fail_at(0);
    assert_int_equal(rc, n < 3 ? CASTING_ENOMEM : 0);
    assert_true((c != NULL) == (n == 3));
  }
  cast_unref(&c->object);
  unit_shut(h);
}

/* Whoever asks for a name at the same time gets the same channel. */
enum { ASKERS = 3, NAMES = 5 };
static cast_chan *found[ASKERS][NAMES];

static void ask(void *arg) {
  uintptr_t me = (uintptr_t)arg;
  int rc;
  for (uint32_t i = 0; i < unit_times(2000); i++) {
    char name[2] = {(char)('a' + i % NAMES), 0};
    cast_chan *c = cast_runtime_named(name, 1, NULL, &rc);
    CAST_ALWAYS(rc == 0);
    if (found[me][i % NAMES] == NULL)
      found[me][i % NAMES] = c;
    else
      cast_unref(&c->object);
    CAST_ALWAYS(found[me][i % NAMES] == c);
    if (i % 50 == 49) { /* and another, which is closed again */
      c = cast_runtime_named("z", 1, NULL, &rc);
      cast_chan_close(c, NULL);
      cast_unref(&c->object);
    }
  }
}

static void names_asked_for_by_many(void **state) {
  CAST_UNUSED(state);
  os_thread thread[ASKERS];
  memset(found, 0, sizeof found);
  unit_host *h = unit_open(1);
  for (uintptr_t i = 0; i < ASKERS; i++)
    assert_int_equal(os_thread_start(&thread[i], ask, (void *)i, "ask"), 0);
  for (int i = 0; i < ASKERS; i++) os_thread_join(&thread[i]);
  for (int k = 0; k < NAMES; k++)
    for (int i = 0; i < ASKERS; i++) {
      assert_ptr_equal(found[i][k], found[0][k]);
      if (i > 0) cast_unref(&found[i][k]->object);
    }
  for (int k = 0; k < NAMES; k++) cast_unref(&found[0][k]->object);
  unit_shut(h);
}

/* -- doing nothing -------------------------------------------------------- */

/* How often the threads of casting have gone to sleep so far; their count. */
static uint64_t sleeps(uint32_t *count) {
  uint64_t sum = 0;
  *count = 0;
  DIR *dir = opendir("/proc/self/task");
  assert_non_null(dir);
  for (struct dirent *d; (d = readdir(dir)) != NULL;) {
    char path[300], line[200];
    bool ours = false;
    (void)snprintf(path, sizeof path, "/proc/self/task/%s/status", d->d_name);
    FILE *f = d->d_name[0] != '.' ? fopen(path, "r") : NULL;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
      unsigned long long n;
      if (strncmp(line, "Name:\tcasting", 13) == 0) ours = true;
      if (sscanf(line, "voluntary_ctxt_switches: %llu", &n) == 1 && ours) {
        sum += n;
        ++*count;
      }
    }
    if (f != NULL) (void)fclose(f);
  }
  (void)closedir(dir);
  return sum;
}

static void nap(uint64_t ns) {
  static _Atomic uint32_t never;
  uint64_t until = os_now() + ns;
  while (os_now() < until) (void)os_wait(&never, 0, until);
}

static bool wait_for_ever(unit_task *t) {
  if (unit_over(t)) return true;
  (void)unit_sleep(t, t->n != 0 ? t->n : FOREVER);
  return false;
}

/* Sessions wait, some with a deadline far away: no thread of ours wakes up. */
static void idle_makes_no_wake_ups(void **state) {
  CAST_UNUSED(state);
  enum { SESSIONS = 8 };
  unit_host *h = unit_open(3);
  unit_session *s[SESSIONS];
  uint32_t n = 0, before = 0;
  for (int i = 0; i < SESSIONS; i++) {
    s[i] = unit_session_new();
    unit_task *t = unit_task_new(&s[i]->base, wait_for_ever, NULL);
    t->n = i % 2 == 0 ? os_now() + PATIENCE_NS : 0;
    assert_int_equal(cast_task_start(&t->base, NULL), 0);
    cast_unref(&t->base.object);
  }
  uint64_t patience = os_now() + PATIENCE_NS, last, now = sleeps(&n);
  do { /* until they have settled */
    assert_true(os_now() < patience);
    nap(100 * MS);
    last = now;
    before = n;
    now = sleeps(&n);
  } while (now != last || n != before);
  assert_true(n >= 2);
  nap(300 * MS);
  assert_true(sleeps(&n) == now);
  for (int i = 0; i < SESSIONS; i++) unit_close(h, s[i]);
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(started_and_stopped, unit_clean),
    cmocka_unit_test_teardown(started_once_for_all, unit_clean),
    cmocka_unit_test_teardown(started_by_several, unit_clean),
    cmocka_unit_test_teardown(stays_if_one_is_stuck, unit_clean),
    cmocka_unit_test_teardown(limits_of_the_pool, unit_clean),
    cmocka_unit_test_teardown(names_of_channels, unit_clean),
    cmocka_unit_test_teardown(no_memory_for_a_name, unit_clean),
    cmocka_unit_test_teardown(names_asked_for_by_many, unit_clean),
    cmocka_unit_test_teardown(idle_makes_no_wake_ups, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
