/* account.c - tests of accounts: what is charged comes back, exactly.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "../../src/account.h"
#include "../../src/chan.h"
#include "../../src/slab.h"

static int teardown(void **state) {
  CAST_UNUSED(state);
  CAST_ALWAYS(cast_mem_live() == 0);
  return 0;
}

static cast_account *make(cast_account *parent, uint64_t bytes) {
  uint64_t max[CAST_USES] = {bytes, 0, 0};
  cast_account *a = cast_account_new(parent, max);
  CAST_ALWAYS(a != NULL);
  return a;
}

static uint64_t bytes(const cast_account *a) {
  return cast_account_used(a, CAST_BYTES);
}

/* A charge counts in all accounts above, and one of these may refuse it. */
static void shares_limits(void **state) {
  CAST_UNUSED(state);
  cast_account *top = make(NULL, 100), *middle = make(top, 0);
  cast_account *one = make(middle, 60), *two = make(middle, 60);
  assert_true(cast_account_take(one, CAST_BYTES, 60));
  assert_false(cast_account_take(one, CAST_BYTES, 1));
  assert_true(cast_account_take(two, CAST_BYTES, 40));
  assert_false(cast_account_take(two, CAST_BYTES, 1)); /* top refuses */
  assert_int_equal(bytes(two), 40);
  assert_int_equal(bytes(middle), 100);
  assert_int_equal(bytes(top), 100);
  assert_int_equal(cast_account_left(two, CAST_BYTES), 0);
  assert_int_equal(cast_account_max(two, CAST_BYTES), 60);
  assert_ptr_equal(cast_account_full(two, CAST_BYTES), top);
  assert_ptr_equal(cast_account_full(one, CAST_BYTES), one);
  assert_true(cast_account_is_below(two, top));
  assert_false(cast_account_is_below(top, two));
  cast_account_give(one, CAST_BYTES, 60);
  cast_account_give(two, CAST_BYTES, 40);
  assert_int_equal(bytes(top), 0);
  cast_account_unref(top);
  cast_account_unref(middle);
  cast_account_unref(one);
  cast_account_unref(two);
}

/* Sessions count in the accounts above; one that closes is told of those that
   are left, and one that comes after that, that it is too late. */
static void ends_with_those_above(void **state) {
  CAST_UNUSED(state);
  cast_account *top = make(NULL, 0), *child = make(top, 0);
  cast_account *grandchild = make(child, 0), *late = make(child, 0);
  assert_false(cast_account_enter(top));
  assert_false(cast_account_enter(child));
  assert_false(cast_account_enter(grandchild));
  assert_true(cast_account_end(top));
  assert_false(cast_account_end(top));
  assert_false(cast_account_end(child)); /* who has ended top asks for all */
  assert_true(cast_account_enter(late));
  assert_true(cast_account_ends(late) == UINT64_MAX);
  cast_account_note_end(late, 7);
  cast_account_note_end(grandchild, 9);
  assert_int_equal(cast_account_ends(grandchild), 7);
  assert_true(cast_account_leave(late));
  assert_false(cast_account_leave(child));
  assert_false(cast_account_leave(top));
  assert_false(cast_account_leave(child)); /* its own */
  assert_false(cast_account_leave(top));
  assert_false(cast_account_leave(top));
  assert_true(cast_account_leave(grandchild));
  assert_true(cast_account_leave(child));
  assert_true(cast_account_leave(top));
  cast_account_unref(late);
  cast_account_unref(grandchild);
  cast_account_unref(child);
  cast_account_unref(top);
}

/* What was added beyond the limit counts, and all else is refused then. */
static void adds_beyond(void **state) {
  CAST_UNUSED(state);
  cast_account *a = make(NULL, 10);
  cast_account_add(a, CAST_BYTES, 15);
  assert_int_equal(cast_account_left(a, CAST_BYTES), 0);
  assert_false(cast_account_take(a, CAST_BYTES, 1));
  cast_account_give(a, CAST_BYTES, 15);
  assert_true(cast_account_take(a, CAST_BYTES, 10));
  assert_false(cast_account_take(a, CAST_BYTES, UINT64_MAX)); /* no overflow */
  cast_account_give(a, CAST_BYTES, 10);
  assert_true(cast_account_take(NULL, CAST_BYTES, 1));
  cast_account_add(NULL, CAST_BYTES, 1);
  cast_account_give(NULL, CAST_BYTES, 1);
  assert_int_equal(cast_account_left(NULL, CAST_BYTES) == UINT64_MAX, 1);
  cast_account_unref(a);
}

/* A charge lasts as long as its last reference, and keeps the account. */
static void charges_last(void **state) {
  CAST_UNUSED(state);
  cast_account *a = make(NULL, 1000);
  cast_charge *c = cast_charge_new(a, 500);
  assert_non_null(c);
  assert_null(cast_charge_new(a, 500)); /* with its own bytes too many */
  assert_null(cast_charge_new(a, SIZE_MAX));
  assert_int_equal(bytes(a), 500 + sizeof *c);
  cast_msg m, other;
  assert_int_equal(cast_msg_init(&m, 8, 1), 0);
  cast_msg_items(&m)[0] = &c->object;
  cast_msg_dup(&other, &m);
  cast_msg_drop(&m);
  assert_int_equal(bytes(a), 500 + sizeof *c);
  cast_account_unref(a);
  cast_msg_drop(&other);
}

