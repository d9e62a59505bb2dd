/* runq.c - tests of the run queue: order, halves, every job exactly once.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include "../../src/os/os.h"
#include "../../src/runq.h"

#define SIZE CAST_RUNQ_SIZE

static cast_job job[SIZE + 1];

static void init_at(cast_runq *q, uint32_t position) {
  cast_runq_init(q);
  atomic_store_explicit(&q->head, position, memory_order_relaxed);
  atomic_store_explicit(&q->tail, position, memory_order_relaxed);
}

static void fill(cast_runq *q, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) assert_true(cast_runq_push(q, &job[i]));
  assert_int_equal(cast_runq_len(q), n);
}

/* Positions wrap around within the test from some of these. */
static const uint32_t starts[] = {0, 1, SIZE - 1, UINT32_MAX, UINT32_MAX - 1,
  UINT32_MAX - SIZE / 2, UINT32_MAX - SIZE + 1};
#define STARTS (sizeof starts / sizeof *starts)

static void first_in_first_out(void **state) {
  CAST_UNUSED(state);
  cast_runq q;
  for (size_t s = 0; s < STARTS; s++) {
    init_at(&q, starts[s]);
    assert_null(cast_runq_pop(&q));
    for (uint32_t n = 1; n <= SIZE; n++) {
      fill(&q, n);
      for (uint32_t i = 0; i < n; i++) {
        assert_ptr_equal(cast_runq_pop(&q), &job[i]);
        assert_int_equal(cast_runq_len(&q), n - i - 1);
      }
      assert_null(cast_runq_pop(&q));
    }
  }
}

static void full_gives_its_older_half(void **state) {
  CAST_UNUSED(state);
  cast_runq q;
  cast_job *last = NULL;
  uint32_t count = 0;
  for (size_t s = 0; s < STARTS; s++) {
    init_at(&q, starts[s]);
    fill(&q, SIZE - 1);
    assert_null(cast_runq_half(&q, &last, &count)); /* not full */
    assert_true(cast_runq_push(&q, &job[SIZE - 1]));
    assert_false(cast_runq_push(&q, &job[SIZE]));
    cast_job *at = cast_runq_half(&q, &last, &count);
    assert_int_equal(count, SIZE / 2);
    for (uint32_t i = 0; i < count; i++) {
      assert_ptr_equal(at, &job[i]);
      if (i == count - 1) assert_ptr_equal(at, last);
      at = at->next;
    }
    assert_null(at);
    for (uint32_t i = SIZE / 2; i < SIZE; i++)
      assert_ptr_equal(cast_runq_pop(&q), &job[i]);
    assert_null(cast_runq_pop(&q));
  }
}

static void steals_the_older_half(void **state) {
  CAST_UNUSED(state);
  cast_runq from, mine;
  for (size_t s = 0; s < STARTS; s++) {
    for (uint32_t n = 0; n <= SIZE; n++) {
      init_at(&from, starts[s]);
      init_at(&mine, starts[STARTS - 1 - s]);
      fill(&from, n);
      cast_job *first = cast_runq_steal(&from, &mine);
      if (n == 0) {
        assert_null(first);
        continue;
      }
      uint32_t half = n - n / 2;
      assert_ptr_equal(first, &job[0]);
      assert_int_equal(cast_runq_len(&mine), half - 1);
      assert_int_equal(cast_runq_len(&from), n - half);
      for (uint32_t i = 1; i < half; i++)
        assert_ptr_equal(cast_runq_pop(&mine), &job[i]);
      for (uint32_t i = half; i < n; i++)
        assert_ptr_equal(cast_runq_pop(&from), &job[i]);
    }
  }
}

/* -- owner and stealers: each job runs RUNS times, at one place at a time */

enum { CORES = 3, JOBS = 100000, RUNS = 2 };

typedef struct work {
  cast_job job;
  uint32_t runs; /* whoever took the job: not atomic on purpose */
} work;

typedef struct core {
  cast_runq q;
  uint64_t seed;
} core;

