/* offload.c - tests of the threads that make calls which block: order, limit,
   those who leave, threads that cannot be started, forks, the end.
   SPDX-License-Identifier: MIT

   The offloads are compiled into this file, with a start of threads that fails
   when it is to, and helpers that do not stay long without a call. */
#include "fixture.h"

#include "../../src/limits.h"

static _Atomic uint32_t refusals; /* (a) starts that are to fail */
static _Atomic uint32_t starts;   /* (a) that did not */

static int refuse_some(
  os_thread *t, void (*main)(void *), void *arg, const char *name) {
  uint32_t n = unit_read(&refusals);
  while (n > 0)
    if (atomic_compare_exchange_weak_explicit(
          &refusals, &n, n - 1, memory_order_relaxed, memory_order_relaxed))
      return OS_ENOMEM;
  unit_count(&starts);
  return os_thread_start(t, main, arg, name);
}

#define os_thread_start refuse_some
#undef CAST_OFFLOAD_IDLE_NS
#define CAST_OFFLOAD_IDLE_NS (2 * MS)
#include "../../src/offload.c"
#undef os_thread_start

enum { MANY = 200, LIMIT = 4 };

static cast_offload one = CAST_OFFLOAD_STATIC(one, 1, "unit/one");
static cast_offload few = CAST_OFFLOAD_STATIC(few, LIMIT, "unit/few");

typedef struct job {
  cast_call call;
  uint32_t at; /* helper: which of all it was */
  uint32_t runs;
} job;

static _Atomic uint32_t ndone;   /* (a) */
static _Atomic uint32_t nended;  /* (a) calls that were freed */
static _Atomic uint32_t ninside; /* (a) calls that are being made ... */
static _Atomic uint32_t most;    /* (a) ... and the most at once */
static _Atomic uint32_t gate;    /* (a) futex: 0: who comes to it waits */

static void run_job(cast_call *c) {
  job *j = CAST_CONTAINER(c, job, call);
  uint32_t n = unit_count(&ninside), seen = unit_read(&most);
  while (n > seen)
    if (atomic_compare_exchange_weak_explicit(
          &most, &seen, n, memory_order_relaxed, memory_order_relaxed))
      break;
  j->at = unit_count(&ndone) - 1;
  j->runs++;
  atomic_fetch_sub_explicit(&ninside, 1, memory_order_relaxed);
}

static void run_at_gate(cast_call *c) {
  uint32_t n = unit_count(&ninside), seen = unit_read(&most);
  while (n > seen)
    if (atomic_compare_exchange_weak_explicit(
          &most, &seen, n, memory_order_relaxed, memory_order_relaxed))
      break;
  while (unit_read(&gate) == 0) (void)os_wait(&gate, 0, OS_FOREVER);
  atomic_fetch_sub_explicit(&ninside, 1, memory_order_relaxed);
  run_job(c);
}

static void free_job(cast_call *c) {
  cast_free(CAST_CONTAINER(c, job, call));
  unit_count(&nended);
}

static const cast_call_kind quick = {.run = run_job, .free = free_job};
static const cast_call_kind gated = {.run = run_at_gate, .free = free_job};

static job *job_new(const cast_call_kind *kind) {
  job *j = cast_calloc(sizeof *j);
  CAST_ALWAYS(j != NULL);
  cast_call_init(&j->call, kind);
  return j;
}

static job *job_sent(cast_offload *o, const cast_call_kind *kind) {
  job *j = job_new(kind);
  cast_offload_send(o, &j->call);
  return j;
}

static void job_drop(job *j) { cast_unref(&j->call.object); }

static void open_gate(void) {
  unit_write(&gate, 1);
  os_wake(&gate, INT32_MAX);
}

static void await_inside(uint32_t n) {
  while (unit_read(&ninside) != n) os_cede();
}

