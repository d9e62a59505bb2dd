/* context.c - tests of runners: leaving a stack, coming back to it.
   SPDX-License-Identifier: MIT

   The runners here run no sessions: each has a thread, and a loop that does
   what the test wants. */
#include "fixture.h"

#include "../../src/context.h"

typedef struct track {
  cast_runner runner;
  os_context *own;   /* of its thread */
  os_context *stack; /* what it has left */
  uint32_t loops;    /* times that its loop began */
} track;

static track *track_of(cast_runner *r) {
  return CAST_CONTAINER(r, track, runner);
}

/* Goes back to what was left. */
static void jump_back(cast_runner *r) {
  track *x = track_of(r);
  os_context *to = x->stack;
  x->loops++;
  CAST_ALWAYS(to != NULL && r->at != to && r->left == NULL);
  x->stack = NULL;
  cast_runner_jump(r, to);
}

static void begin(track *x, void (*loop)(cast_runner *)) {
  memset(x, 0, sizeof *x);
  x->runner.loop = loop;
  x->own = x->runner.at = os_context_adopt();
  CAST_ALWAYS(x->own != NULL);
}

static void end(track *x) {
  CAST_ALWAYS(x->runner.at == x->own);
  cast_runner_fini(&x->runner);
  CAST_ALWAYS(x->runner.spare == NULL);
  os_context_free(x->own);
}

static void reserves_once(void **state) {
  CAST_UNUSED(state);
  track x;
  cast_contexts_init();
  begin(&x, jump_back);
  cast_runner_fini(&x.runner); /* nothing to give back */
  assert_int_equal(cast_runner_reserve(&x.runner), 0);
  os_context *spare = x.runner.spare;
  assert_non_null(spare);
  assert_int_equal(cast_runner_reserve(&x.runner), 0);
  assert_ptr_equal(x.runner.spare, spare);
  cast_runner_fini(&x.runner);
  assert_int_equal(cast_runner_reserve(&x.runner), 0);
  assert_ptr_equal(x.runner.spare, spare); /* out of the pool */
  end(&x);
  cast_contexts_fini();
}

static void there_and_back(void **state) {
  CAST_UNUSED(state);
  track x;
  cast_contexts_init();
  begin(&x, jump_back);
  for (uint32_t i = 1; i <= 1000; i++) {
    assert_int_equal(cast_runner_reserve(&x.runner), 0);
    os_context *spare = x.runner.spare;
    cast_runner_fork(&x.runner, &x.stack);
    assert_int_equal(x.loops, i);
    assert_ptr_equal(x.runner.at, x.own);
    assert_ptr_equal(x.runner.left, spare);
    cast_runner_arrived(&x.runner);
    assert_null(x.runner.left);
    assert_ptr_equal(x.runner.spare, spare); /* reset, for the next time */
    cast_runner_arrived(&x.runner);          /* again: nothing */
    if (i % 3 == 0) cast_runner_fini(&x.runner);
  }
  end(&x);
  cast_contexts_fini();
}

/* A stack that was left while there is a spare one goes into the pool, and the
   pool keeps no more than it has room for. */
static void pool_has_a_limit(void **state) {
  CAST_UNUSED(state);
  enum { MORE = CAST_CONTEXTS_MAX + 10 };
  static track x[MORE];
  cast_contexts_init();
  for (int round = 0; round < 2; round++) {
    for (size_t i = 0; i < MORE; i++) {
      begin(&x[i], jump_back);
      assert_int_equal(cast_runner_reserve(&x[i].runner), 0);
    }
    for (size_t i = 0; i < MORE; i++) {
      cast_runner_fork(&x[i].runner, &x[i].stack);
      assert_int_equal(cast_runner_reserve(&x[i].runner), 0);
      cast_runner_arrived(&x[i].runner);
      end(&x[i]);
    }
  }
  cast_contexts_fini();
}

/* -- held by tasks, continued by others ----------------------------------- */

enum { HELD = 10, THREADS = 3 };

/* A bag of stacks that anybody may continue. */
static struct {
  cast_lock lock;
  os_context *stack[HELD + THREADS]; /* (lock) */
  uint32_t count;                    /* (lock) */
  uint32_t nended;                   /* (lock) */
  uint32_t steps;                    /* (i) of each */
} bag;

typedef struct strand {
  uint32_t done;      /* whoever runs it: not atomic */
  cast_runner *where; /* the runner that runs it */
} strand;

static strand strands[HELD];
static _Thread_local track *mine; /* of this thread */

/* Not inlined: the thread changes on a switch. */
static CAST_NOINLINE track *here(void) {
  __asm__ __volatile__("" ::: "memory");
  return mine;
}

static os_context *take_any(void) {
  os_context *c = NULL;
  cast_lock_take(&bag.lock);
  if (bag.count > 0) {
    uint32_t i = bag.count / 2;
    c = bag.stack[i];
    bag.stack[i] = bag.stack[--bag.count];
  }
  cast_lock_drop(&bag.lock);
  return c;
}

