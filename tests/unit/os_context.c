/* os_context.c - tests of C stacks: switching, moving, starting again.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include <fenv.h>

#include "../../src/limits.h"
#include "../../src/os/os.h"

enum { SWITCHES = 20000, RING = 100, LAPS = 50 };

static os_context *home; /* the test's own stack */
static os_context *away;

static void setup(void) {
  home = os_context_adopt();
  assert_non_null(home);
}

static void finish(void) {
  os_context_free(away);
  os_context_free(home);
  away = home = NULL;
}

/* -- ping-pong */

static uint64_t sum;

static void add_for_ever(void *arg) {
  uint64_t *step = arg;
  for (uint64_t i = 0;; i++) {
    sum += *step + i;
    os_context_switch(away, home);
  }
}

static void ping_pong(void **state) {
  CAST_UNUSED(state);
  uint64_t step = 3, expected = 0;
  setup();
  sum = 0;
  away = os_context_new(CAST_STACK_MOST, add_for_ever, &step);
  assert_non_null(away);
  for (uint64_t i = 0; i < SWITCHES; i++) {
    os_context_switch(home, away);
    expected += step + i;
    assert_true(sum == expected);
  }
  finish();
}

static void never_started_is_freed(void **state) {
  CAST_UNUSED(state);
  setup();
  away = os_context_new(1, add_for_ever, NULL); /* the least there is */
  assert_non_null(away);
  finish();
}

static void too_large_is_refused(void **state) {
  CAST_UNUSED(state);
  assert_null(os_context_new(SIZE_MAX, add_for_ever, NULL));
  assert_null(os_context_new(SIZE_MAX / 2, add_for_ever, NULL));
}

/* -- many, each continued in turn */

static os_context *ring[RING];
static uint32_t laps[RING];

static void run_round(void *arg) {
  size_t i = (size_t)((uint32_t *)arg - laps);
  for (;;) {
    laps[i]++;
    os_context_switch(ring[i], i + 1 < RING ? ring[i + 1] : home);
  }
}

static void a_ring_of_them(void **state) {
  CAST_UNUSED(state);
  setup();
  memset(laps, 0, sizeof laps);
  for (size_t i = 0; i < RING; i++) {
    ring[i] = os_context_new(64 << 10, run_round, &laps[i]);
    assert_non_null(ring[i]);
  }
  for (uint32_t lap = 1; lap <= LAPS; lap++) {
    os_context_switch(home, ring[0]);
    for (size_t i = 0; i < RING; i++) assert_int_equal(laps[i], lap);
  }
  for (size_t i = 0; i < RING; i++) os_context_free(ring[i]);
  os_context_free(home);
}

/* -- the whole stack */

/* Goes down `left` bytes, writing all of them, and back. Every so often it
   leaves for home from down there. */
static CAST_NOINLINE uint32_t dig(size_t left) {
  _Atomic unsigned char frame[8192];
  uint32_t marks = 0;
  for (size_t i = 0; i < sizeof frame; i++)
    atomic_store_explicit(&frame[i], (unsigned char)left, memory_order_relaxed);
  if (left % 7 == 0) os_context_switch(away, home);
  if (left > sizeof frame) marks = dig(left - sizeof frame - 1);
  for (size_t i = 0; i < sizeof frame; i += 512)
    if (atomic_load_explicit(&frame[i], memory_order_relaxed) ==
        (unsigned char)left)
      marks++;
  return marks;
}

static uint32_t found;
static bool has_ended;

static void dig_main(void *arg) {
  found = dig(*(size_t *)arg);
  has_ended = true;
  for (;;) os_context_switch(away, home);
}

static void deep_use(void **state) {
  CAST_UNUSED(state);
  size_t depth = CAST_STACK_MOST / 4; /* sanitizers' frames are larger */
  setup();
  away = os_context_new(CAST_STACK_MOST, dig_main, &depth);
  assert_non_null(away);
  has_ended = false;
  while (!has_ended) os_context_switch(home, away);
  assert_int_equal(found, (depth / 8193 + (depth % 8193 > 0)) * 16);
  finish();
}

static void overflow(void *arg) {
  CAST_UNUSED(arg);
  size_t depth = 100 * CAST_STACK_MOST;
  home = os_context_adopt();
  away = os_context_new(CAST_STACK_MOST, dig_main, &depth);
  has_ended = false;
  while (!has_ended) os_context_switch(home, away);
}

static void overflow_faults(void **state) {
  CAST_UNUSED(state);
  assert_true(unit_dies(overflow, NULL));
}

