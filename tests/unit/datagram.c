/* datagram.c - tests of what the system does for datagrams and their sockets.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "../../src/os/identity.h"
#include "../../src/os/socket.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A socket on loopback, with a port that the system chooses. */
static int bound(os_address *a) {
  int fd = os_socket(OS_INET, true);
  assert_true(fd >= 0);
  assert_true(os_address_parse(a, "127.0.0.1", 0));
  assert_int_equal(os_bind(fd, a), 0);
  assert_int_equal(os_local_address(fd, a), 0);
  return fd;
}

static void test_never_cut(void **state) {
  char small[8];
  os_address a, b, from;
  int fd = bound(&a), other = bound(&b);
  CAST_UNUSED(state);
  assert_int_equal(os_receive(fd, small, sizeof small, &from), OS_EAGAIN);
  assert_int_equal(os_send(other, "123456789", 9, &a), 9);
  assert_int_equal(os_send(other, "12345678", 8, &a), 8);
  assert_int_equal(os_send(other, "", 0, &a), 0);
  assert_true(os_receive(fd, small, sizeof small, &from) <= OS_SYSTEM);
  assert_int_equal(os_receive(fd, small, sizeof small, &from), 8);
  assert_memory_equal(small, "12345678", 8);
  assert_int_equal(from.size, b.size);
  assert_memory_equal(from.bytes, b.bytes, b.size);
  assert_int_equal(os_receive(fd, small, sizeof small, &from), 0);
  assert_int_equal(os_receive(fd, small, sizeof small, &from), OS_EAGAIN);
  os_close(fd);
  os_close(other);
}

static void test_disconnect(void **state) {
  os_address a, b, now;
  int fd = bound(&a), other = bound(&b);
  CAST_UNUSED(state);
  assert_int_equal(os_disconnect(fd), 0); /* also without a peer */
  assert_int_equal(os_connect(fd, &b), 0);
  assert_int_equal(os_peer_address(fd, &now), 0);
  assert_int_equal(os_send(fd, "x", 1, NULL), 1);
  assert_int_equal(os_disconnect(fd), 0);
  assert_true(os_peer_address(fd, &now) < 0);
  assert_true(os_send(fd, "x", 1, NULL) < 0);
  os_close(fd);
  os_close(other);
}

/* The one whose peer has gone is told, and goes on. */
static void test_refused(void **state) {
  os_address a, b;
  int fd = bound(&a), gone = bound(&b);
  intptr_t rc;
  CAST_UNUSED(state);
  assert_int_equal(os_connect(fd, &b), 0);
  os_close(gone);
  assert_int_equal(os_send(fd, "x", 1, NULL), 1);
  rc = os_send(fd, "y", 1, NULL);
  assert_true(os_is_refused(rc));
  assert_int_equal(os_send(fd, "z", 1, NULL), 1);
  os_close(fd);
}

static void test_multicast(void **state) {
  os_address a, group;
  int fd = bound(&a);
  CAST_UNUSED(state);
  assert_true(os_multicast_device(fd, OS_INET, "no such device") < 0);
  assert_true(os_address_parse(&group, "239.255.1.1", 0));
  assert_true(os_multicast(fd, &group, "no such device", true) < 0);
  assert_true(os_address_parse(&group, "127.0.0.1", 0));
  assert_true(os_multicast(fd, &group, NULL, true) < 0);
  os_close(fd);
}

/* A file is removed if it is that socket, and nothing else is. */
static void test_identity(void **state) {
  char dir[] = "/tmp/casting.XXXXXX", path[64], link_path[64];
  os_identity first, second;
  os_address a;
  FILE *f;
  int one = os_socket(OS_UNIX, true), two = os_socket(OS_UNIX, true);
  CAST_UNUSED(state);
  assert_non_null(mkdtemp(dir));
  (void)snprintf(path, sizeof path, "%s/s", dir);
  (void)snprintf(link_path, sizeof link_path, "%s/l", dir);
  assert_false(os_identify_socket(path, &first));
  assert_true(os_address_unix(&a, path, strlen(path)));
  assert_int_equal(os_bind(one, &a), 0);
  assert_true(os_is_in_use(os_bind(two, &a)));
  assert_true(os_identify_socket(path, &first));
  assert_int_equal(symlink(path, link_path), 0);
  assert_false(os_identify_socket(link_path, &second));
  second = first;
  second.number++;
  assert_false(os_remove_socket(path, &second));
  assert_true(os_identify_socket(path, &second));
  assert_true(os_remove_socket(path, &first));
  assert_false(os_remove_socket(path, &first));
  f = fopen(path, "w");
  assert_non_null(f);
  (void)fclose(f);
  assert_false(os_identify_socket(path, &first));
  assert_false(os_remove_socket(path, &first));
  assert_int_equal(access(path, F_OK), 0);
  (void)unlink(path);
  (void)unlink(link_path);
  assert_int_equal(rmdir(dir), 0); /* nothing was left aside */
  os_close(one);
  os_close(two);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_never_cut),
    cmocka_unit_test(test_disconnect),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_multicast),
    cmocka_unit_test(test_identity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
