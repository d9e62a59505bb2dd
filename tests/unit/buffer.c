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

/* The text after cast_buffer_tame. */
static void tame(const char *text, const char *expected) {
  cast_buffer b = {NULL, 0, 0, false};
  cast_buffer_add(&b, "\x1b");
  cast_buffer_add(&b, text);
  cast_buffer_tame(&b, 1);
  assert_int_equal(b.text[0], '\x1b');
  assert_string_equal(b.text + 1, expected);
  cast_buffer_fini(&b);
}

static void is_tamed(void **state) {
  CAST_UNUSED(state);
  tame("a\tb\n c~", "a\tb\n c~");
  tame("\x1b[1m\r\x7f", "?[1m??");
  tame("\xc2\x9b"
       "1m\xc2\x80\xc2\x9f\xc2\xa0",
    "??1m????\xc2\xa0");
  tame("\xe2\x80\xae\xe2\x80\x8b\xe2\x81\xa6\xef\xbb\xbf", "????????????");
  tame("\xf3\xa0\x80\xa1\xd8\x9c\xc2\xad", "????????");
  /* Longer than need be, or no UTF-8 at all. */
  tame("\xe0\x82\x9b\x9b\xe9\xff\xe2\x80", "????\xe9\xff\xe2?");
  tame("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80 \xe2\x80\x99",
    "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80 \xe2\x80\x99");
  assert_true(cast_text_is_tame("gr\xc3\xbc\xc3\x9f", 6));
  assert_false(cast_text_is_tame("a\tb", 3));
  assert_false(cast_text_is_tame("a\0b", 3));
  assert_false(cast_text_is_tame("\xc2\x9b", 2));
  assert_true(cast_text_is_tame("\xc2", 1));
  assert_int_equal(cast_mem_live(), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(grows),
    cmocka_unit_test(is_empty),
    cmocka_unit_test(lacks_memory),
    cmocka_unit_test(is_tamed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