/* A frame that is touched from its low end on, as with a buffer that is not
   full: the guard must be larger, or it is the next stack that is hit. Not
   instrumented, or a sanitizer keeps the frame elsewhere. */
#if defined(__GNUC__)
__attribute__((no_sanitize_address, no_sanitize_thread))
#endif
static CAST_NOINLINE char
leap(void) {
  _Atomic char frame[26 << 10]; /* the stacks below have 16 to 20 KiB */
  atomic_store_explicit(&frame[0], 1, memory_order_relaxed);
  return atomic_load_explicit(&frame[0], memory_order_relaxed);
}

static void leap_main(void *arg) {
  CAST_UNUSED(arg);
  has_ended = leap() != 0;
  for (;;) os_context_switch(away, home);
}

static void leap_beyond(void *arg) {
  CAST_UNUSED(arg);
  home = os_context_adopt();
  away = os_context_new(1, leap_main, NULL);
  for (size_t i = 0; i < 8; i++) /* most likely, the next lies below */
    (void)os_context_new(1, leap_main, NULL);
  os_context_switch(home, away);
}

static void a_leap_faults(void **state) {
  CAST_UNUSED(state);
  assert_true(unit_dies(leap_beyond, NULL));
}

/* -- starting again */

static void count_and_leave(void *arg) {
  uint32_t *count = arg;
  (*count)++;
  os_context_switch(away, home); /* for good: to return would abort */
}

/* Abandoned deep down, with redzones of all its frames still there. */
static CAST_NOINLINE void leave_from(int depth, uint32_t *count) {
  char frame[512];
  memset(frame, depth, sizeof frame);
  if (depth < 0) return; /* never, but compilers fear for the end */
  if (depth == 0)
    count_and_leave(count);
  else
    leave_from(depth - 1, count);
  CAST_ALWAYS(frame[5] == depth);
}

static void leave_deep(void *arg) { leave_from(100, arg); }

/* Code that was built without a sanitizer, as a host's Lua is: its memset is
   checked all the same, and must not meet redzones of frames long gone. */
#if defined(__GNUC__)
__attribute__((no_sanitize_address))
#endif
static CAST_NOINLINE void
foreign(size_t n) {
  char frame[100000];
  CAST_ALWAYS(n <= sizeof frame);
  memset(frame, 1, n);
  CAST_ALWAYS(memchr(frame, 0, n) == NULL);
}

static void foreign_main(void *arg) {
  foreign(*(size_t *)arg);
  os_context_switch(away, home);
}

static void reset_starts_again(void **state) {
  CAST_UNUSED(state);
  uint32_t a = 0, b = 0, c = 0;
  size_t all = 100000;
  setup();
  away = os_context_new(CAST_STACK_MOST, count_and_leave, &a);
  assert_non_null(away);
  os_context_reset(away, count_and_leave, &b); /* before it ever ran */
  os_context_switch(home, away);
  for (uint32_t i = 1; i <= 200; i++) {
    os_context_reset(away, count_and_leave, &a);
    os_context_switch(home, away);
    os_context_reset(away, leave_deep, &c);
    os_context_switch(home, away);
    os_context_reset(away, foreign_main, &all);
    os_context_switch(home, away);
    assert_int_equal(a, i);
    assert_int_equal(c, i);
  }
  assert_int_equal(b, 1);
  finish();
}

/* -- errors thrown and caught on one stack, as Lua does */

static CAST_NOINLINE void throw(jmp_buf * to, int depth) {
  char frame[256];
  memset(frame, depth, sizeof frame);
  if (depth < 0) return; /* as above */
  if (depth == 0)
    longjmp(*to, 1);
  else
    throw(to, depth - 1);
  CAST_ALWAYS(frame[3] == depth);
}

static void catch (void) {
  jmp_buf here;
  _Atomic int caught = 0;
  if (setjmp(here) == 0)
    throw(&here, 20);
  else
    atomic_store_explicit(&caught, 1, memory_order_relaxed);
  CAST_ALWAYS(atomic_load_explicit(&caught, memory_order_relaxed) == 1);
}

static void catch_for_ever(void *arg) {
  CAST_UNUSED(arg);
  for (;;) {
    catch ();
    os_context_switch(away, home);
  }
}

static void errors_stay_on_their_stack(void **state) {
  CAST_UNUSED(state);
  setup();
  away = os_context_new(CAST_STACK_MOST, catch_for_ever, NULL);
  assert_non_null(away);
  for (int i = 0; i < 100; i++) {
    catch ();
    os_context_switch(home, away);
    catch ();
  }
  finish();
}

