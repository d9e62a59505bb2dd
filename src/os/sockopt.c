/* sockopt.c - options of sockets on POSIX systems, by the system's own names.
   SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* struct ip_mreq, struct ipv6_mreq */
#include "sockopt.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define NONE (-1) /* the system has no such option */

#if defined(IPV6_ADD_MEMBERSHIP)
#define JOIN6 IPV6_ADD_MEMBERSHIP
#define LEAVE6 IPV6_DROP_MEMBERSHIP
#else
#define JOIN6 IPV6_JOIN_GROUP
#define LEAVE6 IPV6_LEAVE_GROUP
#endif
#if defined(SO_BINDTODEVICE)
#define DEVICE SO_BINDTODEVICE
#else
#define DEVICE NONE
#endif
#if defined(TCP_DEFER_ACCEPT)
#define DEFER_ACCEPT TCP_DEFER_ACCEPT
#else
#define DEFER_ACCEPT NONE
#endif
#if defined(TCP_FASTOPEN)
#define FASTOPEN TCP_FASTOPEN
#else
#define FASTOPEN NONE
#endif
#if defined(TCP_FASTOPEN_CONNECT)
#define FASTOPEN_CONNECT TCP_FASTOPEN_CONNECT
#else
#define FASTOPEN_CONNECT NONE
#endif
#if defined(TCP_KEEPCNT)
#define KEEPCNT TCP_KEEPCNT
#else
#define KEEPCNT NONE
#endif
#if defined(TCP_KEEPIDLE)
#define KEEPIDLE TCP_KEEPIDLE
#elif defined(TCP_KEEPALIVE)
#define KEEPIDLE TCP_KEEPALIVE
#else
#define KEEPIDLE NONE
#endif
#if defined(TCP_KEEPINTVL)
#define KEEPINTVL TCP_KEEPINTVL
#else
#define KEEPINTVL NONE
#endif

static const struct {
  int level, name;
} table[OS_SO_COUNT] = {
  [OS_SO_BROADCAST] = {SOL_SOCKET, SO_BROADCAST},
  [OS_SO_DEFER_ACCEPT] = {IPPROTO_TCP, DEFER_ACCEPT},
  [OS_SO_DEVICE] = {SOL_SOCKET, DEVICE},
  [OS_SO_DONTROUTE] = {SOL_SOCKET, SO_DONTROUTE},
  [OS_SO_FASTOPEN] = {IPPROTO_TCP, FASTOPEN},
  [OS_SO_FASTOPEN_CONNECT] = {IPPROTO_TCP, FASTOPEN_CONNECT},
  [OS_SO_HOPS6] = {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
  [OS_SO_JOIN] = {IPPROTO_IP, IP_ADD_MEMBERSHIP},
  [OS_SO_JOIN6] = {IPPROTO_IPV6, JOIN6},
  [OS_SO_KEEPALIVE] = {SOL_SOCKET, SO_KEEPALIVE},
  [OS_SO_KEEPCNT] = {IPPROTO_TCP, KEEPCNT},
  [OS_SO_KEEPIDLE] = {IPPROTO_TCP, KEEPIDLE},
  [OS_SO_KEEPINTVL] = {IPPROTO_TCP, KEEPINTVL},
  [OS_SO_LEAVE] = {IPPROTO_IP, IP_DROP_MEMBERSHIP},
  [OS_SO_LEAVE6] = {IPPROTO_IPV6, LEAVE6},
  [OS_SO_LINGER] = {SOL_SOCKET, SO_LINGER},
  [OS_SO_MULTICAST_HOPS6] = {IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
  [OS_SO_MULTICAST_IF] = {IPPROTO_IP, IP_MULTICAST_IF},
  [OS_SO_MULTICAST_LOOP] = {IPPROTO_IP, IP_MULTICAST_LOOP},
  [OS_SO_MULTICAST_LOOP6] = {IPPROTO_IPV6, IPV6_MULTICAST_LOOP},
  [OS_SO_MULTICAST_TTL] = {IPPROTO_IP, IP_MULTICAST_TTL},
  [OS_SO_NODELAY] = {IPPROTO_TCP, TCP_NODELAY},
  [OS_SO_RECEIVE_BUFFER] = {SOL_SOCKET, SO_RCVBUF},
  [OS_SO_REUSEADDR] = {SOL_SOCKET, SO_REUSEADDR},
  [OS_SO_REUSEPORT] = {SOL_SOCKET, SO_REUSEPORT},
  [OS_SO_SEND_BUFFER] = {SOL_SOCKET, SO_SNDBUF},
  [OS_SO_V6ONLY] = {IPPROTO_IPV6, IPV6_V6ONLY},
};

static int set_raw(int fd, os_sockopt o, const void *value, size_t size) {
  if (table[o].name == NONE) return OS_SYSTEM - ENOPROTOOPT;
  return setsockopt(
           fd, table[o].level, table[o].name, value, (socklen_t)size) == 0
           ? 0
           : OS_SYSTEM - errno;
}

static int get_raw(int fd, os_sockopt o, void *value, size_t size) {
  socklen_t n = (socklen_t)size;
  if (table[o].name == NONE) return OS_SYSTEM - ENOPROTOOPT;
  return getsockopt(fd, table[o].level, table[o].name, value, &n) == 0
           ? 0
           : OS_SYSTEM - errno;
}

static struct in_addr four_of(const os_address *a) {
  struct sockaddr_in s;
  memcpy(&s, a->bytes, sizeof s);
  return s.sin_addr;
}

int os_sockopt_set(int fd, os_sockopt option, const os_sockvalue *v) {
  switch (option) {
  case OS_SO_LINGER: {
    struct linger l = {v->number, v->seconds};
    return set_raw(fd, option, &l, sizeof l);
  }
  case OS_SO_MULTICAST_IF: {
    struct in_addr a = four_of(&v->address);
    return set_raw(fd, option, &a, sizeof a);
  }
  case OS_SO_JOIN:
  case OS_SO_LEAVE: {
    struct ip_mreq m = {four_of(&v->group), four_of(&v->address)};
    return set_raw(fd, option, &m, sizeof m);
  }
  case OS_SO_JOIN6:
  case OS_SO_LEAVE6: {
    struct sockaddr_in6 s;
    struct ipv6_mreq m;
    memcpy(&s, v->group.bytes, sizeof s);
    m.ipv6mr_multiaddr = s.sin6_addr;
    m.ipv6mr_interface = (unsigned)v->number;
    return set_raw(fd, option, &m, sizeof m);
  }
  case OS_SO_DEVICE: return set_raw(fd, option, v->text, strlen(v->text) + 1);
  default: return set_raw(fd, option, &v->number, sizeof v->number);
  }
}

int os_sockopt_get(int fd, os_sockopt option, os_sockvalue *v) {
  int rc;
  memset(v, 0, sizeof *v);
  switch (option) {
  case OS_SO_LINGER: {
    struct linger l = {0, 0};
    rc = get_raw(fd, option, &l, sizeof l);
    v->number = l.l_onoff;
    v->seconds = l.l_linger;
    return rc;
  }
  case OS_SO_MULTICAST_IF: {
    struct sockaddr_in s;
    memset(&s, 0, sizeof s);
    s.sin_family = AF_INET;
    rc = get_raw(fd, option, &s.sin_addr, sizeof s.sin_addr);
    memcpy(v->address.bytes, &s, sizeof s);
    v->address.size = sizeof s;
    return rc;
  }
  case OS_SO_DEVICE: return get_raw(fd, option, v->name, sizeof v->name - 1);
  default: return get_raw(fd, option, &v->number, sizeof v->number);
  }
}
