/* os_process.c - tests of the contract about forks.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "../../src/os/os.h"

/* -- forks */

static char told[64]; /* b: before, p: parent, c: child */

static void before(void) { strcat(told, "b"); }
static void in_parent(void) { strcat(told, "p"); }
static void in_child(void) { strcat(told, "c"); }

static void child_was_told(void *arg) {
  CAST_UNUSED(arg);
  CAST_ALWAYS(strcmp(told, "bc") == 0);
}

static void forks_are_told(void **state) {
  CAST_UNUSED(state);
  assert_int_equal(os_fork_install(before, in_parent, in_child), 0);
  assert_true(unit_child(child_was_told, NULL));
  assert_string_equal(told, "bp");
}

static os_event event;

static bool readable(int fd) {
  struct pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

static void renew(void *arg) {
  int fd = event.fd;
  struct rlimit none = {(rlim_t)fd + 1, (rlim_t)fd + 1};
  if (arg != NULL) CAST_ALWAYS(setrlimit(RLIMIT_NOFILE, &none) == 0);
  CAST_ALWAYS(readable(fd));
  CAST_ALWAYS(os_event_renew(&event) == 0);
  CAST_ALWAYS(event.fd == fd && !readable(fd));
  CAST_ALWAYS((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  CAST_ALWAYS(os_event_wait(&event, 1, NULL, NULL) == OS_ETIMEOUT);
  os_event_set(&event);
  CAST_ALWAYS(readable(fd));
  os_event_clear(&event);
  CAST_ALWAYS(!readable(fd));
  os_event_fini(&event);
}

static void events_are_renewed(void **state) {
  CAST_UNUSED(state);
  assert_int_equal(os_event_init(&event), 0);
  os_event_set(&event);
  assert_true(unit_child(renew, NULL));
  assert_true(unit_child(renew, &event)); /* no descriptor is left */
  assert_true(readable(event.fd));
  os_event_clear(&event); /* nobody has taken the token */
  assert_false(readable(event.fd));
  os_event_fini(&event);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(forks_are_told),
    cmocka_unit_test(events_are_renewed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