/* Without memory nothing stays charged. */
static void fails_without_memory(void **state) {
  CAST_UNUSED(state);
#if CAST_DEBUG >= 1
  cast_account *a = make(NULL, 1000);
  cast_chan *c = cast_chan_new(1);
  assert_non_null(c);
  cast_mem_fail_at(1);
  assert_null(cast_charge_new(a, 10));
  cast_mem_fail_at(1);
  assert_int_equal(cast_chan_join(c, a), CASTING_ENOMEM);
  cast_mem_fail_at(0);
  assert_int_equal(bytes(a), 0);
  cast_unref(&c->object);
  cast_account_unref(a);
#endif
}

/* Accounts in each other, so many that freeing them must not recurse. */
static void ends_in_a_row(void **state) {
  CAST_UNUSED(state);
  cast_account *a = NULL;
  for (int i = 0; i < 200000; i++) {
    cast_account *below = make(a, 0);
    cast_account_unref(a);
    a = below;
  }
  cast_account_unref(a);
}

/* A channel and its ring. */
static void charges_channels(void **state) {
  CAST_UNUSED(state);
  cast_account *a = make(NULL, 1 << 20);
  cast_chan *c = cast_chan_new(CAST_UNBOUNDED);
  uint64_t before;
  assert_non_null(c);
  assert_int_equal(cast_chan_join(c, a), 0);
  before = bytes(a);
  assert_true(before >= sizeof *c);
  for (int i = 0; i < 1000; i++) {
    cast_waiter w;
    memset(&w, 0, sizeof w);
    assert_int_equal(cast_msg_init(&w.msg, 1, 0), 0);
    assert_int_equal(cast_chan_send(c, NULL, NULL, &w), 0);
  }
  assert_true(bytes(a) - before >= 1000 * sizeof(cast_msg));
  cast_unref(&c->object);
  assert_int_equal(bytes(a), 0);
  cast_account_unref(a);
}

/* -- grants --------------------------------------------------------------- */

typedef struct granted {
  cast_slabs slabs;
  cast_account *account;
  size_t grant;
} granted;

/* As the binding does it (lua/state/memory.c), in steps of 1000 bytes. */
static void regrant(cast_slabs *s, size_t wanted) {
  granted *g = CAST_CONTAINER(s, granted, slabs);
  if (wanted > g->grant) {
    size_t more = wanted - g->grant + 1000;
    if (!cast_account_take(g->account, CAST_BYTES, more)) return;
    g->grant += more;
  } else {
    cast_account_give(g->account, CAST_BYTES, g->grant - (wanted + 1000));
    g->grant = wanted + 1000;
  }
  s->max = g->grant;
  s->low = g->grant > 3000 ? g->grant - 3000 : 0;
}

static void grants(void **state) {
  CAST_UNUSED(state);
  granted g = {.account = make(NULL, 100000)};
  void *at[200];
  int n = 0;
  assert_true(cast_account_take(g.account, CAST_BYTES, 1000));
  g.grant = g.slabs.max = 1000;
  g.slabs.regrant = regrant;
  while (n < 200 && (at[n] = cast_slabs_lua(&g.slabs, NULL, 0, 2000)) != NULL)
    n++;
  assert_in_range(n, 45, 50);
  assert_true(bytes(g.account) <= 100000);
  assert_int_equal(cast_slabs_spare(&g.slabs, 0), g.grant - 2000 * (size_t)n);
  while (n > 0) assert_null(cast_slabs_lua(&g.slabs, at[--n], 2000, 0));
  assert_true(bytes(g.account) <= 5000);
  assert_true(cast_slabs_charge(&g.slabs, 0, 50000));
  assert_false(cast_slabs_charge(&g.slabs, 0, 60000));
  assert_true(cast_slabs_charge(&g.slabs, 50000, 0));
  assert_true(bytes(g.account) <= 5000);
  cast_slabs_fini(&g.slabs);
  cast_account_give(g.account, CAST_BYTES, g.grant);
  cast_account_unref(g.account);
}

/* -- several threads ------------------------------------------------------ */

enum { THREADS = 4 };

static cast_account *shared;
static _Atomic uint64_t taken; /* by all threads; never more than the limit */

static void charge_often(void *arg) {
  uint64_t seed = 1 + (uint64_t)(uintptr_t)arg;
  cast_account *a = make(shared, 700);
  for (uint32_t i = 0; i < unit_times(200000); i++) {
    uint64_t n = unit_random(&seed) % 400;
    if (!cast_account_take(a, CAST_BYTES, n)) continue;
    CAST_ALWAYS(atomic_fetch_add(&taken, n) + n <= 1000);
    atomic_fetch_sub(&taken, n);
    cast_account_give(a, CAST_BYTES, n);
  }
  CAST_ALWAYS(bytes(a) == 0);
  cast_account_unref(a);
}

static void never_exceeds(void **state) {
  CAST_UNUSED(state);
  os_thread threads[THREADS];
  shared = make(NULL, 1000);
  for (uintptr_t i = 0; i < THREADS; i++)
    assert_int_equal(
      os_thread_start(&threads[i], charge_often, (void *)i, "account"), 0);
  for (int i = 0; i < THREADS; i++) os_thread_join(&threads[i]);
  assert_int_equal(bytes(shared), 0);
  cast_account_unref(shared);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(shares_limits, teardown),
    cmocka_unit_test_teardown(ends_with_those_above, teardown),
    cmocka_unit_test_teardown(adds_beyond, teardown),
    cmocka_unit_test_teardown(charges_last, teardown),
    cmocka_unit_test_teardown(fails_without_memory, teardown),
    cmocka_unit_test_teardown(ends_in_a_row, teardown),
    cmocka_unit_test_teardown(charges_channels, teardown),
    cmocka_unit_test(grants),
    cmocka_unit_test_teardown(never_exceeds, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
