/* fileop.c - tests of operations on files: their strand, those who leave,
   threads that cannot be started, what is undone, the window of an open file.
   SPDX-License-Identifier: MIT

   The offloads and the operations are compiled into this file, with a start of
   threads that fails when it is to. */
#include "fixture.h"

#include "../../src/limits.h"

#include <stdlib.h>
#include <unistd.h>

static _Atomic uint32_t refusals; /* (a) starts that are to fail */

static int refuse_some(
  os_thread *t, void (*main)(void *), void *arg, const char *name) {
  uint32_t n = unit_read(&refusals);
  while (n > 0)
    if (atomic_compare_exchange_weak_explicit(
          &refusals, &n, n - 1, memory_order_relaxed, memory_order_relaxed))
      return OS_ENOMEM;
  return os_thread_start(t, main, arg, name);
}

#define os_thread_start refuse_some
#undef CAST_OFFLOAD_IDLE_NS
#define CAST_OFFLOAD_IDLE_NS (2 * MS)
#include "../../src/offload.c"
#undef os_thread_start
#undef files
#define finish finish_op
#include "../../src/io/fileop.c"
#undef finish

enum { MANY = 200, SESSIONS = 3, TASKS = 12 };

static _Atomic uint32_t ndone;   /* (a) */
static _Atomic uint32_t ninside; /* (a) operations that are being made ... */
static _Atomic uint32_t most;    /* (a) ... and the most at once */
static _Atomic uint32_t gate;    /* (a) futex: 0: who comes to it waits */

/* Its place among all: op->at. */
static intptr_t run_quick(cast_fileop *op) {
  uint32_t n = unit_count(&ninside), seen = unit_read(&most);
  while (n > seen)
    if (atomic_compare_exchange_weak_explicit(
          &most, &seen, n, memory_order_relaxed, memory_order_relaxed))
      break;
  op->at = unit_count(&ndone) - 1;
  atomic_fetch_sub_explicit(&ninside, 1, memory_order_relaxed);
  return 0;
}

static intptr_t run_gated(cast_fileop *op) {
  unit_count(&ninside);
  while (unit_read(&gate) == 0) (void)os_wait(&gate, 0, OS_FOREVER);
  atomic_fetch_sub_explicit(&ninside, 1, memory_order_relaxed);
  return run_quick(op);
}

/* Claims it, as a read does. */
static intptr_t run_claim(cast_fileop *op) {
  op->at = -7;
  op->nout = cast_fileop_claim(op) ? 1 : 2;
  return 0;
}

static const cast_fileop_kind quick = {.verb = "q", .run = run_quick};
static const cast_fileop_kind gated = {.verb = "g", .run = run_gated};
static const cast_fileop_kind lapsing = {
  .verb = "l", .lapses = true, .run = run_quick};
static const cast_fileop_kind claiming = {
  .verb = "c", .early = true, .run = run_claim};

static cast_fileop *op_new(const cast_fileop_kind *kind) {
  cast_fileop *op = cast_fileop_new(kind, NULL, "path", NULL, 0);
  CAST_ALWAYS(op != NULL);
  return op;
}
static cast_fileop *op_sent(const cast_fileop_kind *kind) {
  cast_fileop *op = op_new(kind);
  cast_fileop_send(op);
  return op;
}
static void op_drop(cast_fileop *op) { cast_unref(&op->call.object); }

static void open_gate(void) {
  unit_write(&gate, 1);
  os_wake(&gate, INT32_MAX);
}
static void await_inside(uint32_t n) {
  while (unit_read(&ninside) != n) os_cede();
}
static int await(unit_host *h, cast_fileop *op) {
  return unit_event(h->main, &op->call.done, FOREVER);
}

static unit_host *begin(uint32_t cores) {
  unit_write(&ndone, 0);
  unit_write(&most, 0);
  unit_write(&refusals, 0);
  unit_write(&gate, 0);
  CAST_ALWAYS(unit_read(&ninside) == 0);
  return unit_open(cores);
}

/* Everything has ended with the runtime. */
static bool is_still(void) {
  for (uint32_t i = 0; i < CAST_PATHS_LISTS; i++)
    if (!cast_list_is_empty(&paths.lists[i])) return false;
  return helpers.nlive == 0 && files.nqueued == 0 &&
         unit_read(&files.owed) == 0;
}

