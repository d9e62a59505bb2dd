/* buffer.c - tests of text that grows.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include "../../src/buffer.h"
#include "../../src/mem.h"

static void grows(void **state) {
  CAST_UNUSED(state);
  cast_buffer b = {NULL, 0, 0, false};
  char line[8];
  for (int i = 0; i < 1000; i++) {
    cast_buffer_add(&b, "line ");
    cast_buffer_form(&b, "%03d", i);
  }
  assert_int_equal(b.size, 8000);
  char *text = cast_buffer_take(&b);
  assert_int_equal(strlen(text), 8000);
  for (int i = 0; i < 1000; i++) {
    (void)snprintf(line, sizeof line, "%03d", i);
    assert_memory_equal(text + 8 * i, "line ", 5);
    assert_memory_equal(text + 8 * i + 5, line, 3);
  }
  cast_free(text);
  assert_null(b.text);
  assert_int_equal(cast_mem_live(), 0);
}

static void is_empty(void **state) {
  CAST_UNUSED(state);
  cast_buffer b = {NULL, 0, 0, false};
  assert_null(cast_buffer_take(&b));
  cast_buffer_fini(&b);
  cast_buffer_add(&b, "");
  char *text = cast_buffer_take(&b);
  assert_string_equal(text, "");
  cast_free(text);
}

/* What lacks something is not taken for the whole. */
static void lacks_memory(void **state) {
  CAST_UNUSED(state);
  cast_buffer b = {NULL, 0, 0, false};
  cast_buffer_add(&b, "first");
  cast_mem_fail_at(1);
  cast_buffer_form(&b, "%500d", 1);
  assert_true(b.lacking);
  cast_buffer_add(&b, "second");
  assert_string_equal(b.text, "first");
  assert_null(cast_buffer_take(&b));
  assert_false(b.lacking);
  assert_int_equal(cast_mem_live(), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(grows),
    cmocka_unit_test(is_empty),
    cmocka_unit_test(lacks_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
