/* file_info.c - what the files about files share, on POSIX systems.
   SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* F_DUPFD_CLOEXEC */
#define _FILE_OFFSET_BITS 64
#include "file_info.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

os_file_kind os_file_kind_of(mode_t mode) {
  if (S_ISREG(mode)) return OS_FILE_PLAIN;
  if (S_ISDIR(mode)) return OS_FILE_DIRECTORY;
  if (S_ISLNK(mode)) return OS_FILE_LINK;
  if (S_ISFIFO(mode)) return OS_FILE_PIPE;
  if (S_ISSOCK(mode)) return OS_FILE_SOCKET;
  if (S_ISBLK(mode)) return OS_FILE_BLOCK;
  if (S_ISCHR(mode)) return OS_FILE_CHARACTER;
  return OS_FILE_OTHER;
}

int os_file_lift(int fd) {
  int higher, error;
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  error = errno;
  (void)close(fd);
  errno = error;
  return higher;
}
