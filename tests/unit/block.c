/* block.c - tests of the blocks of messages that a runner keeps.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include "../../src/mem.h"
#include "../../src/msg.h"

static void blocks_come_again(void **state) {
  CAST_UNUSED(state);
  cast_blocks blocks = {0};
  cast_block *a = cast_block_new(&blocks, 100, 2);
  assert_int_equal(a->size, 100);
  assert_null(a->items[0]);
  assert_null(a->items[1]);
  memset(a->items, 1, 2 * sizeof a->items[0] + 100);
  cast_block_free(&blocks, a);
#ifndef CAST_PLAIN_MEMORY
  assert_true(blocks.bytes >= 100);
  cast_block *b = cast_block_new(&blocks, 90, 3); /* of the same class */
  assert_ptr_equal(b, a);
  assert_null(b->items[2]);
  assert_int_equal(blocks.bytes, 0);
  cast_block *c = cast_block_new(&blocks, 700, 0);
  cast_block_free(&blocks, c);
  cast_block *d = cast_block_new(&blocks, 300, 0); /* of another one */
  assert_ptr_not_equal(c, d);
  cast_block_free(&blocks, d);
  cast_block_free(&blocks, b);
#endif
  assert_int_equal(cast_mem_live(), 0); /* the kept ones do not count */
  cast_blocks_fini(&blocks);
  assert_int_equal(blocks.bytes, 0);
}

static void large_ones_are_not_kept(void **state) {
  CAST_UNUSED(state);
  cast_blocks blocks = {0};
  cast_block_free(&blocks, cast_block_new(&blocks, 5000, 0));
  cast_block_free(&blocks, cast_block_new(&blocks, 1, 1000));
  cast_block_free(NULL, cast_block_new(NULL, 100, 0));
  assert_int_equal(blocks.bytes, 0);
  assert_int_equal(cast_mem_live(), 0);
}

static void the_rest_goes_back(void **state) {
  CAST_UNUSED(state);
  enum { N = 2000 };
  static cast_block *b[N];
  cast_blocks blocks = {0};
  for (int i = 0; i < N; i++) {
    b[i] = cast_block_new(&blocks, 200 + (uint32_t)i % 500, 0);
    assert_non_null(b[i]);
  }
  for (int i = 0; i < N; i++) cast_block_free(&blocks, b[i]);
  assert_true(blocks.bytes <= CAST_BLOCKS_KEPT);
#ifndef CAST_PLAIN_MEMORY
  assert_true(blocks.bytes > CAST_BLOCKS_KEPT / 2);
#endif
  assert_int_equal(cast_mem_live(), 0);
  cast_blocks_fini(&blocks);
}

static void failures(void **state) {
  CAST_UNUSED(state);
  cast_blocks blocks = {0};
  cast_mem_fail_at(1);
  assert_null(cast_block_new(&blocks, 100, 0));
  cast_mem_fail_at(0);
  cast_block_free(&blocks, cast_block_new(&blocks, 100, 0));
  cast_mem_fail_at(1); /* a kept one, too */
  assert_null(cast_block_new(&blocks, 100, 0));
  assert_true(cast_mem_has_failed());
  cast_mem_fail_at(0);
  cast_blocks_fini(&blocks);
  assert_int_equal(cast_mem_live(), 0);
}

/* A message that several share goes back with the last of them. */
static void shared_messages(void **state) {
  CAST_UNUSED(state);
  cast_blocks blocks = {0};
  cast_msg m, other;
  assert_int_equal(cast_msg_init_from(&m, 200, 0, &blocks), 0);
  memset(cast_msg_data(&m), 'x', 200);
  cast_msg_dup(&other, &m);
  cast_msg_drop_to(&m, &blocks);
  assert_int_equal(blocks.bytes, 0);
  assert_int_equal(cast_msg_data(&other)[199], 'x');
  cast_msg_drop_to(&other, &blocks);
#ifndef CAST_PLAIN_MEMORY
  assert_true(blocks.bytes > 0);
#endif
  cast_blocks_fini(&blocks);
  assert_int_equal(cast_mem_live(), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(blocks_come_again),
    cmocka_unit_test(large_ones_are_not_kept),
    cmocka_unit_test(the_rest_goes_back),
    cmocka_unit_test(failures),
    cmocka_unit_test(shared_messages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