static _Thread_local os_context *leaving; /* to be put when it is left */

static CAST_NOINLINE void put_left(void) {
  __asm__ __volatile__("" ::: "memory");
  os_context *c = leaving;
  leaving = NULL;
  if (c == NULL) return;
  cast_lock_take(&bag.lock);
  bag.stack[bag.count++] = c;
  cast_lock_drop(&bag.lock);
}

static CAST_NOINLINE os_context **to_leave(void) {
  __asm__ __volatile__("" ::: "memory");
  return &leaving;
}

static bool all_ended(void) {
  cast_lock_take(&bag.lock);
  bool all = bag.nended == HELD;
  cast_lock_drop(&bag.lock);
  return all;
}

/* What a fresh stack does: whatever is in the bag, until all have ended; then
   back to the thread's own. */
static void run_any(cast_runner *r) {
  put_left();
  for (;;) {
    os_context *c = all_ended() ? track_of(r)->own : take_any();
    if (c != NULL) cast_runner_jump(r, c);
    os_cede();
  }
}

/* Leaves its stack to the bag again and again; whoever takes it goes on. */
static void live(strand *s) {
  char frame[200];
  while (s->done < bag.steps) {
    memset(frame, (int)s->done, sizeof frame);
    s->where = &here()->runner;
    CAST_ALWAYS(cast_runner_reserve(s->where) == 0);
    cast_runner_fork(s->where, to_leave());
    cast_runner_arrived(&here()->runner);
    CAST_ALWAYS(frame[100] == (char)s->done);
    s->done++;
  }
  cast_lock_take(&bag.lock);
  bag.nended++;
  cast_lock_drop(&bag.lock);
}

static _Atomic uint32_t nborn;    /* (a) strands that have begun */
static _Atomic uint32_t nstarted; /* (a) threads that have */

static void strand_or_any(cast_runner *unused) {
  CAST_UNUSED(unused);
  put_left();
  for (;;) {
    uint32_t i = unit_count(&nborn) - 1;
    if (i >= HELD) break;
    live(&strands[i]);
  }
  unit_write(&nborn, HELD);
  run_any(&here()->runner);
}

static void thread_main(void *arg) {
  track x;
  CAST_UNUSED(arg);
  begin(&x, strand_or_any);
  mine = &x;
  unit_count(&nstarted);
  while (unit_read(&nstarted) < THREADS) os_cede();
  CAST_ALWAYS(cast_runner_reserve(&x.runner) == 0);
  cast_runner_fork(&x.runner, &x.runner.at);
  cast_runner_arrived(&x.runner);
  end(&x);
}

static void others_go_on_with_it(void **state) {
  CAST_UNUSED(state);
  os_thread thread[THREADS];
  cast_contexts_init();
  memset(&bag, 0, sizeof bag);
  memset(strands, 0, sizeof strands);
  cast_lock_init(&bag.lock, CAST_RANK_LEAF);
  unit_write(&nborn, 0);
  unit_write(&nstarted, 0);
  bag.steps = unit_times(1000);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(os_thread_start(&thread[i], thread_main, NULL, "run"), 0);
  for (int i = 0; i < THREADS; i++) os_thread_join(&thread[i]);
  assert_int_equal(bag.nended, HELD);
  assert_int_equal(bag.count, 0);
  for (int i = 0; i < HELD; i++) assert_int_equal(strands[i].done, bag.steps);
  cast_contexts_fini();
}

/* -- no memory ------------------------------------------------------------ */

#if !defined(UNIT_SLOW)
/* No more address space than there is: a stack cannot be had. */
static void reserve_without_memory(void *arg) {
  track x;
  struct rlimit none = {0, 0};
  CAST_UNUSED(arg);
  cast_contexts_init();
  begin(&x, jump_back);
  if (setrlimit(RLIMIT_AS, &none) != 0) _exit(0);
  CAST_ALWAYS(cast_runner_reserve(&x.runner) == CASTING_ENOMEM);
  CAST_ALWAYS(x.runner.spare == NULL);
  CAST_ALWAYS(cast_runner_reserve(&x.runner) == CASTING_ENOMEM);
  cast_runner_fini(&x.runner);
}
#endif

static void no_memory_for_a_stack(void **state) {
  CAST_UNUSED(state);
#if defined(UNIT_SLOW)
  skip(); /* a sanitizer's own memory is limited, too */
#else
  if (unit_valgrind() || getenv("CASTING_EMULATED") != NULL) skip();
  assert_false(unit_dies(reserve_without_memory, NULL));
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(reserves_once, unit_clean),
    cmocka_unit_test_teardown(there_and_back, unit_clean),
    cmocka_unit_test_teardown(pool_has_a_limit, unit_clean),
    cmocka_unit_test_teardown(others_go_on_with_it, unit_clean),
    cmocka_unit_test_teardown(no_memory_for_a_stack, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
