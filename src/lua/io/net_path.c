/* net_path.c - the paths of Unix sockets: made by a bind, removed at the end.
   SPDX-License-Identifier: MIT

   See net_path.h. */
#include "net_path.h"

#include <string.h>

int cast_path_bind(int fd, const os_address *a, cast_socket_path *p) {
  memset(p, 0, sizeof *p);
  if (!os_address_has_path(a)) return os_bind(fd, a);
  p->address = *a;
  return os_bind_path(fd, a, &p->file);
}

void cast_path_end(cast_socket_path *p) {
  if (p->file.process != 0) (void)os_remove_path(&p->address, &p->file);
  p->file.process = 0;
}
