/* net_udp.h - handles of sockets for datagrams.
   SPDX-License-Identifier: MIT */
#ifndef CAST_NET_UDP_H
#define CAST_NET_UDP_H

#include "../state/handle.h"
#include "net.h"
#include "udp.h"

/* The names of the methods, for errors. The handles are not those of a class:
   a socket has one, in one session. */
extern const cast_class cast_udp_class;

/* Pushes a handle with a new socket for the descriptor, which it takes over,
   also if it fails. Raises. */
cast_udp *cast_net_udp_push(lua_State *L, cast_state *S, int fd, int family);
/* The socket at idx, which may be closed; raises what it is else, and if it
   has moved. */
cast_udp *cast_net_udp(lua_State *L, int idx);
/* The same, or NULL. */
cast_udp *cast_net_udp_test(lua_State *L, int idx);

/* udp([host [, port [, options]]]) */
int cast_net_udp_new(lua_State *L);

#endif
