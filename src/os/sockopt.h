/* sockopt.h - the contract with the system about options, as LuaSocket has
   them: each is what the system's option of that name is.
   SPDX-License-Identifier: MIT */
#ifndef CAST_OS_SOCKOPT_H
#define CAST_OS_SOCKOPT_H

#include "socket.h"

typedef enum os_sockopt {
  OS_SO_BROADCAST,
  OS_SO_DEFER_ACCEPT,
  OS_SO_DEVICE,
  OS_SO_DONTROUTE,
  OS_SO_FASTOPEN,
  OS_SO_FASTOPEN_CONNECT,
  OS_SO_HOPS6,
  OS_SO_JOIN,
  OS_SO_JOIN6,
  OS_SO_KEEPALIVE,
  OS_SO_KEEPCNT,
  OS_SO_KEEPIDLE,
  OS_SO_KEEPINTVL,
  OS_SO_LEAVE,
  OS_SO_LEAVE6,
  OS_SO_LINGER,
  OS_SO_MULTICAST_HOPS6,
  OS_SO_MULTICAST_IF,
  OS_SO_MULTICAST_LOOP,
  OS_SO_MULTICAST_LOOP6,
  OS_SO_MULTICAST_TTL,
  OS_SO_NODELAY,
  OS_SO_RECEIVE_BUFFER,
  OS_SO_REUSEADDR,
  OS_SO_REUSEPORT,
  OS_SO_SEND_BUFFER,
  OS_SO_V6ONLY,
  OS_SO_COUNT
} os_sockopt;

typedef struct os_sockvalue {
  int number;         /* a switch, a number; LINGER: is it on?; JOIN6, LEAVE6:
                         the number of the interface, 0: the system's choice */
  int seconds;        /* LINGER */
  os_address address; /* MULTICAST_IF; JOIN, LEAVE: of the interface */
  os_address group;   /* JOIN, LEAVE, JOIN6, LEAVE6 */
  const char *text;   /* DEVICE, to be set */
  char name[64];      /* DEVICE, as it was told */
} os_sockvalue;

/* 0, or a result below zero: also if the system has no such option, and if fd
   is no descriptor. */
int os_sockopt_set(int fd, os_sockopt option, const os_sockvalue *v);
int os_sockopt_get(int fd, os_sockopt option, os_sockvalue *v);

#endif
