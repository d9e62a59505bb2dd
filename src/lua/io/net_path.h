/* net_path.h - the paths of Unix sockets: made by a bind, removed at the end.
   SPDX-License-Identifier: MIT

   What a socket for datagrams keeps for that; the rules are those of listeners,
   in ../../os/socket_path.c. */
#ifndef CAST_NET_PATH_H
#define CAST_NET_PATH_H

#include "../../os/socket.h"

typedef struct cast_socket_path {
  os_address address;  /* with the path, if a file was made */
  os_socket_file file; /* process 0: there is none to be removed */
} cast_socket_path;

/* Binds fd, a socket for datagrams whose family is that of `a`. *p is what
   cast_path_end needs. 0 or a result of the system's. */
int cast_path_bind(int fd, const os_address *a, cast_socket_path *p);
/* The socket is about to be closed: removes the file, once. Does nothing in the
   child of a fork. */
void cast_path_end(cast_socket_path *p);

#endif
