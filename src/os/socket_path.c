/* socket_path.c - the paths of Unix sockets, on POSIX systems.
   SPDX-License-Identifier: MIT

   A socket that is bound to a path makes a file there, which outlives it. The
   process that has made it removes it, before it closes the socket: as long as
   that is open, no other file has the same number. (Not the child of a fork; it
   has the socket, too, but the file is its parent's.) Between a look at a file
   and its removal another process may put its own there. So it is first moved
   to a name that nobody else uses, and moved back if it is another one.

   A process that ends by force leaves its path behind, and the next one cannot
   bind to it: so a socket that nobody has is removed. That must not take the
   path from another process that listens there by now. A dead socket
   is therefore moved aside first, which only one of several can do, and asked
   once more there. Whoever binds looks, after it listens, whether the path is
   still its own:
     A: bind, listen, look               B: ask, move aside, ask, remove
   If B's second question comes after A's `listen`, it is answered, and B moves
   the socket back. If it comes before, A's look comes after the move, and A is
   told that the address is taken. A third one might bind while B has the socket
   of A aside; so those who follow these rules exclude each other by a lock of
   the directory (flock), which goes with the process. Any program may have it:
   who waits for it does so elsewhere, and not for long; then the rules above
   have to do. A socket for datagrams lives from its bind on.
   Rejected: a lock file, which stays behind as well; and a name that is moved
   into place when it listens, for the peers of the connections would be told
   that name. */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATH_ROOM 128

static int failed(void) { return OS_SYSTEM - errno; }

bool os_address_has_path(const os_address *a) {
  size_t head = offsetof(struct sockaddr_un, sun_path);
  return os_address_family(a) == OS_UNIX && a->size > head &&
         a->bytes[head] != '\0';
}

/* The path of an address, with its zero. */
static void path_of(const os_address *a, char path[PATH_ROOM]) {
  struct sockaddr_un un;
  memset(&un, 0, sizeof un);
  memcpy(&un, a->bytes, a->size <= sizeof un ? a->size : sizeof un);
  (void)snprintf(path, PATH_ROOM, "%.*s", (int)sizeof un.sun_path, un.sun_path);
}