static unit_host *begin(uint32_t cores) {
  unit_write(&ndone, 0);
  unit_write(&nended, 0);
  unit_write(&most, 0);
  unit_write(&refusals, 0);
  unit_write(&starts, 0);
  unit_write(&gate, 0);
  CAST_ALWAYS(unit_read(&ninside) == 0);
  return unit_open(cores);
}

static uint32_t nhelpers_of(cast_offload *o) {
  uint32_t n;
  cast_lock_take(&o->lock);
  n = o->nhelpers;
  cast_lock_drop(&o->lock);
  return n;
}

static uint32_t nqueued_of(cast_offload *o) {
  uint32_t n;
  cast_lock_take(&o->lock);
  n = o->nqueued;
  cast_lock_drop(&o->lock);
  return n;
}

/* All helpers have ended with the runtime. */
static bool has_stopped(void) {
  return helpers.nlive == 0 && helpers.ended == NULL && one.nhelpers == 0 &&
         one.nfree == 0 && one.nqueued == 0 && few.nhelpers == 0 &&
         few.nfree == 0 && few.nqueued == 0 && !one.stopping && !few.stopping;
}

/* Waits without a deadline for its end: what a deadlock would end. */
static int await(unit_host *h, job *j) {
  return unit_event(h->main, &j->call.done, FOREVER);
}

/* -- what happens always -------------------------------------------------- */

static void made_in_order(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  job *j[MANY];
  for (uint32_t i = 0; i < MANY; i++) j[i] = job_sent(&one, &quick);
  for (uint32_t i = MANY; i-- > 0;) {
    assert_int_equal(await(h, j[i]), 0);
    assert_int_equal(j[i]->call.result, 0);
    assert_int_equal(j[i]->at, i);
    assert_int_equal(j[i]->runs, 1);
    job_drop(j[i]);
  }
  unit_shut(h);
  assert_int_equal(unit_read(&nended), MANY);
  assert_true(has_stopped());
}

static void not_more_than_the_limit(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  job *j[MANY];
  for (uint32_t i = 0; i < MANY; i++) j[i] = job_sent(&few, &gated);
  await_inside(LIMIT);
  /* The others wait, and another offload does not wait for them. */
  job *other = job_sent(&one, &quick);
  assert_int_equal(await(h, other), 0);
  job_drop(other);
  assert_int_equal(unit_read(&ndone), 1);
  unit_write(&most, 0); /* that one counted, too */
  open_gate();
  for (uint32_t i = 0; i < MANY; i++) {
    assert_int_equal(await(h, j[i]), 0);
    job_drop(j[i]);
  }
  assert_in_range(unit_read(&most), 1, LIMIT);
  assert_int_equal(unit_read(&starts), LIMIT + 1);
  unit_shut(h);
  assert_true(has_stopped());
}

/* A helper ends as a call comes, or does not. */
static void helpers_come_and_go(void **state) {
  uint64_t seed = 1;
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  for (uint32_t i = 0; i < unit_times(200); i++) {
    job *j = job_sent(i % 2 ? &few : &one, &quick);
    assert_int_equal(await(h, j), 0);
    assert_int_equal(j->runs, 1);
    job_drop(j);
    (void)unit_sleep(h->main, os_now() + MS + unit_random(&seed) % (2 * MS));
  }
  assert_true(unit_read(&starts) > 2);
  unit_shut(h);
  assert_true(has_stopped());
}

/* -- those who leave ------------------------------------------------------ */

static void left_in_the_queue(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  job *first = job_sent(&one, &gated), *last;
  await_inside(1);
  for (uint32_t i = 0; i < MANY; i++) {
    job *j = job_sent(&one, &quick);
    assert_int_equal(
      unit_event(h->main, &j->call.done, os_now()), CASTING_ETIMEOUT);
    job_drop(j);
    assert_int_equal(unit_read(&nended), i + 1); /* at once */
  }
  assert_int_equal(nqueued_of(&one), 0);
  last = job_sent(&one, &quick);
  open_gate();
  assert_int_equal(await(h, last), 0);
  assert_int_equal(last->at, 1); /* and none between */
  job_drop(first);
  job_drop(last);
  unit_shut(h);
  assert_int_equal(unit_read(&ndone), 2);
  assert_int_equal(unit_read(&nended), MANY + 2);
  assert_true(has_stopped());
}

