/* region.c - tests of where slabs come from.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include "../../src/limits.h"
#include "../../src/region.h"

enum { MANY = 5 * CAST_REGION_SLABS + 1, FIRST = sizeof(void *) };

static void *slabs[MANY];

/* huge: of the pool of huge pages; or some of each. */
static void take_all(bool huge, bool both) {
  for (int i = 0; i < MANY; i++) {
    slabs[i] = cast_region_slab(both ? i % 3 == 0 : huge);
    assert_non_null(slabs[i]);
    assert_int_equal((uintptr_t)slabs[i] % CAST_SLAB_SIZE, 0);
    memset((char *)slabs[i] + FIRST, i, CAST_SLAB_SIZE - FIRST);
  }
}

static void check(int i) {
  const unsigned char *at = slabs[i];
  assert_int_equal(at[FIRST], i & 255);
  assert_int_equal(at[CAST_SLAB_SIZE - 1], i & 255);
}

static void slabs_are_their_users(void **state) {
  CAST_UNUSED(state);
  for (int round = 0; round < 6; round++) {
    take_all(round % 3 == 1, round % 3 == 2);
    for (int i = 0; i < MANY; i++) check(i);
    for (int i = round % 2; i < MANY; i += 2) cast_region_give(slabs[i]);
    for (int i = 1 - round % 2; i < MANY; i += 2) {
      check(i);
      cast_region_give(slabs[i]);
    }
  }
  assert_int_equal(cast_mem_live(), 0);
  cast_region_flush();
  assert_int_equal(cast_region_kept(), 0);
}

#ifndef CAST_PLAIN_MEMORY
static void regions_are_kept_and_used_again(void **state) {
  CAST_UNUSED(state);
  const size_t size = (size_t)CAST_REGION_SLABS * CAST_SLAB_SIZE;
  take_all(false, false);
  assert_int_equal(cast_region_kept(), 0);
  for (int i = 0; i < MANY; i++) cast_region_give(slabs[i]);
  assert_int_equal(cast_region_kept(), 6 * size);
  void *one = cast_region_slab(false);
  assert_int_equal(cast_region_kept(), 5 * size);
  assert_int_not_equal(cast_mem_live(), 0);
  cast_region_flush(); /* not what is used */
  assert_int_equal(cast_region_kept(), 0);
  memset((char *)one + FIRST, 1, CAST_SLAB_SIZE - FIRST);
  cast_region_give(one);
  assert_int_equal(cast_region_kept(), size);
  assert_int_equal(cast_mem_live(), 0);
  cast_region_flush();
}

static void few_are_kept(void **state) {
  CAST_UNUSED(state);
  enum { N = (CAST_REGIONS_KEPT + 3) * CAST_REGION_SLABS };
  static void *at[N];
  for (int i = 0; i < N; i++) assert_non_null(at[i] = cast_region_slab(false));
  for (int i = 0; i < N; i++) cast_region_give(at[i]);
  assert_int_equal(cast_region_kept(),
    (size_t)CAST_REGIONS_KEPT * CAST_REGION_SLABS * CAST_SLAB_SIZE);
  assert_int_equal(cast_mem_live(), 0);
  cast_region_flush();
}
#endif

static void failures(void **state) {
  CAST_UNUSED(state);
  for (int n = 1; n <= 6; n++) {
    cast_mem_fail_at((uint64_t)(n + 1) / 2);
    assert_null(cast_region_slab(n % 2 == 0));
    assert_true(cast_mem_has_failed());
    assert_int_equal(cast_mem_live(), 0);
  }
  cast_mem_fail_at(0);
  cast_region_give(cast_region_slab(false));
  cast_region_flush();
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(slabs_are_their_users),
#ifndef CAST_PLAIN_MEMORY
    cmocka_unit_test(regions_are_kept_and_used_again),
    cmocka_unit_test(few_are_kept),
#endif
    cmocka_unit_test(failures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
