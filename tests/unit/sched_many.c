/* sched_many.c - tests of the scheduler with threads: waking, limits, stop.
   SPDX-License-Identifier: MIT

   Its jobs here are no sessions, and its workers are this file's. */
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

enum { MANY = 2000 };
static work works[MANY];

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
    if (cast_sched_enlist(&t->worker)) { /* else it stops (R75) */
      rc = os_thread_start(&t->thread, run_jobs, &t->worker, "sched");
      CAST_ALWAYS(rc == 0);
      pool.count++;
    }
  }
  cast_lock_drop(&pool.lock);
  return rc;
}

static void no_sysmon(void) {}

static void open_pool(uint32_t limit, uint32_t fail) {
  memset(&pool, 0, sizeof pool);
  memset(works, 0, sizeof works);
  /* Not a leaf: a thread is enlisted under it. */
  cast_lock_init(&pool.lock, CAST_RANK_EVENT);
  pool.fail = fail;
  cast_sched_init(limit, start_thread, no_sysmon);
  cast_sched_bounds(WORKERS, WORKERS); /* none retires */
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

/* What sysmon does: frees run-next slots while permits are left; and,
   if `retake`, takes the permits of some that are in the middle of a slice. */
static void look_after(uint64_t *retake) {
  uint32_t n;
  bool lost;
  cast_lock_take(&pool.lock);
  n = pool.count;
  cast_lock_drop(&pool.lock);
  for (uint32_t i = 0; i < n; i++) {
    cast_worker *w = &pool.threads[i].worker;
    if (cast_sched_view(w, &lost) == CAST_VIEW_SPARE)
      cast_sched_release_next(w);
    if (retake != NULL && unit_random(retake) % 4 == 0)
      (void)cast_sched_retake(w, cast_sched_tick(w));
  }
  cast_sched_wake();
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
        /* From one worker; what stays in its slot, sysmon frees. */
        works[0].run = bring_others;
        cast_sched_ready(NULL, &works[0].job);
        uint64_t patience = os_now() + PATIENCE_NS;
        while (unit_read(&met) < meeting) {
          assert_true(os_now() < patience);
          look_after(NULL);
          os_cede();
        }
      }
      await(&ndone, (round + 1) * meeting);
    }
    assert_int_equal(pool.most, meeting);
    close_pool();
  }
}

/* One worker makes work at a moment when the other is about to fall asleep:
   then that one must come and take it, since the first does not. */
static _Atomic uint32_t taken; /* (a) */

static void take(cast_worker *w, work *j) {
  unit_write(&taken, 1);
  done(w, j);
}

static void make_and_wait(cast_worker *w, work *j) {
  uint64_t patience = os_now() + PATIENCE_NS, seed = j->runs;
  for (int i = 0; i < 9; i++) unit_random(&seed);
  for (uint64_t k = unit_random(&seed) % 3000; k > 0; k--) os_relax();
  unit_write(&taken, 0);
  j[1].run = take;
  j[2].run = done;
  cast_sched_ready(w, &j[1].job);
  cast_sched_ready(w, &j[2].job); /* now the first is in the queue */
  while (unit_read(&taken) == 0) CAST_ALWAYS(os_now() < patience);
  done(w, j);
}

static void never_beside_an_idle_core(void **state) {
  CAST_UNUSED(state);
  open_pool(2, 0);
  unit_write(&ndone, 0);
  for (uint32_t i = 1; i <= unit_times(3000); i++) {
    works[0].run = make_and_wait;
    cast_sched_ready(NULL, &works[0].job);
    await(&ndone, 3 * i);
  }
  close_pool();
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

static void storm(uint32_t limit, uint32_t fail, bool change, bool retake) {
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
    look_after(retake ? &seed : NULL);
    os_cede();
  }
  for (int i = 0; i < 2; i++) os_thread_join(&outside[i]);
  for (uint32_t i = 0; i < nworks; i++) assert_int_equal(works[i].runs, 3);
  if (!retake) assert_true(pool.most <= limit);
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
  for (uint32_t i = 0; i < unit_times(30); i++)
    storm(1 + i % 5, 0, false, false);
}

/* Permits are taken from workers at any moment: they lose nothing, and run on
   beside those who take over. */
static void permits_are_taken_away(void **state) {
  CAST_UNUSED(state);
  for (uint32_t i = 0; i < unit_times(30); i++)
    storm(1 + i % 5, i % 3 == 0 ? 3 : 0, i % 2 == 0, true);
}

static void limit_changes_under_way(void **state) {
  CAST_UNUSED(state);
  for (uint32_t i = 0; i < unit_times(30); i++)
    storm(2 + i % 5, 0, true, false);
}

/* The first start works; of the others, some. */
static void starts_fail_under_way(void **state) {
  CAST_UNUSED(state);
  for (uint32_t i = 0; i < unit_times(30); i++)
    storm(2 + i % 5, 2 + i % 3, i % 2 == 0, false);
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

/* Also while there is always more to do than cores. */
static _Atomic uint32_t enough; /* (a) */

static void run_on(cast_worker *w, work *j) {
  for (uint32_t k = 0; k < 50; k++) os_relax();
  if (unit_read(&enough) == 0)
    cast_sched_again(w, &j->job);
  else
    done(w, j);
}

static void limit_holds_under_load(void **state) {
  CAST_UNUSED(state);
  static const uint32_t limits[] = {1, 3, 2, 5, 1, 4};
  uint64_t patience = os_now() + PATIENCE_NS;
  open_pool(4, 0);
  unit_write(&enough, 0);
  unit_write(&ndone, 0);
  for (uint32_t i = 0; i < 12; i++) {
    works[i].run = run_on;
    cast_sched_ready(NULL, &works[i].job);
  }
  for (uint32_t i = 0; i < unit_times(200); i++) {
    uint32_t n = limits[i % 6];
    cast_sched_limit(n);
    while (cast_sched_busy() != n) {
      assert_true(os_now() < patience);
      os_cede();
    }
  }
  unit_write(&enough, 1);
  await(&ndone, 12);
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
    cmocka_unit_test(no_wake_up_is_lost),
    cmocka_unit_test(every_core_is_used),
    cmocka_unit_test(never_beside_an_idle_core),
    cmocka_unit_test(each_as_often_as_made_ready),
    cmocka_unit_test(permits_are_taken_away),
    cmocka_unit_test(limit_changes_under_way),
    cmocka_unit_test(starts_fail_under_way),
    cmocka_unit_test(limit_holds),
    cmocka_unit_test(limit_holds_under_load),
    cmocka_unit_test(stop_at_any_moment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