/* -- strands -------------------------------------------------------------- */

static void one_after_the_other(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  cast_fileop *op[MANY];
  for (uint32_t i = 0; i < MANY; i++) op[i] = op_sent(&quick);
  for (uint32_t i = MANY; i-- > 0;) {
    assert_int_equal(await(h, op[i]), 0);
    assert_int_equal(op[i]->rc, 0);
    assert_int_equal(op[i]->at, i);
    op_drop(op[i]);
  }
  assert_int_equal(unit_read(&most), 1);
  unit_shut(h);
  assert_true(is_still());
}

static void who_enters_keeps_them_waiting(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  cast_path_turn turn, another;
  cast_fileop *op[3], *other;
  assert_true(cast_path_enter(&turn, "path"));
  assert_false(cast_path_enter(&another, "path"));
  for (int i = 0; i < 3; i++) op[i] = op_sent(&quick);
  other = cast_fileop_new(&quick, NULL, "elsewhere", NULL, 0);
  cast_fileop_send(other);
  assert_int_equal(await(h, other), 0);
  assert_int_equal(unit_read(&ndone), 1);
  cast_path_leave(&turn);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(await(h, op[i]), 0);
    assert_int_equal(op[i]->at, i + 1);
    op_drop(op[i]);
  }
  op_drop(other);
  unit_shut(h);
  assert_true(is_still());
}

static cast_fileop *op_of_two(const char *path, const char *to) {
  cast_fileop *op = cast_fileop_new(&quick, NULL, path, to, 0);
  CAST_ALWAYS(op != NULL);
  cast_fileop_send(op);
  return op;
}

/* One that names two paths keeps its place in both queues. */
static void of_two_paths(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  cast_path_turn a, b;
  cast_fileop *op[6];
  assert_true(cast_path_enter(&a, "a"));
  assert_true(cast_path_enter(&b, "b"));
  op[0] = op_of_two("a", "b");
  op[1] = op_of_two("b", "a");
  op[2] = op_of_two("b", "c"); /* c is free, b is not */
  op[3] = op_of_two("c", NULL);
  op[4] = op_of_two("a", "a");
  op[5] = op_of_two("a", NULL);
  cast_path_leave(&b);
  assert_int_equal(
    unit_event(h->main, &op[2]->call.done, os_now() + MS), CASTING_ETIMEOUT);
  assert_int_equal(unit_read(&ndone), 0);
  cast_path_leave(&a);
  for (int i = 0; i < 6; i++) {
    assert_int_equal(await(h, op[i]), 0);
    assert_int_equal(op[i]->rc, 0);
  }
  assert_int_equal(op[0]->at, 0);
  assert_int_equal(op[1]->at, 1);
  assert_true(op[2]->at < op[3]->at && op[4]->at < op[5]->at);
  for (int i = 0; i < 6; i++) op_drop(op[i]);
  unit_shut(h);
  assert_true(is_still());
}

/* -- those who leave ------------------------------------------------------ */

static void left_before_its_turn(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  cast_fileop *first = op_sent(&gated), *lapses, *stays, *last;
  await_inside(1);
  lapses = op_sent(&lapsing);
  stays = op_sent(&quick);
  last = op_sent(&lapsing);
  assert_int_equal(cast_fileop_leave(lapses), CAST_OP_ASKED);
  assert_int_equal(cast_fileop_leave(stays), CAST_OP_ASKED);
  op_drop(lapses);
  op_drop(stays);
  open_gate();
  assert_int_equal(await(h, first), 0);
  assert_int_equal(await(h, last), 0);
  assert_int_equal(first->at, 0);
  assert_int_equal(last->at, 2); /* one was made between */
  assert_int_equal(cast_fileop_leave(first), CAST_OP_DONE);
  op_drop(first);
  op_drop(last);
  unit_shut(h);
  assert_true(is_still());
}