/* The socket at a path: false if there is something else, or nothing. */
static bool look(const char *path, os_socket_file *place) {
  struct stat info;
  if (lstat(path, &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  place->device = (uint64_t)info.st_dev;
  place->inode = (uint64_t)info.st_ino;
  place->process = (int64_t)getpid();
  return true;
}
static bool is_same(const os_socket_file *a, const os_socket_file *b) {
  return a->device == b->device && a->inode == b->inode;
}

/* Does nobody have it, for certain? One of the other kind than asked is not
   refused, if somebody has it. */
static bool is_dead(const char *path, bool datagram) {
  os_address a;
  int fd, rc;
  if (!os_address_unix(&a, path, strlen(path))) return false;
  fd = os_socket(OS_UNIX, datagram);
  if (fd < 0) return false;
  rc = os_connect(fd, &a);
  os_close(fd);
  return os_is_refused(rc);
}

/* A name beside it, for a moment: its length. */
static size_t name_aside(const char *path, char aside[PATH_ROOM]) {
  const char *slash = strrchr(path, '/');
  int n = slash != NULL ? (int)(slash - path) + 1 : 0;
  uint32_t random = (uint32_t)os_entropy();
  n = snprintf(aside, PATH_ROOM, "%.*s.%08x", n, path, (unsigned)random);
  return n > 0 ? (size_t)n : 0;
}

/* What was moved aside is not what was to be removed: back with it, unless
   there is another one by now. */
static void move_back(const char *aside, const char *path) {
  if (link(aside, path) == 0 || errno == EEXIST) (void)unlink(aside);
}

/* Removes a socket that nobody has. False: there is something else, or somebody
   has it. */
static bool remove_dead(const char *path, bool datagram) {
  os_socket_file place, moved;
  char aside[PATH_ROOM];
  if (!look(path, &place) || !is_dead(path, datagram)) return false;
  if (name_aside(path, aside) > OS_PATH_MOST)
    return false; /* cannot be asked */
  if (rename(path, aside) != 0) return errno == ENOENT;
  if (look(aside, &moved) && is_same(&place, &moved) &&
      is_dead(aside, datagram))
    return unlink(aside) == 0;
  move_back(aside, path);
  return false;
}

/* A descriptor that has the lock of the path's directory; -1: another one has
   it (*busy), or it cannot be had. */
static int lock_directory(const char *path, bool *busy) {
  const char *slash = strrchr(path, '/');
  char name[PATH_ROOM] = ".";
  int fd;
  if (slash != NULL)
    (void)snprintf(
      name, sizeof name, "%.*s", slash > path ? (int)(slash - path) : 1, path);
  fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  *busy = false;
  if (fd < 0) return -1;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  *busy = errno == EWOULDBLOCK;
  os_close(fd);
  return -1;
}

static void unlock_directory(int lock) {
  if (lock < 0) return;
  (void)flock(lock, LOCK_UN); /* a child that was forked has it, too */
  os_close(lock);
}

/* Binds, by the rules above. */
static int bind_at(int fd, const os_address *a, const char *path, bool datagram,
  os_socket_file *place) {
  int rc = os_bind(fd, a);
  if (os_is_in_use(rc) && remove_dead(path, datagram)) rc = os_bind(fd, a);
  if (rc == 0 && !look(path, place)) rc = OS_SYSTEM - EADDRINUSE;
  return rc;
}

int os_bind_path(int fd, const os_address *a, os_socket_file *place) {
  char path[PATH_ROOM];
  bool busy;
  int rc, lock;
  path_of(a, path);
  place->process = 0;
  lock = lock_directory(path, &busy);
  rc = bind_at(fd, a, path, true, place);
  unlock_directory(lock);
  return rc;
}

static int listen_at(int fd, const os_address *a, const char *path, int mode,
  int backlog, os_socket_file *place) {
  os_socket_file now;
  int rc;
  /* Where the system takes the file's mode from the socket, there is no moment
     at which others could connect. */
  if (mode >= 0) (void)fchmod(fd, (mode_t)mode);
  rc = bind_at(fd, a, path, false, place);
  if (rc != 0) return rc;
  rc = mode >= 0 && chmod(path, (mode_t)mode) != 0 ? failed() : 0;
  if (rc == 0) rc = os_listen(fd, backlog);
  if (rc == 0 && (!look(path, &now) || !is_same(place, &now)))
    rc = OS_SYSTEM - EADDRINUSE;
  return rc;
}

int os_listen_path(int fd, const os_address *a, int mode, int backlog,
  bool locked, os_socket_file *place) {
  char path[PATH_ROOM];
  bool busy;
  int rc, lock;
  path_of(a, path);
  place->process = 0;
  lock = lock_directory(path, &busy);
  if (locked && busy) return OS_EAGAIN;
  rc = listen_at(fd, a, path, mode, backlog, place);
  if (rc != 0) (void)os_remove_path(a, place);
  unlock_directory(lock);
  return rc;
}

bool os_adopt_path(const os_address *a, os_socket_file *place) {
  char path[PATH_ROOM];
  place->process = 0;
  path_of(a, path);
  return look(path, place);
}

bool os_remove_path(const os_address *a, const os_socket_file *place) {
  os_socket_file now;
  char path[PATH_ROOM], aside[PATH_ROOM];
  if (place->process == 0 || place->process != (int64_t)getpid()) return false;
  path_of(a, path);
  if (!look(path, &now) || !is_same(place, &now)) return false;
  if (name_aside(path, aside) == 0 || rename(path, aside) != 0) return false;
  if (look(aside, &now) && is_same(place, &now)) return unlink(aside) == 0;
  move_back(aside, path);
  return false;
}
