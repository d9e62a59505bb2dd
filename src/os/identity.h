/* identity.h - the contract with the system about the files of Unix sockets.
   SPDX-License-Identifier: MIT */
#ifndef CAST_OS_IDENTITY_H
#define CAST_OS_IDENTITY_H

#include "os.h"

/* Which file a path leads to. */
typedef struct os_identity {
  uint64_t device; /* the file system that the file is in */
  uint64_t number; /* the file's number there */
} os_identity;

/* The socket that the path names itself, not one that a symbolic link leads to.
   False: there is none, or something else. */
bool os_identify_socket(const char *path, os_identity *id);
/* Removes the socket at the path if it is that file, also when another process
   puts one of its own there at this moment. False: it was not removed. */
bool os_remove_socket(const char *path, const os_identity *id);

#endif
