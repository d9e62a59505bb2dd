/* path.c - the paths of Unix sockets, on POSIX systems.
   SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* lstat, S_ISSOCK */
#include "path.h"

#include <sys/stat.h>

bool os_identify_socket(const char *path, os_identity *id) {
  struct stat info;
  if (lstat(path, &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  id->device = (uint64_t)info.st_dev;
  id->number = (uint64_t)info.st_ino;
  return true;
}