/* Either who makes it claims it, or its sender leaves it. */
static void claimed_or_left(void **state) {
  uint32_t left = 0;
  CAST_UNUSED(state);
  unit_host *h = begin(2);
  for (uint32_t i = 0; i < unit_times(2000); i++) {
    cast_fileop *op = op_sent(&claiming);
    cast_op_state found;
    for (uint32_t k = 0; k < i % 64 * 20; k++) os_relax();
    found = cast_fileop_leave(op);
    if (found == CAST_OP_ASKED) left++;
    if (found == CAST_OP_CLAIMED) assert_int_equal(op->at, -7);
    assert_int_not_equal(found, CAST_OP_DONE);
    assert_int_equal(await(h, op), 0);
    assert_int_equal(op->nout, found == CAST_OP_ASKED ? 2 : 1);
    op_drop(op);
  }
  assert_true(left > 0);
  unit_shut(h);
  assert_true(is_still());
}

/* -- no thread to be had -------------------------------------------------- */

static void lost_with_all_behind(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(1);
  cast_path_turn turn;
  cast_fileop *op[4];
  unit_write(&refusals, 1);
  assert_true(cast_path_enter(&turn, "path"));
  for (int i = 0; i < 4; i++) op[i] = op_sent(&quick);
  cast_path_leave(&turn);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(await(h, op[i]), 0);
    assert_int_equal(op[i]->rc, CASTING_ENOMEM);
    op_drop(op[i]);
  }
  assert_int_equal(unit_read(&ndone), 0);
  op[0] = op_sent(&quick); /* the next one is to be had */
  assert_int_equal(await(h, op[0]), 0);
  assert_int_equal(op[0]->rc, 0);
  op_drop(op[0]);
  unit_shut(h);
  assert_true(is_still());
}

static bool send_and_leave(unit_task *t) {
  for (; t->n < unit_times(200); t->n++) {
    cast_fileop *op;
    int rc = t->result;
    if (!unit_over(t)) {
      uint64_t random = unit_random(&t->seed);
      if (t->base.cancelled) return true;
      if (random % 16 == 0) unit_write(&refusals, 1);
      op = t->arg = random % 7 == 0 ? op_of_two("path", "other")
                    : random % 7 == 1
                      ? op_of_two("other", "path")
                      : op_sent(random % 3 == 0 ? &lapsing : &quick);
      rc = unit_event(
        t, &op->call.done, random % 5 == 0 ? os_now() + random % MS : FOREVER);
      if (rc == CAST_PARKED) return false;
    }
    op = t->arg;
    if (rc != 0) (void)cast_fileop_leave(op);
    CAST_ALWAYS(rc != 0 || op->rc == 0 || op->rc == CASTING_ENOMEM);
    op_drop(op);
    if (rc == CASTING_ECANCELLED) return true;
  }
  return true;
}

static void many_come_and_leave(void **state) {
  CAST_UNUSED(state);
  unit_host *h = begin(2);
  unit_session *s[SESSIONS];
  unit_task *t[TASKS];
  for (int i = 0; i < SESSIONS; i++) s[i] = unit_session_new();
  for (uint32_t i = 0; i < TASKS; i++)
    t[i] =
      unit_spawn_as(NULL, s[i % SESSIONS], send_and_leave, NULL, i % 2 == 0);
  (void)unit_sleep(h->main, os_now() + 5 * MS);
  unit_close(h, s[0]); /* cancels its tasks */
  for (uint32_t i = 0; i < TASKS; i++) unit_join(h, t[i]);
  for (int i = 1; i < SESSIONS; i++) unit_close(h, s[i]);
  unit_shut(h);
  assert_int_equal(unit_read(&most), 1);
  assert_true(is_still());
}

/* -- what is undone ------------------------------------------------------- */

static char *make_directory(char path[64]) {
  (void)snprintf(path, 64, "/tmp/casting-unit-XXXXXX");
  return mkdtemp(path);
}

