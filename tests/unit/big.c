/* big.c - tests of the cache of large blocks.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include "../../src/big.h"
#include "../../src/os/os.h"

#include <stdlib.h>
#if defined __GLIBC__ && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
#include <malloc.h>
#define WITH_MALLINFO 1
#endif

static void sizes_are_rounded_up(void **state) {
  CAST_UNUSED(state);
  assert_int_equal(cast_big_round(65536), 65536);
  assert_int_equal(cast_big_round(65537), 65536 + 8192);
  assert_int_equal(cast_big_round(131071), 131072);
  for (size_t size = CAST_BIG_MIN; size < 5000000; size += 9973) {
    size_t rounded = cast_big_round(size);
    assert_true(rounded >= size);
    assert_true(rounded - size <= size / 8);
    assert_int_equal(cast_big_round(rounded), rounded);
  }
  assert_int_equal(cast_big_round(PTRDIFF_MAX), PTRDIFF_MAX);
}

static void blocks_are_used_again(void **state) {
  CAST_UNUSED(state);
  cast_big_flush();
  char *a = cast_big_alloc(1000000);
  memset(a, 1, 1000000);
  cast_big_free(a, 1000000);
#ifndef CAST_PLAIN_MEMORY
  assert_int_equal(cast_big_kept(), cast_big_round(1000000));
  char *b = cast_big_alloc(1000100); /* rounded to the same */
  assert_ptr_equal(a, b);
  assert_int_equal(cast_big_kept(), 0);
  char *c = cast_big_alloc(1000000);
  assert_ptr_not_equal(b, c);
  cast_big_free(b, 1000100);
  cast_big_free(c, 1000000);
  assert_int_equal(cast_big_kept(), 2 * cast_big_round(1000000));
#endif
  assert_int_equal(cast_mem_live(), 0);
  cast_big_flush();
  assert_int_equal(cast_big_kept(), 0);
}

static void small_ones_are_not_kept(void **state) {
  CAST_UNUSED(state);
  cast_big_flush();
  void *p = cast_big_alloc(100);
  p = cast_big_realloc(p, 100, 70000);
  p = cast_big_realloc(p, 70000, 71000);
  p = cast_big_realloc(p, 71000, 50);
  cast_big_free(p, 50);
  cast_big_free(NULL, 70000);
  assert_int_equal(cast_big_kept(), 0);
  assert_int_equal(cast_mem_live(), 0);
}

static void the_cache_is_bounded(void **state) {
  CAST_UNUSED(state);
  enum { N = 100 };
  void *p[N];
  for (int i = 0; i < N; i++) p[i] = cast_big_alloc(1 << 20);
  for (int i = 0; i < N; i++) cast_big_free(p[i], 1 << 20);
  assert_true(cast_big_kept() <= CAST_BIG_KEPT);
#ifndef CAST_PLAIN_MEMORY
  assert_int_equal(cast_big_kept(), CAST_BIG_KEPT);
#endif
  size_t huge = (size_t)1 << (CAST_BIG_BITS + 1);
  cast_big_flush();
  void *q = cast_big_alloc(huge);
  cast_big_free(q, huge);
  assert_int_equal(cast_big_kept(), 0);
  assert_int_equal(cast_mem_live(), 0);
}

static void failures(void **state) {
  CAST_UNUSED(state);
  cast_big_flush();
  cast_mem_fail_at(1);
  assert_null(cast_big_alloc(1 << 20));
  cast_mem_fail_at(0);
  void *p = cast_big_alloc(1 << 20);
  cast_big_free(p, 1 << 20);
  cast_mem_fail_at(1); /* one from the cache fails as well, and is freed */
  assert_null(cast_big_alloc(1 << 20));
  cast_mem_fail_at(0);
  assert_int_equal(cast_big_kept(), 0);
  assert_int_equal(cast_mem_live(), 0);
}

/* A block of less than what was shown to the C library is not mapped. The first
   test, since others free large blocks. */
static void blocks_stay_in_the_heap(void **state) {
  CAST_UNUSED(state);
  os_malloc_learn(CAST_BIG_SHOWN);
#ifdef WITH_MALLINFO
  size_t before = mallinfo2().hblks;
  void *volatile p = malloc(CAST_BIG_SHOWN / 2);
  assert_int_equal(mallinfo2().hblks, before);
  free(p);
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(blocks_stay_in_the_heap),
    cmocka_unit_test(sizes_are_rounded_up),
    cmocka_unit_test(blocks_are_used_again),
    cmocka_unit_test(small_ones_are_not_kept),
    cmocka_unit_test(the_cache_is_bounded),
    cmocka_unit_test(failures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
