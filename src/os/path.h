/* path.h - the contract with the system about the paths of Unix sockets.
   SPDX-License-Identifier: MIT */
#ifndef CAST_OS_PATH_H
#define CAST_OS_PATH_H

#include "os.h"

/* Which file a path leads to. */
typedef struct os_identity {
  uint64_t device; /* the file system that the file is in */
  uint64_t number; /* the file's number there */
} os_identity;

/* The socket that the path names itself, not one that a symbolic link leads to.
   False: there is none, or something else. */
bool os_identify_socket(const char *path, os_identity *id);

#endif
