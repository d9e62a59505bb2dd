/* identity.c - the files of Unix sockets, on POSIX systems.
   SPDX-License-Identifier: MIT

   Between a look at a file and its removal another process may put its own
   there. So the file is first moved to a name that nobody else uses; if it
   turns out to be another one, it is moved back. */
#define _GNU_SOURCE /* lstat, S_ISSOCK */
#include "identity.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool os_identify_socket(const char *path, os_identity *id) {
  struct stat info;
  if (lstat(path, &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  id->device = (uint64_t)info.st_dev;
  id->number = (uint64_t)info.st_ino;
  return true;
}

static bool is_there(const char *path, const os_identity *id) {
  os_identity now;
  return os_identify_socket(path, &now) && now.device == id->device &&
         now.number == id->number;
}

bool os_remove_socket(const char *path, const os_identity *id) {
  char aside[256]; /* a path of a socket is shorter */
  int n = snprintf(
    aside, sizeof aside, "%s.%08x", path, (unsigned)(uint32_t)os_entropy());
  if (n < 0 || (size_t)n >= sizeof aside || !is_there(path, id)) return false;
  if (rename(path, aside) != 0) return false;
  if (is_there(aside, id)) return unlink(aside) == 0;
  /* Back with it, unless there is another one by now. */
  if (link(aside, path) == 0 || errno == EEXIST) (void)unlink(aside);
  return false;
}
