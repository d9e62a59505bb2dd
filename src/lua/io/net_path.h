/* net_path.h - the paths of Unix sockets: made by a bind, removed at the end.
   SPDX-License-Identifier: MIT

   A socket that is bound to a path makes a file there, which outlives it. Who
   has made it removes it: not the child of a fork, and not if there is another
   file by now. A file of a socket that has gone is in the way of the next one.
   It is removed if the system says that nobody is there; nothing else is. */
#ifndef CAST_NET_PATH_H
#define CAST_NET_PATH_H

#include "../../os/identity.h"
#include "../../os/socket.h"

typedef struct cast_path {
  char *text;     /* NULL: there is no file to be removed */
  os_identity id; /* of the file that was made */
} cast_path;

/* Binds fd, whose family is that of `a`; `path` is the text of the path if it
   has one in the file system, else NULL. *p is what cast_path_end needs. 0,
   CASTING_ENOMEM, or a result of the system's. */
int cast_path_bind(
  int fd, const os_address *a, const char *path, bool datagram, cast_path *p);
/* The socket is closed: removes the file, once. Only frees memory in the child
   of a fork. */
void cast_path_end(cast_path *p);

#endif
