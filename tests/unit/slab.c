/* slab.c - tests of the memory of Lua states.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include "../../src/big.h"
#include "../../src/region.h"
#include "../../src/slab.h"

static cast_slabs slabs;

static int setup(void **state) {
  CAST_UNUSED(state);
  memset(&slabs, 0, sizeof slabs);
  return 0;
}

static int teardown(void **state) {
  CAST_UNUSED(state);
  cast_slabs_fini(&slabs);
  CAST_ALWAYS(cast_mem_live() == 0);
  cast_big_flush();
  cast_region_flush();
  return 0;
}

static void *make(size_t size) {
  return cast_slabs_lua(&slabs, NULL, 5, size); /* 5: a kind of object */
}

static void drop(void *p, size_t size) {
  assert_null(cast_slabs_lua(&slabs, p, size, 0));
}

static uint32_t seed = 1;
static uint32_t random_below(uint32_t n) {
  seed = seed * 1664525 + 1013904223;
  return (seed >> 8) % n;
}

static size_t random_size(void) {
  switch (random_below(10)) {
  case 0: return 1 + random_below(3000);
  case 1: return 900 + random_below(300);
  case 2: return 60000 + random_below(20000);
  default: return 1 + random_below(200);
  }
}

static void fill(unsigned char *p, size_t size, unsigned v) {
  for (size_t i = 0; i < size; i++) p[i] = (unsigned char)(v + i);
}
static void check(const unsigned char *p, size_t size, unsigned v) {
  for (size_t i = 0; i < size; i++)
    if (p[i] != (unsigned char)(v + i)) fail_msg("byte %zu of %zu", i, size);
}

/* Blocks keep their content, whatever is done to others. */
static void contents_stay(void **state) {
  CAST_UNUSED(state);
  enum { N = 500 };
  static unsigned char *at[N];
  static size_t size[N];
  size_t sum = 0;
  for (int round = 0; round < 60000; round++) {
    unsigned i = random_below(N);
    if (at[i] == NULL) {
      size[i] = random_size();
      at[i] = make(size[i]);
      assert_int_equal((uintptr_t)at[i] % 16, 0);
      fill(at[i], size[i], i);
      sum += size[i];
    } else if (random_below(2) == 0) {
      size_t more = random_size();
      check(at[i], size[i], i);
      at[i] = cast_slabs_lua(&slabs, at[i], size[i], more);
      check(at[i], size[i] < more ? size[i] : more, i);
      fill(at[i], more, i);
      sum += more - size[i];
      size[i] = more;
    } else {
      check(at[i], size[i], i);
      drop(at[i], size[i]);
      sum -= size[i];
      at[i] = NULL;
    }
    assert_int_equal(slabs.bytes, sum);
  }
  for (unsigned i = 0; i < N; i++) {
    if (at[i] != NULL) check(at[i], size[i], i);
    if (at[i] != NULL) drop(at[i], size[i]);
    at[i] = NULL;
  }
  assert_int_equal(slabs.bytes, 0);
}

/* Frees what `held` is of: it is garbage. */
static void *held;
static unsigned reclaimed;
static void reclaim(cast_slabs *s) {
  assert_ptr_equal(s, &slabs);
  reclaimed++;
  if (held != NULL) drop(held, 500);
  held = NULL;
}

static void what_is_charged_counts(void **state) {
  CAST_UNUSED(state);
  assert_true(cast_slabs_charge(&slabs, 0, 5000));
  assert_int_equal(cast_slabs_spare(&slabs, SIZE_MAX), SIZE_MAX);
  assert_true(cast_slabs_charge(&slabs, 5000, 0));
  slabs.max = 1000;
  held = make(500);
  assert_true(cast_slabs_charge(&slabs, 0, 300));
  assert_null(make(201));
  assert_false(cast_slabs_charge(&slabs, 300, 501));
  assert_true(cast_slabs_charge(&slabs, 300, 500));
  assert_int_equal(cast_slabs_bytes(&slabs), 1000);
  assert_int_equal(cast_slabs_spare(&slabs, 0), 0);
  slabs.reclaim = reclaim;
  reclaimed = 0;
  assert_true(cast_slabs_charge(&slabs, 500, 1000));
  assert_null(held);
  assert_false(cast_slabs_charge(&slabs, 0, 1));
  assert_int_equal(reclaimed, 2);
  assert_true(cast_slabs_charge(&slabs, 1000, 400));
  assert_int_equal(cast_slabs_spare(&slabs, 600), 600);
  assert_int_equal(reclaimed, 2);
  slabs.max = 300; /* as it is at the end of a session: it was more */
  assert_int_equal(cast_slabs_spare(&slabs, 0), 0);
  assert_true(cast_slabs_charge(&slabs, 400, 0));
  assert_int_equal(cast_slabs_bytes(&slabs), 0);
}

