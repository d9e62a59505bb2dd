/* heap.c - tests of the deadline heap against a plain model.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include "../../include/casting.h"
#include "../../src/heap.h"
#include "../../src/mem.h"

enum { NODES = 300, STEPS = 20000 };

static void starts_empty(void **state) {
  CAST_UNUSED(state);
  cast_heap h;
  cast_heap_node n = {0};
  cast_heap_init(&h);
  assert_null(cast_heap_top(&h));
  assert_true(cast_heap_next(&h) == UINT64_MAX);
  cast_heap_remove(&h, &n); /* not in: nothing happens */
  cast_heap_check(&h);
  cast_heap_fini(&h);
}

static void comes_out_sorted(void **state) {
  CAST_UNUSED(state);
  static cast_heap_node node[NODES];
  cast_heap h;
  uint64_t seed = 1, last = 0;
  cast_heap_init(&h);
  for (int i = 0; i < NODES; i++) {
    assert_int_equal(cast_heap_reserve(&h), 0);
    cast_heap_push(&h, &node[i], unit_random(&seed));
  }
  for (int i = 0; i < NODES; i++) {
    cast_heap_node *top = cast_heap_top(&h);
    assert_non_null(top);
    assert_true(cast_heap_next(&h) >= last);
    last = cast_heap_next(&h);
    cast_heap_remove(&h, top);
    assert_int_equal(top->index, 0);
  }
  assert_null(cast_heap_top(&h));
  cast_heap_fini(&h);
}

/* The model: deadlines that are in, in ascending order. */
typedef struct model {
  uint64_t at[NODES];
  uint32_t count;
} model;

static void model_add(model *m, uint64_t deadline) {
  uint32_t i = m->count++;
  for (; i > 0 && m->at[i - 1] > deadline; i--) m->at[i] = m->at[i - 1];
  m->at[i] = deadline;
}

static void model_take(model *m, uint64_t deadline) {
  uint32_t i = 0;
  while (i < m->count && m->at[i] != deadline) i++;
  CAST_ALWAYS(i < m->count);
  m->count--;
  for (; i < m->count; i++) m->at[i] = m->at[i + 1];
}

static void random_steps(uint64_t seed, uint64_t range) {
  static cast_heap_node node[NODES];
  static uint64_t deadline[NODES];
  static model m;
  cast_heap h;
  cast_heap_init(&h);
  memset(node, 0, sizeof node);
  m.count = 0;
  for (int step = 0; step < STEPS; step++) {
    cast_heap_node *n = &node[unit_random(&seed) % NODES];
    if (unit_random(&seed) % 4 == 0 && cast_heap_top(&h) != NULL)
      n = cast_heap_top(&h);
    uint64_t *at = &deadline[n - node];
    if (n->index == 0) {
      *at = unit_random(&seed) % range;
      assert_int_equal(cast_heap_reserve(&h), 0);
      cast_heap_push(&h, n, *at);
      model_add(&m, *at);
    } else {
      cast_heap_remove(&h, n);
      model_take(&m, *at);
    }
    assert_int_equal(h.count, m.count);
    assert_true(cast_heap_next(&h) == (m.count ? m.at[0] : UINT64_MAX));
    if (step % 16 == 0) cast_heap_check(&h);
  }
  for (int i = 0; i < NODES; i++) cast_heap_remove(&h, &node[i]);
  assert_int_equal(h.count, 0);
  cast_heap_fini(&h);
}

static void equals_the_model(void **state) {
  CAST_UNUSED(state);
  random_steps(2, UINT64_MAX);
  random_steps(3, 10); /* most deadlines equal */
  random_steps(4, 1);
}

static void reserve_may_fail_push_may_not(void **state) {
  CAST_UNUSED(state);
  if (CAST_DEBUG < 1) skip();
  static cast_heap_node node[NODES];
  cast_heap h;
  int64_t before = cast_mem_live();
  int refused = 0;
  memset(node, 0, sizeof node);
  cast_heap_init(&h);
  for (uint32_t i = 0; i < NODES; i++) {
    cast_mem_fail_at(1);
    int rc = cast_heap_reserve(&h);
    assert_int_equal(rc, cast_mem_has_failed() ? CASTING_ENOMEM : 0);
    if (rc != 0) {
      refused++;
      cast_heap_check(&h);
      assert_int_equal(h.count, i);
      assert_int_equal(cast_heap_reserve(&h), 0);
    }
    cast_mem_fail_from(1); /* a reserved push asks for nothing */
    cast_heap_push(&h, &node[i], NODES - i);
    cast_mem_fail_from(0);
  }
  assert_true(refused > 1);
  while (cast_heap_top(&h) != NULL) cast_heap_remove(&h, cast_heap_top(&h));
  cast_heap_fini(&h);
  assert_int_equal(cast_mem_live(), before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(starts_empty),
    cmocka_unit_test(comes_out_sorted),
    cmocka_unit_test(equals_the_model),
    cmocka_unit_test(reserve_may_fail_push_may_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
