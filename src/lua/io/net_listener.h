/* net_listener.h - listening sockets, which all sessions share.
   SPDX-License-Identifier: MIT

   A listener is a counted object with one handle in each session, as a channel
   is. All who accept stand in one queue, that of its descriptor, whatever
   session they are of: the first of them gets the next connection. Invariants:
   1. Who has asked the system and was not told that there is no connection left
      says that there may be more (cast_descriptor_pass), and so wakes the next
      one. So no connection lies in the backlog while a task waits. Whoever is
      woken for nothing stays the first; but a task that does not wait yet may
      be faster, so that no connection has to wait for a session that computes.
   2. Without a descriptor, or memory for one, all wait until the timer passes
      the turn on; its time doubles from CAST_ACCEPT_NS to CAST_ACCEPT_MOST_NS.
      Nobody asks the system meanwhile (`paused_ns` of the descriptor), however
      many connections come; they stay in the backlog. The timer is set after
      paused_ns is, and no pass comes before that time is over.
   3. A connection that was accepted, and then there was no memory for its
      stream, is kept for whoever accepts next (`kept` of the descriptor).
   4. The path of a Unix socket is removed before it is closed, in the process
      that has made it, unless the program says otherwise (`unlinks`): it may
      have handed the socket to another process. */
#ifndef CAST_NET_LISTENER_H
#define CAST_NET_LISTENER_H

#include "../../../include/casting.h"
#include "../../io/descriptor.h"
#include "../../os/socket.h"
#include "../../timer.h"
#include "../state/handle.h"

typedef struct cast_listener {
  cast_object object;
  cast_descriptor *file;       /* (i) one reference; NULL: not made yet */
  cast_timer timer;            /* of a shortage */
  _Atomic uint32_t pause_ns;   /* (a) of the latest one; 0: there is none */
  _Atomic uint32_t nwaiting;   /* (a) tasks that wait */
  _Atomic uint64_t naccepted;  /* (a) connections, so far */
  _Atomic uint64_t nshortages; /* (a) shortages, so far */
  bool is_plain;               /* (i) os_is_plain, and so its connections */
  os_address local;            /* (i) */
  os_socket_file place;        /* (i) of its path, if it has one */
  _Atomic bool unlinks;        /* (a) close removes the path */
  _Atomic(struct cast_layers *) layers; /* (a) what its connections get, set
                                           once; or NULL */
} cast_listener;

extern const cast_type cast_listener_type;
extern const cast_class cast_listener_class;

/* Its connections get layers of that kind from now on: 0; CASTING_ENOMEM;
   CASTING_EINVAL: it has some. */
int cast_listener_layers(
  cast_listener *l, const casting_layers *how, void *state);

/* Pushes the handle of a new one that has no descriptor. Raises. */
cast_listener *cast_listener_push(lua_State *L);
/* Gives it the socket fd, which listens: 0; CASTING_ENOMEM: nothing was taken.
   place: of the path that was made for it, which its close removes if
   `unlinks`; NULL: another process has made the socket. */
int cast_listener_own(
  cast_listener *l, int fd, const os_socket_file *place, bool unlinks);

/* Waits until it is closed, and returns true to Lua (net_closed.c). */
int cast_listener_closed(lua_State *L, cast_listener *l);

#endif