static void the_limit_holds(void **state) {
  CAST_UNUSED(state);
  slabs.max = 1000;
  void *a = make(600);
  assert_non_null(a);
  assert_null(make(401));
  void *b = make(400);
  assert_non_null(b);
  assert_null(cast_slabs_lua(&slabs, b, 400, 401));
  b = cast_slabs_lua(&slabs, b, 400, 300);
  assert_non_null(b);
  assert_non_null(b = cast_slabs_lua(&slabs, b, 300, 400));
  drop(a, 600);
  drop(b, 400);
  assert_int_equal(slabs.bytes, 0);
}

#ifndef CAST_PLAIN_MEMORY
/* What a peak took is given back, but for half of the slabs. */
static void a_peak_passes(void **state) {
  CAST_UNUSED(state);
  enum { N = 100000 };
  static void *at[N];
  for (int i = 0; i < N; i++) at[i] = make(48);
  uint32_t most = slabs.nslabs;
  assert_true(most > 50);
  for (int i = 0; i < N; i++) drop(at[i], 48);
  assert_true(slabs.nslabs <= CAST_SLABS_PURGE + 1);
  for (int i = 0; i < N; i++) at[i] = make(64); /* all still works */
  for (int i = 0; i < N; i += 2) drop(at[i], 64);
  for (int i = 1; i < N; i += 2) drop(at[i], 64);
  assert_int_equal(slabs.bytes, 0);
}

/* Shrinking works without memory. */
static void strays(void **state) {
  CAST_UNUSED(state);
  unsigned char *a = make(3000), *b = make(100000), *c = make(1025);
  fill(a, 3000, 1);
  fill(b, 1024, 2);
  fill(c, 1025, 3);
  cast_mem_fail_from(1);
  a = cast_slabs_lua(&slabs, a, 3000, 20);
  b = cast_slabs_lua(&slabs, b, 100000, 1024);
  c = cast_slabs_lua(&slabs, c, 1025, 1);
  cast_mem_fail_at(0);
  assert_non_null(a);
  assert_non_null(b);
  assert_non_null(c);
  assert_non_null(slabs.stray);
  check(a, 20, 1);
  check(b, 1024, 2);
  check(c, 1, 3);
  void *d = make(20);
  drop(d, 20);
  b = cast_slabs_lua(&slabs, b, 1024, 2000);
  check(b, 1024, 2);
  drop(b, 2000);
  drop(a, 20);
  drop(c, 1);
  assert_null(slabs.stray);
  assert_int_equal(slabs.bytes, 0);
}

static void failures(void **state) {
  CAST_UNUSED(state);
  char *a = make(100);
  cast_mem_fail_at(1);
  assert_null(make(100));
  cast_mem_fail_at(1);
  assert_null(cast_slabs_lua(&slabs, a, 100, 500));
  cast_mem_fail_at(1);
  assert_null(make(5000));
  cast_mem_fail_at(0);
  drop(a, 100);
}
#endif

/* Blocks that are lent outlive the Lua state's. */
static void lent_blocks(void **state) {
  CAST_UNUSED(state);
  enum { N = 3000 };
  static unsigned char *at[N];
  for (int i = 0; i < N; i++) {
    assert_non_null(at[i] = cast_slabs_lend(&slabs, 300));
    fill(at[i], 300, (unsigned)i);
  }
  for (int i = 0; i < N; i += 2) cast_slabs_return(&slabs, at[i], 300);
  for (int i = 0; i < N; i += 4) {
    assert_non_null(at[i] = cast_slabs_lend(&slabs, 300));
    fill(at[i], 300, (unsigned)i);
  }
  for (int i = 0; i < N; i++)
    if (i % 4 != 2) check(at[i], 300, (unsigned)i);
  for (int i = 0; i < N; i++)
    if (i % 4 != 2) cast_slabs_return(&slabs, at[i], 300);
}

#ifndef CAST_PLAIN_MEMORY
static void closed_while_lent(void **state) {
  CAST_UNUSED(state);
  enum { N = 3000 };
  static void *at[N];
  unsigned char *kept = cast_slabs_lend(&slabs, 300);
  fill(kept, 300, 7);
  for (int i = 0; i < N; i++) at[i] = make(100);
  for (int i = 0; i < N; i++) drop(at[i], 100);
  cast_slabs_close(&slabs);
  assert_int_equal(slabs.nslabs, 1);
  check(kept, 300, 7);
  cast_slabs_return(&slabs, kept, 300);
  assert_int_equal(slabs.nslabs, 1);
  cast_slabs_fini(&slabs);
  cast_slabs_lend(&slabs, 16);
  cast_slabs_return(&slabs, slabs.at - 16, 16);
  cast_slabs_close(&slabs);
  assert_null(slabs.all);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(contents_stay, setup, teardown),
    cmocka_unit_test_setup_teardown(the_limit_holds, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_charged_counts, setup, teardown),
    cmocka_unit_test_setup_teardown(lent_blocks, setup, teardown),
#ifndef CAST_PLAIN_MEMORY
    cmocka_unit_test_setup_teardown(closed_while_lent, setup, teardown),
    cmocka_unit_test_setup_teardown(a_peak_passes, setup, teardown),
    cmocka_unit_test_setup_teardown(strays, setup, teardown),
    cmocka_unit_test_setup_teardown(failures, setup, teardown),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
