/* udp.h - a socket for datagrams: UDP, or a Unix socket of that kind.
   SPDX-License-Identifier: MIT

   Owner: the session that has the handle. Nothing here knows Lua's API: these
   functions are what a wait's `again` calls, too, where there is no Lua.
   There is no queue of datagrams here: what is not received stays in the
   system's buffer, and what that has no room for is lost, as UDP has it.
   Invariants:
   1. Tasks receive in turn. `receiver` is the task whose turn it is; it stands
      in the queue of the descriptor, the others in `turns`, in order. While
      there is no receiver, nobody stands in `turns`.
   2. A datagram that was taken from the system and not handed out (`bytes`) is
      the receiver's, or, while there is none, the next one's to ask.
   3. The rule of the descriptors: who was not told EAGAIN passes on what may be
      left (cast_descriptor_pass), since a task of another session may wait for
      the number.
   4. Where no event tells that there is room (a full queue of a Unix socket
      that this one is not connected to; a shortage of buffers), the timer
      does: who waits for it stands in `blocked`, before it is set. They do not
      wait for the descriptor: Linux takes each such try for a change to
      writable, and they would try without end.

   Lock: `lock` (CAST_RANK_EVENT). The waiters of both queues are claimed under
   it and woken after it is released. */
#ifndef CAST_UDP_H
#define CAST_UDP_H

#include "../../io/descriptor.h"
#include "../../list.h"
#include "../../object.h"
#include "../../os/socket.h"
#include "../../timer.h"
#include "../state/ltask.h"
#include "net_path.h"

/* A datagram that has come: the block is CAST_DATAGRAM_MOST bytes large, and
   cast_big_free's. */
typedef struct cast_datagram {
  unsigned char *bytes; /* NULL: there is none */
  size_t size;          /* of what it has */
  os_address from;      /* from.size is 0: the sender has no address */
} cast_datagram;

typedef struct cast_udp {
  cast_object object;      /* references: the handle, waits, the timer */
  cast_descriptor *file;   /* (i) one reference */
  int family;              /* (i) OS_INET, OS_INET6 or OS_UNIX */
  cast_lock lock;          /* of the queues */
  cast_list turns;         /* (lock) waiters of those who wait for their turn */
  cast_ltask *receiver;    /* whose turn it is to receive, or NULL */
  cast_datagram left;      /* see 2. */
  cast_list senders;       /* of cast_send: those that wait */
  uint32_t selects;        /* calls that wait for it beside other things */
  uint32_t uses;           /* calls that make strings of datagrams now */
  cast_list blocked;       /* (lock) waiters of senders: see 4. */
  cast_timer timer;        /* see 4. */
  uint32_t pause_ns;       /* of its latest run; 0: the latest try went well */
  bool timed;              /* the timer is set, perhaps for never */
  cast_socket_path path;   /* of a Unix socket that was bound here */
  uint64_t nreceived;      /* datagrams */
  uint64_t nsent;          /* datagrams */
  uint64_t bytes_received; /* bytes of these */
  uint64_t bytes_sent;     /* bytes of these */
} cast_udp;

extern const cast_type cast_udp_type;

/* With a descriptor of the system's, which it takes over, also if it fails:
   NULL, no memory. */
cast_udp *cast_udp_new(int fd, int family);
/* Closes it, and wakes those who wait. False: it was closed before. */
bool cast_udp_close(cast_udp *u, cast_session *self);
/* Is a call at work on it, or does a task, or a select, wait for it? Then it
   stays in its session. */
bool cast_udp_is_awaited(cast_udp *u);

/* -- receiving ------------------------------------------------------------ */

/* Whose turn it is, or nobody's: there is a datagram in `left` after 0; else
   OS_EAGAIN, CASTING_ECLOSED, CASTING_ENOMEM, or a result of the system's. */
intptr_t cast_udp_fill(cast_udp *u, cast_session *self);
/* After such a try, whose result is rc: another one each time that something
   has come meanwhile. CAST_PARKED: its task waits. */
intptr_t cast_udp_fill_or_wait(cast_udp *u, cast_ltask *t, intptr_t rc);
/* May t receive now? Then its turn begins: 0. Else, if it waits, CAST_PARKED:
   it has its turn when the wait ends well; if not, OS_EAGAIN. CASTING_ECLOSED.
 */
int cast_udp_take_turn(cast_udp *u, cast_ltask *t, bool waits);
/* The turn of t is over: the next one's begins. */
void cast_udp_pass_turn(cast_udp *u, cast_ltask *t, cast_session *self);
/* Takes what is in `left` out. */
cast_datagram cast_udp_take(cast_udp *u);
/* It was not handed out after all: it is the next one's to ask. */
void cast_udp_put_back(cast_udp *u, cast_datagram *d, cast_session *self);
void cast_datagram_free(cast_datagram *d);

/* -- sending -------------------------------------------------------------- */

/* One try; to: NULL, the peer. 0: it has gone; OS_EAGAIN; CASTING_ECLOSED; or a
   result of the system's. Before the first wait, cast_udp_set_timer has to
   succeed, if the result says that it is needed (cast_udp_needs_timer). */
intptr_t cast_udp_send(cast_udp *u, const void *data, size_t size,
  const os_address *to, cast_session *self);
bool cast_udp_needs_timer(const cast_udp *u, intptr_t rc, const os_address *to);
bool cast_udp_set_timer(cast_udp *u, uint64_t session);

/* A datagram whose sender waits. */
typedef struct cast_send {
  cast_object object; /* a wait's */
  cast_list link;     /* in the socket's senders */
  cast_udp *udp;      /* one reference */
  bool has_to;        /* to the address `to`, else to the peer */
  os_address to;
  size_t size; /* of `data` */
  char data[];
} cast_send;

/* NULL: no memory. */
cast_send *cast_send_new(
  cast_udp *u, const void *data, size_t size, const os_address *to);
/* Tries, and waits until it has gone: 0, CAST_PARKED, or a failure. */
intptr_t cast_send_or_wait(cast_send *x, cast_ltask *t);

#endif
