/* mem.c - tests of allocation, its accounting and injected failures.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include "../../src/mem.h"
#include "../../src/os/os.h"

enum { THREADS = 4, ROUNDS = 2000 };

static void need_debug(void) {
  if (CAST_DEBUG < 1) skip();
}

static void blocks(void **state) {
  CAST_UNUSED(state);
  char *a = cast_alloc(10);
  assert_non_null(a);
  memcpy(a, "123456789", 10);
  a = cast_realloc(a, 100000);
  assert_non_null(a);
  assert_string_equal(a, "123456789");
  a = cast_realloc(a, 10);
  assert_string_equal(a, "123456789");
  unsigned char *zeros = cast_calloc(1000);
  assert_non_null(zeros);
  for (int i = 0; i < 1000; i++) assert_int_equal(zeros[i], 0);
  cast_free(a);
  cast_free(zeros);
  cast_free(NULL);
}

static void huge_is_refused(void **state) {
  CAST_UNUSED(state);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
  !defined(__clang__)
  /* Sanitizers end the process instead of returning NULL. */
  size_t most = SIZE_MAX / 4;
  assert_null(cast_alloc(most));
  void *a = cast_alloc(1);
  assert_null(cast_realloc(a, most));
  cast_free(a);
#endif
}

static void live_counts_blocks(void **state) {
  CAST_UNUSED(state);
  need_debug();
  int64_t before = cast_mem_live();
  void *a = cast_alloc(1);
  void *b = cast_calloc(2);
  void *c = cast_realloc(NULL, 3);
  assert_int_equal(cast_mem_live(), before + 3);
  c = cast_realloc(c, 3000);
  assert_int_equal(cast_mem_live(), before + 3);
  cast_free(a);
  cast_free(b);
  cast_free(c);
  cast_free(NULL);
  assert_int_equal(cast_mem_live(), before);
}

static void nth_fails_once(void **state) {
  CAST_UNUSED(state);
  need_debug();
  int64_t before = cast_mem_live();
  cast_mem_fail_at(2);
  void *a = cast_alloc(8);
  assert_non_null(a);
  assert_false(cast_mem_has_failed());
  assert_null(cast_realloc(a, 16));
  assert_true(cast_mem_has_failed());
  a = cast_realloc(a, 16);
  assert_non_null(a);
  cast_mem_fail_at(1);
  assert_false(cast_mem_has_failed());
  assert_null(cast_calloc(8));
  assert_true(cast_mem_has_failed());
  cast_mem_fail_at(1);
  cast_mem_fail_at(0);
  void *b = cast_alloc(8);
  assert_non_null(b);
  assert_false(cast_mem_has_failed());
  cast_free(a);
  cast_free(b);
  assert_int_equal(cast_mem_live(), before);
}

static void from_nth_all_fail(void **state) {
  CAST_UNUSED(state);
  need_debug();
  cast_mem_fail_from(2);
  void *a = cast_alloc(8);
  assert_non_null(a);
  for (int i = 0; i < 5; i++) assert_null(cast_alloc(8));
  assert_true(cast_mem_has_failed());
  cast_mem_fail_from(0);
  void *b = cast_alloc(8);
  assert_non_null(b);
  cast_free(a);
  cast_free(b);
}

/* Drawn from a seed: the same ones each time, as many as asked for. */
static void some_fail(void **state) {
  CAST_UNUSED(state);
  need_debug();
  uint64_t first[4] = {0};
  for (int run = 0; run < 4; run++) {
    unsigned failed = 0;
    cast_mem_fail_every(8, run < 2 ? 5 : (uint64_t)run);
    for (int i = 0; i < 512; i++) {
      void *a = cast_alloc(8);
      if (a == NULL) failed++;
      if (a == NULL) first[run] = first[run] * 31 + (uint64_t)i;
      cast_free(a);
    }
    assert_in_range(failed, 512 / 8 / 2, 512 / 8 * 2);
  }
  cast_mem_fail_every(0, 0);
  assert_true(first[0] == first[1]);
  assert_true(first[0] != first[2] && first[2] != first[3]);
  void *a = cast_alloc(8);
  assert_non_null(a);
  cast_free(a);
}

static void for_lua(void **state) {
  CAST_UNUSED(state);
  int64_t before = cast_mem_live();
  assert_null(cast_mem_lua(NULL, NULL, 5, 0));
  /* Without a block, the old size may be a type tag: larger than the new. */
  char *a = cast_mem_lua(NULL, NULL, 8, 4);
  assert_non_null(a);
  memcpy(a, "abc", 4);
  a = cast_mem_lua(NULL, a, 4, 4000);
  assert_string_equal(a, "abc");
  cast_mem_fail_from(1);
  if (CAST_DEBUG >= 1) {
    assert_null(cast_mem_lua(NULL, a, 4000, 4001));
    assert_null(cast_mem_lua(NULL, NULL, 8, 4));
  }
  a = cast_mem_lua(NULL, a, 4000, 4); /* never fails */
  cast_mem_fail_from(0);
  assert_non_null(a);
  assert_string_equal(a, "abc");
  if (CAST_DEBUG >= 1) assert_int_equal(cast_mem_live(), before + 1);
  assert_null(cast_mem_lua(NULL, a, 4, 0));
  assert_int_equal(cast_mem_live(), before);
}

static _Atomic int refused;

static void allocate(void *arg) {
  CAST_UNUSED(arg);
  for (int i = 0; i < ROUNDS; i++) {
    void *a = cast_alloc(16);
    if (a == NULL) atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
    cast_free(a);
  }
}

static void threads_count_together(void **state) {
  CAST_UNUSED(state);
  os_thread thread[THREADS];
  int64_t before = cast_mem_live();
  cast_mem_fail_at(THREADS * ROUNDS / 2);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(os_thread_start(&thread[i], allocate, NULL, "mem"), 0);
  for (int i = 0; i < THREADS; i++) os_thread_join(&thread[i]);
  assert_int_equal(refused, CAST_DEBUG >= 1 ? 1 : 0);
  assert_int_equal(cast_mem_live(), before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(blocks),
    cmocka_unit_test(huge_is_refused),
    cmocka_unit_test(live_counts_blocks),
    cmocka_unit_test(nth_fails_once),
    cmocka_unit_test(from_nth_all_fail),
    cmocka_unit_test(some_fail),
    cmocka_unit_test(for_lua),
    cmocka_unit_test(threads_count_together),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
