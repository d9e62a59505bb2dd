/* sched.c - tests of the scheduler: order, waking, limits, stop.
   SPDX-License-Identifier: MIT

   Its jobs here are no sessions, and its workers are this file's. The first
   part has no thread: the test itself is the one worker. */
#include "fixture.h"

typedef struct work work;
struct work {
  cast_job job;
  void (*run)(cast_worker *w, work *j); /* (i) */
  uint32_t runs;                        /* whoever runs it: not atomic */
};

static void nothing(cast_worker *w, work *j) {
  CAST_UNUSED(w);
  CAST_UNUSED(j);
}

static work *work_of(cast_job *job) { return CAST_CONTAINER(job, work, job); }

/* -- without threads ------------------------------------------------------ */

static cast_worker me;
static uint32_t nstarts; /* calls of `start` */
static uint32_t nrouses;

/* The first worker is the test; no other can be had. */
static int start_me(cast_core *core) {
  if (++nstarts > 1) return CASTING_ENOMEM;
  memset(&me, 0, sizeof me);
  cast_list_init(&me.link);
  me.core = core;
  me.spinning = true;
  cast_sched_enlist(&me);
  return 0;
}

static void count_rouse(void) { nrouses++; }

static void begin(uint32_t limit) {
  nstarts = nrouses = 0;
  cast_sched_init(limit, start_me, count_rouse);
  assert_int_equal(cast_sched_busy(), 0);
  assert_int_equal(cast_sched_workers(), 0);
  assert_int_equal(cast_sched_first(), 0);
  assert_int_equal(cast_sched_first(), 0); /* there is one */
  assert_int_equal(nstarts, 1);
  assert_int_equal(nrouses, 1);
  assert_int_equal(cast_sched_busy(), 1);
  assert_int_equal(cast_sched_workers(), 1);
}

static void finish(void) {
  assert_false(cast_sched_stopping());
  cast_sched_stop();
  assert_true(cast_sched_stopping());
  assert_null(cast_sched_find(&me));
  assert_null(me.core);
  assert_int_equal(cast_sched_busy(), 0);
  cast_sched_delist(&me);
  assert_int_equal(cast_sched_workers(), 0);
  cast_sched_fini();
}

enum { MANY = 2000 };
static work works[MANY];

static void expect(size_t i) {
  assert_ptr_equal(cast_sched_find(&me), &works[i].job);
}

/* It finds a job, and so counts no longer as one that is looking. */
static void stop_looking(void) {
  cast_sched_ready(&me, &works[0].job);
  expect(0);
  assert_false(me.spinning);
}

static void newest_first_then_in_order(void **state) {
  CAST_UNUSED(state);
  begin(1);
  assert_false(cast_sched_backlog(&me));
  for (size_t i = 0; i < 4; i++) cast_sched_ready(&me, &works[i].job);
  assert_true(cast_sched_backlog(&me));
  expect(3); /* was in the slot */
  for (size_t i = 0; i < 3; i++) expect(i);
  assert_false(cast_sched_backlog(&me));
  cast_sched_again(&me, &works[5].job);
  assert_true(cast_sched_backlog(&me));
  cast_sched_ready(&me, &works[6].job);
  expect(6);
  expect(5);
  finish();
}

static void from_outside_in_order(void **state) {
  CAST_UNUSED(state);
  /* More would be taken out of order by the regular look at that queue. */
  size_t n = CAST_GLOBAL_EVERY < 10 ? CAST_GLOBAL_EVERY - 1 : 10;
  begin(1);
  for (size_t i = 0; i < n; i++) cast_sched_ready(NULL, &works[i].job);
  assert_true(cast_sched_backlog(&me));
  for (size_t i = 0; i < n; i++) expect(i);
  finish();
}

/* Two that make each other ready must not starve a third. */
static void talkers_let_others_in(void **state) {
  CAST_UNUSED(state);
  begin(1);
  cast_sched_ready(&me, &works[2].job);
  cast_sched_ready(&me, &works[0].job); /* kicks 2 into the queue */
  bool third = false;
  for (uint32_t i = 0; !third; i++) {
    cast_job *job = cast_sched_find(&me);
    assert_true(i <= CAST_NEXT_STREAK + 1);
    third = job == &works[2].job;
    if (!third) cast_sched_ready(&me, &works[job == &works[0].job ? 1 : 0].job);
  }
  assert_non_null(cast_sched_find(&me));
  finish();
}