static void left_while_it_is_made(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  job *j = job_sent(&one, &gated);
  await_inside(1);
  assert_int_equal(
    unit_event(h->main, &j->call.done, os_now() + MS), CASTING_ETIMEOUT);
  job_drop(j);
  assert_int_equal(unit_read(&nended), 0);
  open_gate();
  while (unit_read(&nended) == 0) os_cede();
  unit_shut(h);
  assert_true(has_stopped());
}

static void never_sent(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  job_drop(job_new(&quick));
  assert_int_equal(unit_read(&nended), 1);
  unit_shut(h);
}

/* Tasks of several sessions share calls, leave them, and are cancelled. */
enum { SESSIONS = 3, TASKS = 12 };
static _Atomic(job *) shared[TASKS]; /* (a) with a reference */
static cast_lock shared_lock;

/* The shared call there, with a reference; or a new one takes its place. */
static job *share(uint32_t at, uint64_t random) {
  job *fresh = random % 4 == 0 ? job_new(&quick) : NULL, *old, *j;
  cast_lock_take(&shared_lock);
  old = atomic_load_explicit(&shared[at], memory_order_relaxed);
  j = fresh != NULL ? fresh : old;
  if (j != NULL) cast_ref(&j->call.object);
  if (fresh != NULL)
    atomic_store_explicit(&shared[at], fresh, memory_order_relaxed);
  cast_lock_drop(&shared_lock);
  if (fresh == NULL) return j;
  cast_offload_send(at % 3 == 0 ? &one : &few, &fresh->call);
  if (old != NULL) job_drop(old);
  return j;
}

static bool wait_now_and_then(unit_task *t) {
  for (; t->n < unit_times(300); t->n++) {
    job *j = NULL;
    int rc;
    if (unit_over(t)) {
      rc = t->result;
    } else {
      uint64_t random = unit_random(&t->seed);
      if (t->base.cancelled) return true;
      j = share((uint32_t)(random >> 8) % TASKS, random >> 16);
      if (j == NULL) continue;
      t->arg = j;
      rc = unit_event(
        t, &j->call.done, random % 3 == 0 ? os_now() + random % MS : FOREVER);
      if (rc == CAST_PARKED) return false;
    }
    j = t->arg;
    CAST_ALWAYS(rc != 0 || (j->runs == 1 && j->call.result == 0));
    CAST_ALWAYS(rc == 0 || rc == CASTING_ETIMEOUT || rc == CASTING_ECANCELLED);
    job_drop(j);
    if (rc == CASTING_ECANCELLED) return true;
  }
  return true;
}

static void many_come_and_leave(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(2);
  unit_session *s[SESSIONS];
  unit_task *t[TASKS];
  cast_lock_init(&shared_lock, CAST_RANK_LEAF);
  for (int i = 0; i < SESSIONS; i++) s[i] = unit_session_new();
  for (uint32_t i = 0; i < TASKS; i++)
    t[i] =
      unit_spawn_as(NULL, s[i % SESSIONS], wait_now_and_then, NULL, i % 2 == 0);
  (void)unit_sleep(h->main, os_now() + 5 * MS);
  unit_close(h, s[0]); /* cancels its tasks */
  for (uint32_t i = 0; i < TASKS; i++) unit_join(h, t[i]);
  for (int i = 1; i < SESSIONS; i++) unit_close(h, s[i]);
  for (int i = 0; i < TASKS; i++) {
    job *j = atomic_exchange_explicit(&shared[i], NULL, memory_order_relaxed);
    if (j != NULL) job_drop(j);
  }
  unit_shut(h);
  assert_true(has_stopped());
}

