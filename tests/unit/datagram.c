/* datagram.c - tests of what the system does for datagrams and their sockets.
   SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "../../src/os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
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

static int unix_socket(const char *path, os_address *a) {
  int fd = os_socket(OS_UNIX, true);
  assert_true(fd >= 0);
  assert_true(os_address_unix(a, path, strlen(path)));
  return fd;
}

/* A file is removed if it is that socket, and nothing else is. */
static void test_paths(void **state) {
  char dir[] = "/tmp/casting.XXXXXX", path[64], link_path[64];
  os_socket_file first, second;
  os_address a, b;
  FILE *f;
  int one, two;
  CAST_UNUSED(state);
  assert_non_null(mkdtemp(dir));
  (void)snprintf(path, sizeof path, "%s/s", dir);
  (void)snprintf(link_path, sizeof link_path, "%s/l", dir);
  one = unix_socket(path, &a);
  assert_int_equal(os_bind_path(one, &a, &first), 0);
  two = unix_socket(path, &a);
  assert_true(os_is_in_use(os_bind_path(two, &a, &second)));
  assert_int_equal(symlink(path, link_path), 0);
  assert_true(os_address_unix(&b, link_path, strlen(link_path)));
  assert_false(os_remove_path(&b, &first));
  second = first;
  second.inode++;
  assert_false(os_remove_path(&a, &second));
  second = first;
  second.process++; /* that of a fork's parent */
  assert_false(os_remove_path(&a, &second));
  second.process = 0;
  assert_false(os_remove_path(&a, &second));
  assert_int_equal(access(path, F_OK), 0);
  assert_true(os_remove_path(&a, &first));
  assert_false(os_remove_path(&a, &first));
  f = fopen(path, "w");
  assert_non_null(f);
  (void)fclose(f);
  assert_false(os_remove_path(&a, &first));
  assert_true(os_is_in_use(os_bind_path(two, &a, &second)));
  assert_false(os_remove_path(&a, &second));
  assert_int_equal(access(path, F_OK), 0);
  (void)unlink(path);
  (void)unlink(link_path);
  os_close(one);
  /* One that nobody has is removed. */
  assert_int_equal(os_bind_path(two, &a, &second), 0);
  os_close(two);
  one = unix_socket(path, &a);
  assert_int_equal(os_bind_path(one, &a, &first), 0);
  assert_true(os_remove_path(&a, &first));
  os_close(one);
  assert_int_equal(rmdir(dir), 0); /* nothing was left aside */
}

/* Another one has locked the directory: it is not waited for. */
static void test_locked(void **state) {
  char dir[] = "/tmp/casting.XXXXXX", path[64];
  os_socket_file place;
  os_address a;
  int lock, fd;
  CAST_UNUSED(state);
  assert_non_null(mkdtemp(dir));
  (void)snprintf(path, sizeof path, "%s/s", dir);
  assert_true(os_address_unix(&a, path, strlen(path)));
  lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_int_equal(flock(lock, LOCK_EX), 0);
  fd = os_socket(OS_UNIX, false);
  assert_int_equal(os_listen_path(fd, &a, -1, 0, true, &place), OS_EAGAIN);
  assert_int_equal(place.process, 0);
  assert_int_equal(access(path, F_OK), -1);
  assert_int_equal(os_listen_path(fd, &a, -1, 0, false, &place), 0);
  assert_true(os_remove_path(&a, &place));
  os_close(fd);
  assert_int_equal(flock(lock, LOCK_UN), 0);
  fd = os_socket(OS_UNIX, false);
  assert_int_equal(os_listen_path(fd, &a, -1, 0, true, &place), 0);
  assert_true(os_remove_path(&a, &place));
  os_close(fd);
  os_close(lock);
  assert_int_equal(rmdir(dir), 0);
}

/* What accept(2) tells of a connection, and not of the listener. */
static void test_aborted(void **state) {
  static const int yes[] = {ECONNABORTED, ENETDOWN, EPROTO, ENOPROTOOPT,
    EHOSTDOWN, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, ETIMEDOUT, EPERM},
                   no[] = {EBADF, EINVAL, ENOTSOCK, EMFILE, ENFILE, ENOBUFS};
  CAST_UNUSED(state);
  for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
    assert_true(os_is_aborted(OS_SYSTEM - yes[i]));
  for (size_t i = 0; i < sizeof no / sizeof *no; i++)
    assert_false(os_is_aborted(OS_SYSTEM - no[i]));
#if defined(ENONET)
  assert_true(os_is_aborted(OS_SYSTEM - ENONET));
#endif
  assert_false(os_is_aborted(OS_EAGAIN));
  assert_false(os_is_aborted(OS_ENOMEM));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_never_cut),
    cmocka_unit_test(test_disconnect),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_multicast),
    cmocka_unit_test(test_paths),
    cmocka_unit_test(test_locked),
    cmocka_unit_test(test_aborted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
