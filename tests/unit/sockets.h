/* sockets.h - what the tests of descriptors and of polling share.
   SPDX-License-Identifier: MIT */
#ifndef UNIT_SOCKETS_H
#define UNIT_SOCKETS_H

#include "fixture.h"

#include "../../src/io/descriptor.h"
#include "../../src/os/socket.h"

/* As unit_wait: 0, CAST_PARKED, or what ended the wait. */
static inline int unit_ready(
  unit_task *t, cast_descriptor *d, int side, uint64_t deadline) {
  CAST_ALWAYS(unit_reserve(t, deadline) == 0);
  return unit_wait(t, cast_descriptor_wait(d, side, &t->base), deadline);
}

/* Reads up to n bytes: how many; PARKED_READ as in fixture.h; or the result of
   the wait. */
#define PARKED_READ (-CAST_PARKED - 5000)
static inline intptr_t unit_read_some(
  unit_task *t, cast_descriptor *d, void *to, size_t n, uint64_t deadline) {
  int rc = unit_over(t) ? t->result : 0;
  while (rc == 0) {
    intptr_t got;
    if (!cast_descriptor_begin(d)) return CASTING_ECLOSED;
    cast_descriptor_try(d, CAST_READ);
    got = os_read(d->fd, to, n);
    cast_descriptor_end(d);
    if (got != OS_EAGAIN) return got;
    rc = unit_ready(t, d, CAST_READ, deadline);
  }
  return rc == CAST_PARKED ? PARKED_READ : rc;
}

/* From any thread, where it is sure that there is room. */
static inline void unit_write_all(
  cast_descriptor *d, const void *from, size_t n) {
  os_bytes b = {from, n};
  CAST_ALWAYS(cast_descriptor_begin(d));
  CAST_ALWAYS(os_write(d->fd, &b, 1, true) == (intptr_t)n);
  cast_descriptor_end(d);
}

static inline void unit_pair(cast_descriptor *d[2]) {
  int fd[2];
  CAST_ALWAYS(os_socket_pair(fd) == 0);
  for (int i = 0; i < 2; i++) {
    d[i] = cast_descriptor_new(fd[i], 0);
    CAST_ALWAYS(d[i] != NULL);
  }
}
static inline void unit_unpair(cast_descriptor *d[2]) {
  for (int i = 0; i < 2; i++) cast_unref(&d[i]->object);
}

#endif