/* Nor may they starve one that comes from outside. */
static void outside_is_looked_at(void **state) {
  CAST_UNUSED(state);
  begin(1);
  cast_sched_ready(&me, &works[0].job);
  cast_sched_ready(NULL, &works[2].job);
  for (uint32_t i = 0;; i++) {
    cast_job *job = cast_sched_find(&me);
    assert_true(i <= CAST_GLOBAL_EVERY + 1);
    if (job == &works[2].job) break;
    cast_sched_ready(&me, &works[job == &works[0].job ? 1 : 0].job);
  }
  assert_non_null(cast_sched_find(&me));
  /* One whose slice is over is behind those from outside. */
  cast_sched_ready(NULL, &works[1].job);
  cast_sched_again(&me, &works[0].job);
  expect(1);
  expect(0);
  finish();
}

static void queue_overflows(void **state) {
  CAST_UNUSED(state);
  static bool seen[MANY];
  begin(1);
  for (size_t n = 1; n <= MANY; n = n * 3 + 1) {
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < n; i++) cast_sched_ready(&me, &works[i].job);
    for (size_t i = 0; i < n; i++) {
      cast_job *job = cast_sched_find(&me);
      assert_non_null(job);
      size_t k = (size_t)(work_of(job) - works);
      assert_true(k < n && !seen[k]);
      seen[k] = true;
    }
    assert_false(cast_sched_backlog(&me));
  }
  finish();
}

/* A job in the run-next slot while its worker picks nothing. */
static void rescue_frees_the_slot(void **state) {
  CAST_UNUSED(state);
  begin(2);
  stop_looking();
  assert_false(cast_sched_rescue());
  cast_sched_ready(&me, &works[0].job);
  assert_int_equal(nstarts, 1);      /* one job in the slot wakes nobody */
  assert_false(cast_sched_rescue()); /* seen for the first time */
  assert_true(cast_sched_rescue());
  assert_int_equal(nstarts, 2); /* tried */
  assert_int_equal(cast_sched_busy(), 1);
  assert_false(cast_sched_rescue());
  expect(0); /* from the global queue */
  /* Not while it picks jobs, and not without an idle core. */
  for (size_t i = 0; i < 5; i++) {
    cast_sched_ready(&me, &works[i].job);
    assert_false(cast_sched_rescue());
    expect(i);
  }
  cast_sched_limit(1);
  cast_sched_ready(&me, &works[0].job);
  for (int i = 0; i < 3; i++) assert_false(cast_sched_rescue());
  expect(0);
  finish();
}

static int start_none(cast_core *core) {
  CAST_UNUSED(core);
  nstarts++;
  return CASTING_ENOMEM;
}

static void no_thread_to_be_had(void **state) {
  CAST_UNUSED(state);
  nstarts = 0;
  cast_sched_init(3, start_none, count_rouse);
  for (uint32_t i = 1; i < 4; i++) {
    assert_int_equal(cast_sched_first(), CASTING_ENOMEM);
    assert_int_equal(nstarts, i);
    assert_int_equal(cast_sched_busy(), 0);
  }
  cast_sched_fini();
  /* With one that works and none besides, it does all. */
  begin(3);
  stop_looking();
  for (size_t i = 0; i < 100; i++)
    cast_sched_ready(i % 3 == 0 ? NULL : &me, &works[i].job);
  assert_true(nstarts > 1);
  assert_int_equal(cast_sched_busy(), 1);
  for (size_t i = 0; i < 100; i++) assert_non_null(cast_sched_find(&me));
  assert_false(cast_sched_backlog(&me));
  finish();
}