static void nobody_took_it(void **state) {
  char directory[64];
  CAST_UNUSED(state);
  assert_non_null(make_directory(directory));
  for (int i = 0; i < 4; i++) {
    unit_host *h = begin(1);
    bool takes = i % 2 == 0;
    cast_fileop *op = cast_fileop_new(&cast_op_temp, NULL, directory, NULL, 0);
    char *name;
    op->room = SIZE_MAX;
    op->how = CAST_OP_TEMP;
    if (i >= 2)
      op->how |=
        OS_FILE_READ | OS_FILE_WRITE | OS_FILE_CREATE | OS_FILE_EXCLUSIVE;
    cast_fileop_send(op);
    assert_int_equal(await(h, op), 0);
    assert_int_equal(op->rc, 0);
    assert_int_equal(op->made != NULL, i >= 2);
    name = strdup((const char *)op->out);
    assert_int_equal(access(name, F_OK), 0);
    op->taken = takes;
    unit_shut(h); /* who makes it has dropped it */
    op_drop(op);
    assert_int_equal(access(name, F_OK), takes ? 0 : -1);
    if (takes) assert_int_equal(remove(name), 0);
    free(name);
  }
  assert_int_equal(rmdir(directory), 0);
}

/* -- the window ----------------------------------------------------------- */

/* Opens the file, empty or not. */
static cast_openfile *open_file(const char *path, unsigned how) {
  os_file_info info;
  intptr_t fd = os_file_open(path, how, 0600);
  cast_openfile *f;
  assert_true(fd >= 0);
  assert_int_equal(os_file_describe((int)fd, &info), 0);
  info.home = os_file_learn((int)fd, info.device);
  f = cast_openfile_new((int)fd, how, path, &info);
  assert_non_null(f);
  return f;
}

/* Lines of all lengths around the size of the window, with and without waiting,
   and the last one without an end. */
static void lines_of_all_lengths(void **state) {
  char directory[64], path[96];
  enum { LINES = 90 };
  size_t longest = 0;
  CAST_UNUSED(state);
  assert_non_null(make_directory(directory));
  (void)snprintf(path, sizeof path, "%s/file", directory);
  FILE *file = fopen(path, "w");
  for (int i = 0; i < LINES; i++) {
    size_t n = i % 3 == 0 ? CAST_WINDOW_SIZE - 3 + (size_t)(i % 7) : (size_t)i;
    if (n > longest) longest = n;
    for (size_t k = 0; k < n; k++) (void)fputc('a' + i % 26, file);
    if (i < LINES - 1) (void)fputc('\n', file);
  }
  (void)fclose(file);
  cast_openfile *f = open_file(path, OS_FILE_READ);
  for (int i = 0; i <= LINES; i++) {
    cast_file_line l = {0, 0, false};
    size_t n = i % 3 == 0 ? CAST_WINDOW_SIZE - 3 + (size_t)(i % 7) : (size_t)i;
    intptr_t rc = cast_openfile_find_line(f, longest, false, &l);
    if (rc == OS_EAGAIN) rc = cast_openfile_find_line(f, longest, true, &l);
    assert_int_equal(rc, 0);
    if (i == LINES) n = 0;
    assert_int_equal(l.found, n + (i < LINES - 1));
    assert_int_equal(l.ended, i >= LINES - 1);
    if (n > 0) assert_int_equal(f->bytes[f->start], 'a' + i % 26);
    cast_openfile_advance(f, l.found);
  }
  /* One byte less than the longest: it is found to be too long. */
  cast_file_line l = {0, 0, false};
  f->position = 0;
  cast_openfile_forget(f);
  assert_int_equal(cast_openfile_find_line(f, CAST_WINDOW_SIZE - 4, true, &l),
    CAST_FILE_TOO_LONG);
  assert_int_equal(f->position, 0);
  assert_int_equal(cast_openfile_close(f), 0);
  assert_int_equal(cast_openfile_close(f), CASTING_ECLOSED);
  cast_unref(&f->object);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rmdir(directory), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(one_after_the_other, unit_clean),
    cmocka_unit_test_teardown(who_enters_keeps_them_waiting, unit_clean),
    cmocka_unit_test_teardown(of_two_paths, unit_clean),
    cmocka_unit_test_teardown(left_before_its_turn, unit_clean),
    cmocka_unit_test_teardown(claimed_or_left, unit_clean),
    cmocka_unit_test_teardown(lost_with_all_behind, unit_clean),
    cmocka_unit_test_teardown(many_come_and_leave, unit_clean),
    cmocka_unit_test_teardown(nobody_took_it, unit_clean),
    cmocka_unit_test_teardown(lines_of_all_lengths, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