/* -- no thread to be had -------------------------------------------------- */

static void no_thread_at_all(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  job *j;
  unit_write(&refusals, 1);
  j = job_sent(&one, &quick);
  assert_int_equal(await(h, j), 0);
  assert_int_equal(j->call.result, CASTING_ENOMEM);
  assert_int_equal(j->runs, 0);
  job_drop(j);
  j = job_sent(&one, &quick); /* the next one is to be had */
  assert_int_equal(await(h, j), 0);
  assert_int_equal(j->call.result, 0);
  job_drop(j);
  /* Nor memory for one. */
  while (nhelpers_of(&one) > 0) (void)unit_sleep(h->main, os_now() + MS);
  j = job_new(&quick);
#if CAST_DEBUG >= 1
  cast_mem_fail_at(1);
  cast_offload_send(&one, &j->call);
  cast_mem_fail_at(0);
  assert_int_equal(j->call.result, CASTING_ENOMEM);
#endif
  job_drop(j);
  unit_shut(h);
  assert_true(has_stopped());
}

/* The one that is there makes the calls, and brings others when they can be
   had. */
static void fewer_threads_than_needed(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  job *j[8];
  j[0] = job_sent(&few, &gated);
  await_inside(1);
  unit_write(&refusals, 3);
  for (int i = 1; i < 4; i++) j[i] = job_sent(&few, &quick);
  assert_int_equal(nhelpers_of(&few), 1);
  assert_int_equal(nqueued_of(&few), 3);
  open_gate();
  for (int i = 0; i < 4; i++) {
    assert_int_equal(await(h, j[i]), 0);
    assert_int_equal(j[i]->call.result, 0);
    job_drop(j[i]);
  }
  while (nhelpers_of(&few) > 0) (void)unit_sleep(h->main, os_now() + MS);
  /* Two are stuck before the third can be had, which a helper starts. */
  unit_write(&gate, 0);
  unit_write(&starts, 0);
  j[0] = job_sent(&few, &gated);
  await_inside(1);
  unit_write(&refusals, 2);
  j[1] = job_sent(&few, &quick);
  j[2] = job_sent(&few, &gated);
  assert_int_equal(nhelpers_of(&few), 1);
  j[3] = job_sent(&few, &gated);
  assert_int_equal(await(h, j[1]), 0);
  await_inside(3);
  open_gate();
  for (int i = 0; i < 4; i++) {
    assert_int_equal(await(h, j[i]), 0);
    job_drop(j[i]);
  }
  unit_shut(h);
  assert_true(has_stopped());
}

static bool send_and_wait(unit_task *t) {
  static _Atomic uint32_t never;
  for (; t->n < unit_times(200); t->n++) {
    job *j;
    if (!unit_over(t)) {
      if (unit_random(&t->seed) % 2 == 0) unit_write(&refusals, 1);
      j = t->arg = job_sent(t->base.id % 2 ? &one : &few, &quick);
      if (unit_event(t, &j->call.done, FOREVER) == CAST_PARKED) return false;
    }
    j = t->arg;
    CAST_ALWAYS(j->runs == (j->call.result == 0));
    job_drop(j);
    if (unit_random(&t->seed) % 16 != 0) continue;
    (void)os_wait(&never, 0, os_now() + 3 * MS); /* helpers end meanwhile */
  }
  return true;
}

static void threads_fail_at_random(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(2);
  unit_session *s[SESSIONS];
  unit_task *t[TASKS];
  for (int i = 0; i < SESSIONS; i++) s[i] = unit_session_new();
  for (uint32_t i = 0; i < TASKS; i++)
    t[i] = unit_spawn(s[i % SESSIONS], send_and_wait, NULL);
  for (uint32_t i = 0; i < TASKS; i++) unit_join(h, t[i]);
  for (int i = 0; i < SESSIONS; i++) unit_close(h, s[i]);
  unit_shut(h);
  assert_true(has_stopped());
}