/* One that was started, but cannot begin. */
static void quitter_gives_its_core_back(void **state) {
  CAST_UNUSED(state);
  begin(1);
  cast_sched_quit(&me);
  assert_null(me.core);
  assert_int_equal(cast_sched_busy(), 0);
  cast_sched_delist(&me);
  nstarts = 0; /* another may be started */
  assert_int_equal(cast_sched_first(), 0);
  finish();
}

static void limit_is_a_backlog(void **state) {
  CAST_UNUSED(state);
  begin(2);
  assert_false(cast_sched_backlog(&me));
  cast_sched_limit(CAST_CORES_MAX);
  assert_false(cast_sched_backlog(&me));
  cast_sched_limit(1);
  assert_false(cast_sched_backlog(&me));
  finish();
}

/* -- with threads --------------------------------------------------------- */

enum { WORKERS = 64 };

typedef struct thread {
  cast_worker worker;
  os_thread thread;
} thread;

static struct {
  cast_lock lock;
  uint32_t count;            /* (lock) */
  thread threads[WORKERS];   /* (lock) */
  uint32_t fail;             /* (i) every n-th start fails; 0: none */
  _Atomic uint32_t nstart;   /* (a) */
  _Atomic uint32_t nrunning; /* (a) jobs that run now */
  _Atomic uint32_t most;     /* (a) the most at a time */
} pool;

static void run_jobs(void *arg) {
  cast_worker *w = arg;
  cast_job *job;
  while ((job = cast_sched_find(w)) != NULL) {
    work *j = work_of(job);
    uint32_t n = unit_count(&pool.nrunning), most = unit_read(&pool.most);
    while (n > most && !atomic_compare_exchange_weak_explicit(&pool.most, &most,
                         n, memory_order_relaxed, memory_order_relaxed))
      continue;
    j->runs++;
    j->run(w, j);
    atomic_fetch_sub_explicit(&pool.nrunning, 1, memory_order_relaxed);
  }
  CAST_ALWAYS(w->core == NULL);
  cast_sched_delist(w);
}

static int start_thread(cast_core *core) {
  int rc = CASTING_ENOMEM;
  uint32_t n = unit_count(&pool.nstart);
  if (pool.fail != 0 && n % pool.fail == 0) return rc;
  cast_lock_take(&pool.lock);
  if (pool.count < WORKERS) {
    thread *t = &pool.threads[pool.count];
    memset(t, 0, sizeof *t);
    cast_list_init(&t->worker.link);
    t->worker.core = core;
    t->worker.spinning = true;
    t->worker.seed = n;
    cast_sched_enlist(&t->worker);
    rc = os_thread_start(&t->thread, run_jobs, &t->worker, "sched");
    CAST_ALWAYS(rc == 0);
    pool.count++;
  }
  cast_lock_drop(&pool.lock);
  return rc;
}

static void no_rouse(void) {}

static void open_pool(uint32_t limit, uint32_t fail) {
  memset(&pool, 0, sizeof pool);
  memset(works, 0, sizeof works);
  /* Not a leaf: a thread is enlisted under it. */
  cast_lock_init(&pool.lock, CAST_RANK_EVENT);
  pool.fail = fail;
  cast_sched_init(limit, start_thread, no_rouse);
  assert_int_equal(cast_sched_first(), 0);
}

static void close_pool(void) {
  cast_sched_stop();
  for (uint32_t i = 0;; i++) {
    bool all;
    cast_lock_take(&pool.lock);
    all = i == pool.count;
    cast_lock_drop(&pool.lock);
    if (all) break;
    os_thread_join(&pool.threads[i].thread);
  }
  assert_int_equal(cast_sched_workers(), 0);
  assert_int_equal(pool.nrunning, 0);
  cast_sched_fini();
}

/* Waits without looking after anything, and without hope of help. */
static void await(_Atomic uint32_t *n, uint32_t enough) {
  uint64_t patience = os_now() + PATIENCE_NS;
  /* Acquire, as counting it releases: the jobs are read after this. */
  while (atomic_load_explicit(n, memory_order_acquire) < enough) {
    assert_true(os_now() < patience);
    os_cede();
  }
}

static _Atomic uint32_t ndone; /* (a) */

static void done(cast_worker *w, work *j) {
  CAST_UNUSED(w);
  CAST_UNUSED(j);
  atomic_fetch_add_explicit(&ndone, 1, memory_order_release);
}

