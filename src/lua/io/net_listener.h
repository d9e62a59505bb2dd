/* net_listener.h - listening sockets, which all sessions share.
   SPDX-License-Identifier: MIT

   A listener is a counted object with one handle in each session, as a channel
   is. All who accept stand in one queue, that of its descriptor, whatever
   session they are of: the first of them gets the next connection. Invariants:
   1. Who has got a connection says that there may be more
      (cast_descriptor_pass), and so wakes the next one; who is told that there
      is none waits. So no connection lies in the backlog while a task waits.
   2. Without a descriptor, or memory for one, all wait until the timer passes
      the turn on; its time doubles from CAST_ACCEPT_NS to CAST_ACCEPT_MOST_NS.
      The connections stay in the backlog. */
#ifndef CAST_NET_LISTENER_H
#define CAST_NET_LISTENER_H

#include "../../io/descriptor.h"
#include "../../os/socket.h"
#include "../../timer.h"
#include "../state/handle.h"

typedef struct cast_listener {
  cast_object object;
  cast_descriptor *file;       /* (i) one reference */
  cast_timer timer;            /* of a shortage */
  _Atomic uint32_t pause_ns;   /* (a) of the latest one; 0: there is none */
  _Atomic uint64_t naccepted;  /* (a) */
  _Atomic uint64_t nshortages; /* (a) */
  os_address local;            /* (i) */
  char *path;                  /* (i) of a Unix socket that was made here */
} cast_listener;

extern const cast_type cast_listener_type;
extern const cast_class cast_listener_class;

/* Pushes the handle of a new one, for a socket that listens, which it takes
   over, also if it fails. Raises. */
void cast_listener_push(lua_State *L, int fd, const char *path);

#endif
