/* log.c - tests of what casting says by itself: where to, and what becomes of
   it when nobody reads.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../../src/log.h"

static int saved; /* the real stderr */
static int reader;

/* stderr is a pipe from now on. */
static void begin(void) {
  int ends[2];
  (void)fflush(stderr);
  saved = dup(2);
  CAST_ALWAYS(saved >= 0 && pipe(ends) == 0 && dup2(ends[1], 2) == 2);
  close(ends[1]);
  reader = ends[0];
  CAST_ALWAYS(fcntl(reader, F_SETFL, O_NONBLOCK) == 0);
}

static void finish(void) {
  CAST_ALWAYS(dup2(saved, 2) == 2);
  close(saved);
  if (reader >= 0) close(reader);
}

static void say(const char *text, uint64_t since) {
  cast_log(text, strlen(text), since);
}

/* What has come since, at most so much. */
static const char *heard(void) {
  static char text[1 << 20];
  size_t size = 0;
  ssize_t n;
  while ((n = read(reader, text + size, sizeof text - 1 - size)) > 0)
    size += (size_t)n;
  text[size] = '\0';
  return text;
}

/* Until it takes no more. Returns how much that was. */
static size_t fill(void) {
  static const char dots[4096] = {0};
  int flags = fcntl(2, F_GETFL);
  size_t size = 0;
  ssize_t n;
  CAST_ALWAYS(fcntl(2, F_SETFL, flags | O_NONBLOCK) == 0);
  for (size_t piece = sizeof dots; piece > 0; piece /= 2)
    while ((n = write(2, dots, piece)) > 0) size += (size_t)n;
  CAST_ALWAYS(fcntl(2, F_SETFL, flags) == 0);
  return size;
}

static void as_lines(void **state) {
  static char long_line[10000];
  CAST_UNUSED(state);
  begin();
  say("one", os_now());
  say("two\nthree", os_now());
  assert_string_equal(heard(), "one\ntwo\nthree\n");
  say("late, but it can be written", 1);
  assert_string_equal(heard(), "late, but it can be written\n");
  memset(long_line, 'x', sizeof long_line - 2);
  say(long_line, os_now());
  long_line[sizeof long_line - 2] = '\n';
  assert_string_equal(heard(), long_line);
  finish();
}

static void dropped_and_counted(void **state) {
  CAST_UNUSED(state);
  begin();
  size_t size = fill();
  uint64_t began = os_now();
  say("nobody reads this", began);
  assert_true(os_now() >= began + CAST_SAY_NS);
  began = os_now();
  for (int i = 0; i < 3; i++) say("nor this", 1); /* waits no longer */
  cast_log_lost(2);
  assert_int_equal(strlen(heard()), 0); /* zeros: just to empty it */
  say("read", os_now());
  assert_string_equal(heard(),
    "casting: 6 reports could not be written and were dropped\nread\n");
  say("again", os_now());
  assert_string_equal(heard(), "again\n");
  (void)fill();
  say("one", 1);
  (void)heard();
  say("read", os_now());
  assert_string_equal(
    heard(), "casting: 1 report could not be written and was dropped\nread\n");
  assert_true(size > 0);
  finish();
}

/* A line of which a part could be written gets its end before the next. */
static void cut_in_the_middle(void **state) {
  static char line[3 << 20];
  CAST_UNUSED(state);
  begin();
  memset(line, 'x', sizeof line - 1);
  say(line, os_now());
  size_t n = strlen(heard());
  assert_true(n > 0 && n < sizeof line - 1);
  say("read", os_now());
  assert_string_equal(heard(),
    "\ncasting: 1 report could not be written and was dropped\nread\n");
  finish();
}

static void nobody_there(void **state) {
  CAST_UNUSED(state);
  void (*old)(int) =
    signal(SIGPIPE, SIG_IGN); /* blocked in casting's threads */
  begin();
  close(reader);
  reader = -1;
  uint64_t began = os_now();
  say("no reader", began);
  say("no reader", os_now());
  close(2);
  say("no descriptor", os_now());
  finish();
  signal(SIGPIPE, old);
  begin();
  say("read", os_now());
  assert_non_null(strstr(heard(), "\nread\n"));
  finish();
}

static char told[100];

static void note(void *ud, const char *text, size_t size) {
  assert_ptr_equal(ud, told);
  assert_true(size < sizeof told);
  memcpy(told, text, size);
  told[size] = '\0';
}

static void to_a_function(void **state) {
  CAST_UNUSED(state);
  begin();
  cast_log_to(note, told);
  say("to the function", 1);
  assert_string_equal(told, "to the function");
  cast_log_to(NULL, NULL);
  say("to stderr", os_now());
  assert_string_equal(told, "to the function");
  assert_string_equal(heard(), "to stderr\n");
  finish();
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(as_lines),
    cmocka_unit_test(dropped_and_counted),
    cmocka_unit_test(cut_in_the_middle),
    cmocka_unit_test(nobody_there),
    cmocka_unit_test(to_a_function),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