/* One job at a time, with pauses in which the workers fall asleep, or not. */
static void no_wake_up_is_lost(void **state) {
  CAST_UNUSED(state);
  uint32_t n = unit_times(10000);
  for (uint32_t limit = 1; limit <= 4; limit += 3) {
    uint64_t seed = limit;
    open_pool(limit, 0);
    unit_write(&ndone, 0);
    for (uint32_t i = 0; i < n; i++) {
      works[i % MANY].run = done;
      cast_sched_ready(NULL, &works[i % MANY].job);
      await(&ndone, i + 1);
      for (uint64_t k = unit_random(&seed) % 3000; k > 0; k--) os_relax();
    }
    close_pool();
  }
}

/* All cores are in use if there is work for them: the jobs wait for each
   other, so each must get a core of its own. */
static _Atomic uint32_t met; /* (a) */
static uint32_t meeting;     /* how many meet */

static void meet(cast_worker *w, work *j) {
  uint64_t patience = os_now() + PATIENCE_NS;
  unit_count(&met);
  while (unit_read(&met) < meeting) {
    CAST_ALWAYS(os_now() < patience);
    os_cede();
  }
  done(w, j);
}

static void bring_others(cast_worker *w, work *j) {
  for (uint32_t i = 1; i < meeting; i++) {
    j[i].run = meet;
    cast_sched_ready(w, &j[i].job);
  }
  meet(w, j);
}

static void every_core_is_used(void **state) {
  CAST_UNUSED(state);
  for (meeting = 2; meeting <= 6; meeting++) {
    open_pool(meeting, 0);
    unit_write(&ndone, 0);
    for (uint32_t round = 0; round < unit_times(50); round++) {
      unit_write(&met, 0);
      if (round % 2 == 0) {
        for (uint32_t i = 0; i < meeting; i++) {
          works[i].run = meet;
          cast_sched_ready(NULL, &works[i].job);
        }
      } else {
        /* From one worker; what stays in its slot, the monitor frees. */
        works[0].run = bring_others;
        cast_sched_ready(NULL, &works[0].job);
        uint64_t patience = os_now() + PATIENCE_NS;
        while (unit_read(&met) < meeting) {
          assert_true(os_now() < patience);
          (void)cast_sched_rescue();
          os_cede();
        }
      }
      await(&ndone, (round + 1) * meeting);
    }
    assert_int_equal(pool.most, meeting);
    close_pool();
  }
}

/* -- storms: every job runs as often as it was made ready ----------------- */

enum { BRANCHES = 5 };

static uint32_t nworks;
static _Atomic uint32_t nmade;  /* (a) works taken from the array */
static _Atomic uint32_t nended; /* (a) */

/* Makes others ready, as long as there are some; some runs come back. */
static void branch(cast_worker *w, work *j) {
  uint64_t seed = (uint64_t)(j - works) * 77 + j->runs;
  for (uint64_t k = unit_random(&seed) % BRANCHES; k > 0; k--) {
    uint32_t i = atomic_fetch_add_explicit(&nmade, 1, memory_order_relaxed);
    if (i >= nworks) break;
    works[i].run = branch;
    cast_sched_ready(w, &works[i].job);
  }
  for (uint64_t k = unit_random(&seed) % 200; k > 0; k--) os_relax();
  if (j->runs < 3)
    cast_sched_again(w, &j->job);
  else
    atomic_fetch_add_explicit(&nended, 1, memory_order_release);
}

static void sow(void *arg) {
  CAST_UNUSED(arg);
  for (;;) {
    uint32_t i = atomic_fetch_add_explicit(&nmade, 1, memory_order_relaxed);
    if (i >= nworks) return;
    works[i].run = branch;
    cast_sched_ready(NULL, &works[i].job);
    if (i % 16 == 0) os_cede();
  }
}