/* -- the end, and forks --------------------------------------------------- */

/* The runtime does not wait for it, and goes on; the next host stops it. */
static void stuck_at_the_end(void **state) {
  uint64_t since;
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  job *j = job_sent(&one, &gated);
  await_inside(1);
  job_drop(j);
  j = job_sent(&few, &quick);
  assert_int_equal(await(h, j), 0);
  job_drop(j);
  since = os_now();
  unit_shut(h);
  assert_true(os_now() - since >= CAST_OFFLOAD_STOP_NS);
  assert_int_equal(nhelpers_of(&one), 1);
  assert_false(one.stopping);
  assert_int_equal(unit_read(&nended), 1);
  /* It is of use still. */
  h = unit_open(1);
  j = job_sent(&one, &quick);
  open_gate();
  assert_int_equal(await(h, j), 0);
  job_drop(j);
  unit_shut(h);
  assert_int_equal(unit_read(&nended), 3);
  assert_true(has_stopped());
}

/* A process ends although a call is stuck. */
static void end_with_one_stuck(void *arg) {
  CAST_UNUSED(arg);
  unit_host *h = begin(1);
  job *j = job_sent(&one, &gated);
  job *k = job_sent(&few, &gated);
  await_inside(2);
  job_drop(j);
  job_drop(k);
  unit_shut(h);
  exit(0);
}

static void exits_with_one_stuck(void **state) {
  CAST_UNUSED(state);
  cast_fork_forget();
  assert_true(unit_child(end_with_one_stuck, NULL));
}

static job *waiting;

static void has_none(void *arg) {
  CAST_UNUSED(arg);
  CAST_ALWAYS(cast_forked);
  uint32_t before = unit_read(&nended);
  job *j = job_sent(&one, &quick);
  CAST_ALWAYS(cast_event_is_set(&j->call.done));
  CAST_ALWAYS(j->call.result == CASTING_ENOMEM);
  job_drop(waiting);
  CAST_ALWAYS(unit_read(&nended) == before); /* nothing ends there */
  CAST_ALWAYS(cast_offloads_stop(FOREVER, FOREVER));
  CAST_ALWAYS(unit_read(&ndone) == 0);
}

static void is_not_forked(void *arg) {
  CAST_UNUSED(arg);
  CAST_ALWAYS(!cast_forked);
}

static void others_calls(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  job *j = job_sent(&one, &gated);
  waiting = job_sent(&one, &quick);
  await_inside(1);
  assert_true(unit_child(has_none, NULL));
  open_gate();
  assert_int_equal(await(h, waiting), 0);
  job_drop(waiting);
  job_drop(j);
  unit_shut(h);
  assert_true(has_stopped());
  assert_true(unit_child(is_not_forked, NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(made_in_order, unit_clean),
    cmocka_unit_test_teardown(not_more_than_the_limit, unit_clean),
    cmocka_unit_test_teardown(helpers_come_and_go, unit_clean),
    cmocka_unit_test_teardown(left_in_the_queue, unit_clean),
    cmocka_unit_test_teardown(left_while_it_is_made, unit_clean),
    cmocka_unit_test_teardown(never_sent, unit_clean),
    cmocka_unit_test_teardown(many_come_and_leave, unit_clean),
    cmocka_unit_test_teardown(no_thread_at_all, unit_clean),
    cmocka_unit_test_teardown(fewer_threads_than_needed, unit_clean),
    cmocka_unit_test_teardown(threads_fail_at_random, unit_clean),
    cmocka_unit_test_teardown(stuck_at_the_end, unit_clean),
    cmocka_unit_test_teardown(exits_with_one_stuck, unit_clean),
    cmocka_unit_test_teardown(others_calls, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