static core cores[CORES];
static work works[JOBS];
static _Atomic uint32_t ready; /* (a) threads that have started */
static _Atomic uint32_t ended; /* (a) jobs that have run RUNS times */

/* Relaxed, here and below: the works are read after the threads ended. */
static uint32_t ended_now(void) {
  return atomic_load_explicit(&ended, memory_order_relaxed);
}

static void push(core *c, cast_job *j);

static void run_job(core *c, cast_job *j) {
  work *w = CAST_CONTAINER(j, work, job);
  CAST_ALWAYS(w->runs < RUNS);
  if (++w->runs < RUNS)
    push(c, j);
  else
    atomic_fetch_add_explicit(&ended, 1, memory_order_relaxed);
}

/* A full queue: its older half runs at once, for the last time. */
static void push(core *c, cast_job *j) {
  while (!cast_runq_push(&c->q, j)) {
    cast_job *last = NULL;
    uint32_t count = 0;
    cast_job *first = cast_runq_half(&c->q, &last, &count);
    if (first == NULL) continue;
    CAST_ALWAYS(count == SIZE / 2 && last->next == NULL);
    for (; first != NULL; first = first->next) {
      CAST_CONTAINER(first, work, job)->runs = RUNS - 1;
      run_job(c, first);
    }
  }
}

static cast_job *steal(core *c) {
  uint32_t other = (uint32_t)(unit_random(&c->seed) % CORES);
  for (uint32_t i = 0; i < CORES; i++) {
    core *from = &cores[(other + i) % CORES];
    if (from == c || cast_runq_len(&from->q) == 0) continue;
    cast_job *j = cast_runq_steal(&from->q, &c->q);
    if (j != NULL) return j;
  }
  return NULL;
}

static void wait_for_all(void) {
  atomic_fetch_add_explicit(&ready, 1, memory_order_relaxed);
  while (atomic_load_explicit(&ready, memory_order_relaxed) < CORES) os_cede();
}

static void stealer_main(void *arg) {
  core *c = arg;
  wait_for_all();
  while (ended_now() < JOBS) {
    cast_job *j = cast_runq_pop(&c->q);
    if (j == NULL) j = steal(c);
    if (j != NULL)
      run_job(c, j);
    else
      os_relax();
  }
}

/* Makes the jobs, now one or two, now more than fit, and pops in between: the
   races are about the last jobs of a queue and about its wrapping around. */
static void owner_main(void *arg) {
  core *c = arg;
  uint32_t made = 0;
  wait_for_all();
  while (ended_now() < JOBS) {
    uint64_t dice = unit_random(&c->seed);
    uint64_t most = dice % 8 == 0 ? 2 * SIZE : 3;
    uint64_t burst = 1 + (dice >> 8) % most;
    for (; burst > 0 && made < JOBS; burst--) push(c, &works[made++].job);
    for (burst = (dice >> 32) % (most + 1); burst > 0; burst--) {
      cast_job *j = cast_runq_pop(&c->q);
      if (j != NULL) run_job(c, j);
    }
    if (dice % 64 == 0) os_cede();
  }
}

static void each_job_exactly_once(void **state) {
  CAST_UNUSED(state);
  os_thread thread[CORES];
  memset(works, 0, sizeof works);
  for (uint32_t i = 0; i < CORES; i++) {
    init_at(&cores[i].q, starts[STARTS - 1 - i]);
    cores[i].seed = 7 + i;
  }
  for (int i = 0; i < CORES; i++)
    assert_int_equal(os_thread_start(&thread[i],
                       i == 0 ? owner_main : stealer_main, &cores[i], "runq"),
      0);
  for (int i = 0; i < CORES; i++) os_thread_join(&thread[i]);
  assert_int_equal(ended, JOBS);
  for (int i = 0; i < JOBS; i++) assert_int_equal(works[i].runs, RUNS);
  for (int i = 0; i < CORES; i++) assert_null(cast_runq_pop(&cores[i].q));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(first_in_first_out),
    cmocka_unit_test(full_gives_its_older_half),
    cmocka_unit_test(steals_the_older_half),
    cmocka_unit_test(each_job_exactly_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