/* -- floating point */

#if defined(__x86_64__)
#include <xmmintrin.h>
static unsigned mode_of(void) { return _mm_getcsr() & 0xffc0u; }
#else
static unsigned mode_of(void) { return (unsigned)fegetround(); }
#endif

static void round_up(void *arg) {
  double *value = arg;
  CAST_ALWAYS(fegetround() == FE_TONEAREST); /* the maker's, to begin with */
  CAST_ALWAYS(fesetround(FE_UPWARD) == 0);
  unsigned mode = mode_of();
  double a = value[0], b = value[1], c = value[2], d = value[3];
  for (;;) {
    os_context_switch(away, home);
    CAST_ALWAYS(fegetround() == FE_UPWARD && mode_of() == mode);
    /* Kept in registers that a call keeps, where there are such. */
    CAST_ALWAYS(a == value[0] && b == value[1]);
    CAST_ALWAYS(c == value[2] && d == value[3]);
  }
}

static void floating_point_modes_are_kept(void **state) {
  CAST_UNUSED(state);
  double value[4] = {1.5, 2.25, -3.125, 4.0625};
  setup();
  unsigned mode = mode_of();
  away = os_context_new(CAST_STACK_MOST, round_up, value);
  assert_non_null(away);
  for (int i = 0; i < 100; i++) {
    double a = value[i % 4], b = a * 2;
    os_context_switch(home, away);
    assert_int_equal(fegetround(), FE_TONEAREST);
    assert_int_equal(mode_of(), mode);
    assert_true(a == value[i % 4] && b == a * 2);
  }
  finish();
}

/* -- continued by another thread */

enum { MOVERS = 3, MOVES = 3000 };

typedef struct mover {
  os_thread thread;
  uint32_t number;
  uint32_t runs;
} mover;

static mover movers[MOVERS];
static os_context *moving;
static os_context *caller;    /* who continued `moving`; guarded by turn */
static uint64_t seen;         /* guarded by turn */
static _Atomic uint32_t turn; /* (a) whose turn it is: turn % MOVERS */

static void move_main(void *arg) {
  CAST_UNUSED(arg);
  uint64_t count = 0;
  for (;;) {
    char text[64];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)count++);
    catch ();
    os_context_switch(moving, caller);
    seen = count;
    CAST_ALWAYS(text[0] != '\0');
  }
}

static void mover_main(void *arg) {
  mover *m = arg;
  os_context *own = os_context_adopt();
  CAST_ALWAYS(own != NULL);
  for (;;) {
    /* PAIR turn: acquire all that the last mover, and `moving`, did. */
    uint32_t now = atomic_load_explicit(&turn, memory_order_acquire);
    if (now >= MOVES) break;
    if (now % MOVERS != m->number) {
      (void)os_wait(&turn, now, OS_FOREVER);
      continue;
    }
    caller = own;
    os_context_switch(own, moving);
    m->runs++;
    catch ();
    /* PAIR turn: release the context to the next thread. */
    atomic_store_explicit(&turn, now + 1, memory_order_release);
    os_wake(&turn, MOVERS);
  }
  os_context_free(own);
}

static void threads_pass_it_on(void **state) {
  CAST_UNUSED(state);
  moving = os_context_new(CAST_STACK_MOST, move_main, NULL);
  assert_non_null(moving);
  for (uint32_t i = 0; i < MOVERS; i++) {
    movers[i].number = i;
    movers[i].runs = 0;
    assert_int_equal(
      os_thread_start(&movers[i].thread, mover_main, &movers[i], "os"), 0);
  }
  for (uint32_t i = 0; i < MOVERS; i++) os_thread_join(&movers[i].thread);
  for (uint32_t i = 0; i < MOVERS; i++)
    assert_int_equal(movers[i].runs, MOVES / MOVERS);
  assert_int_equal(seen, MOVES - 1);
  os_context_free(moving);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(ping_pong),
    cmocka_unit_test(never_started_is_freed),
    cmocka_unit_test(too_large_is_refused),
    cmocka_unit_test(a_ring_of_them),
    cmocka_unit_test(deep_use),
    cmocka_unit_test(overflow_faults),
    cmocka_unit_test(a_leap_faults),
    cmocka_unit_test(reset_starts_again),
    cmocka_unit_test(errors_stay_on_their_stack),
    cmocka_unit_test(floating_point_modes_are_kept),
    cmocka_unit_test(threads_pass_it_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
