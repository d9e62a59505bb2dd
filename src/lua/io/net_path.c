/* net_path.c - the paths of Unix sockets: made by a bind, removed at the end.
   SPDX-License-Identifier: MIT

   See net_path.h. */
#include "net_path.h"

#include "../../../include/casting.h"
#include "../../fork.h"
#include "../../mem.h"

#include <string.h>

/* Removes the socket at the path if the system says that no process has it. */
static bool remove_abandoned(
  const os_address *a, const char *path, bool datagram) {
  os_identity id;
  int fd, rc;
  if (!os_identify_socket(path, &id)) return false;
  fd = os_socket(OS_UNIX, datagram);
  if (fd < 0) return false;
  rc = os_connect(fd, a);
  os_close(fd);
  return os_is_refused(rc) && os_remove_socket(path, &id);
}

int cast_path_bind(
  int fd, const os_address *a, const char *path, bool datagram, cast_path *p) {
  size_t n = path != NULL ? strlen(path) + 1 : 0;
  char *text = NULL;
  int rc;
  p->text = NULL;
  if (path != NULL) {
    text = cast_alloc(n);
    if (text == NULL) return CASTING_ENOMEM;
    memcpy(text, path, n);
  }
  rc = os_bind(fd, a);
  if (path != NULL && os_is_in_use(rc) && remove_abandoned(a, path, datagram))
    rc = os_bind(fd, a);
  if (rc == 0 && path != NULL && os_identify_socket(path, &p->id))
    p->text = text;
  else
    cast_free(text);
  return rc;
}

void cast_path_end(cast_path *p) {
  if (p->text == NULL) return;
  if (!cast_forked) (void)os_remove_socket(p->text, &p->id);
  cast_free(p->text);
  p->text = NULL;
}