static void storm(uint32_t limit, uint32_t fail, bool change) {
  os_thread outside[2];
  uint64_t seed = limit, patience = os_now() + PATIENCE_NS;
  open_pool(limit, fail);
  nworks = MANY;
  unit_write(&nmade, 0);
  unit_write(&nended, 0);
  for (int i = 0; i < 2; i++)
    assert_int_equal(os_thread_start(&outside[i], sow, NULL, "sow"), 0);
  while (atomic_load_explicit(&nended, memory_order_acquire) < nworks) {
    assert_true(os_now() < patience);
    if (change) cast_sched_limit((uint32_t)(unit_random(&seed) % limit) + 1);
    (void)cast_sched_rescue();
    os_cede();
  }
  for (int i = 0; i < 2; i++) os_thread_join(&outside[i]);
  for (uint32_t i = 0; i < nworks; i++) assert_int_equal(works[i].runs, 3);
  assert_true(pool.most <= limit);
  if (change) {
    /* The last one lets go of what is too much, and all fall asleep. */
    cast_sched_limit(1);
    while (cast_sched_busy() > 0) {
      assert_true(os_now() < patience);
      os_cede();
    }
  }
  close_pool();
}

static void each_as_often_as_made_ready(void **state) {
  CAST_UNUSED(state);
  for (uint32_t i = 0; i < unit_times(30); i++) storm(1 + i % 5, 0, false);
}

static void limit_changes_under_way(void **state) {
  CAST_UNUSED(state);
  for (uint32_t i = 0; i < unit_times(30); i++) storm(2 + i % 5, 0, true);
}

/* The first start works; of the others, some. */
static void starts_fail_under_way(void **state) {
  CAST_UNUSED(state);
  for (uint32_t i = 0; i < unit_times(30); i++)
    storm(2 + i % 5, 2 + i % 3, i % 2 == 0);
}

/* Lowered to one: not two at a time any more; raised: again all. */
static void limit_holds(void **state) {
  CAST_UNUSED(state);
  uint64_t patience = os_now() + PATIENCE_NS;
  open_pool(4, 0);
  for (uint32_t round = 0; round < unit_times(20); round++) {
    meeting = 4;
    unit_write(&met, 0);
    unit_write(&ndone, 0);
    cast_sched_limit(4);
    for (uint32_t i = 0; i < 4; i++) {
      works[i].run = meet;
      cast_sched_ready(NULL, &works[i].job);
    }
    await(&ndone, 4);
    cast_sched_limit(1);
    while (cast_sched_busy() > 1) {
      assert_true(os_now() < patience);
      os_cede();
    }
    unit_write(&ndone, 0);
    unit_write(&pool.most, 0);
    for (uint32_t i = 0; i < 100; i++) {
      works[i].run = done;
      cast_sched_ready(NULL, &works[i].job);
    }
    await(&ndone, 100);
    assert_int_equal(pool.most, 1);
  }
  close_pool();
}

static void stop_at_any_moment(void **state) {
  CAST_UNUSED(state);
  for (uint32_t i = 0; i < unit_times(300); i++) {
    open_pool(1 + i % 4, 0);
    unit_write(&ndone, 0);
    for (uint32_t k = 0; k < i % 7; k++) {
      works[k].run = k % 2 == 0 ? done : nothing;
      cast_sched_ready(NULL, &works[k].job);
    }
    await(&ndone, (i % 7 + 1) / 2); /* the others may be left behind */
    close_pool();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(newest_first_then_in_order),
    cmocka_unit_test(from_outside_in_order),
    cmocka_unit_test(talkers_let_others_in),
    cmocka_unit_test(outside_is_looked_at),
    cmocka_unit_test(queue_overflows),
    cmocka_unit_test(rescue_frees_the_slot),
    cmocka_unit_test(no_thread_to_be_had),
    cmocka_unit_test(quitter_gives_its_core_back),
    cmocka_unit_test(limit_is_a_backlog),
    cmocka_unit_test(no_wake_up_is_lost),
    cmocka_unit_test(every_core_is_used),
    cmocka_unit_test(each_as_often_as_made_ready),
    cmocka_unit_test(limit_changes_under_way),
    cmocka_unit_test(starts_fail_under_way),
    cmocka_unit_test(limit_holds),
    cmocka_unit_test(stop_at_any_moment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
