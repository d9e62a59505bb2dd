/* address.c - addresses of sockets, and names of hosts, on POSIX systems.
   SPDX-License-Identifier: MIT

   getaddrinfo is the system's own way to names: it knows /etc/hosts, name
   services, search domains and the order of addresses (RFC 6724). It blocks,
   so it is called by helper threads only. */
#define _GNU_SOURCE /* getaddrinfo, struct in6_addr */
#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

_Static_assert(
  sizeof(struct sockaddr_storage) <= sizeof((os_address *)0)->bytes,
  "an address fits");
_Static_assert(INET6_ADDRSTRLEN + IF_NAMESIZE < OS_HOST_SIZE, "a host fits");

int os_address_family(const os_address *a) {
  struct sockaddr s;
  if (a->size < sizeof s.sa_family) return OS_OTHER;
  memcpy(&s, a->bytes, sizeof s);
  switch (s.sa_family) {
  case AF_INET: return OS_INET;
  case AF_INET6: return OS_INET6;
  case AF_UNIX: return OS_UNIX;
  default: return OS_OTHER;
  }
}

static void set(os_address *a, const void *from, size_t size) {
  memset(a, 0, sizeof *a);
  memcpy(a->bytes, from, size);
  a->size = (uint32_t)size;
}

/* The zone of an IPv6 address: the name of an interface, or its number. */
static bool parse_zone(const char *zone, uint32_t *scope) {
  char *end;
  unsigned long n;
  *scope = if_nametoindex(zone);
  if (*scope != 0) return true;
  n = strtoul(zone, &end, 10);
  *scope = (uint32_t)n;
  return zone[0] >= '0' && zone[0] <= '9' && *end == '\0' && n <= UINT32_MAX;
}

bool os_address_parse(os_address *a, const char *host, uint16_t port) {
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  char text[OS_HOST_SIZE];
  const char *zone = strchr(host, '%');
  memset(&four, 0, sizeof four);
  memset(&six, 0, sizeof six);
  if (inet_pton(AF_INET, host, &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    four.sin_port = htons(port);
    set(a, &four, sizeof four);
    return true;
  }
  if (zone != NULL) {
    size_t n = (size_t)(zone - host);
    if (n >= sizeof text || !parse_zone(zone + 1, &six.sin6_scope_id))
      return false;
    memcpy(text, host, n);
    text[n] = '\0';
    host = text;
  }
  if (inet_pton(AF_INET6, host, &six.sin6_addr) != 1) return false;
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  set(a, &six, sizeof six);
  return true;
}

bool os_address_unix(os_address *a, const char *path, size_t size) {
  struct sockaddr_un un;
  size_t head = offsetof(struct sockaddr_un, sun_path);
  memset(&un, 0, sizeof un);
  if (size == 0 || size > OS_PATH_MOST + (path[0] == '\0') ||
      size + (path[0] != '\0') > sizeof un.sun_path)
    return false;
#if !defined(__linux__)
  if (path[0] == '\0') return false; /* the abstract space is Linux's */
#endif
  if (path[0] != '\0' && memchr(path, '\0', size) != NULL) return false;
  un.sun_family = AF_UNIX;
  memcpy(un.sun_path, path, size);
  /* A path ends with its zero; an abstract name is as long as it is said. */
  set(a, &un, head + size + (path[0] != '\0'));
  return true;
}

static size_t unix_text(const os_address *a, char *host) {
  size_t head = offsetof(struct sockaddr_un, sun_path), n;
  const char *path = (const char *)a->bytes + head;
  if (a->size <= head) return 0;
  n = a->size - head;
  if (n > OS_HOST_SIZE - 1) n = OS_HOST_SIZE - 1;
#if !defined(__linux__)
  if (path[0] == '\0') return 0; /* zero bytes in place of a name */
#endif
  if (path[0] != '\0') n = strnlen(path, n);
  memcpy(host, path, n);
  host[n] = '\0';
  return n;
}

size_t os_address_text(
  const os_address *a, char host[OS_HOST_SIZE], uint16_t *port) {
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  char zone[IF_NAMESIZE];
  size_t n;
  host[0] = '\0';
  *port = 0;
  switch (os_address_family(a)) {
  case OS_INET:
    memcpy(&four, a->bytes, sizeof four);
    (void)inet_ntop(AF_INET, &four.sin_addr, host, OS_HOST_SIZE);
    *port = ntohs(four.sin_port);
    return strlen(host);
  case OS_INET6:
    memcpy(&six, a->bytes, sizeof six);
    (void)inet_ntop(AF_INET6, &six.sin6_addr, host, OS_HOST_SIZE);
    *port = ntohs(six.sin6_port);
    n = strlen(host);
    if (six.sin6_scope_id == 0) return n;
    if (if_indextoname(six.sin6_scope_id, zone) == NULL)
      (void)snprintf(zone, sizeof zone, "%u", (unsigned)six.sin6_scope_id);
    return n + (size_t)snprintf(host + n, OS_HOST_SIZE - n, "%%%s", zone);
  case OS_UNIX: return unix_text(a, host);
  default: return 0;
  }
}

void os_address_set_port(os_address *a, uint16_t port) {
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  if (os_address_family(a) == OS_INET) {
    memcpy(&four, a->bytes, sizeof four);
    four.sin_port = htons(port);
    memcpy(a->bytes, &four, sizeof four);
  } else if (os_address_family(a) == OS_INET6) {
    memcpy(&six, a->bytes, sizeof six);
    six.sin6_port = htons(port);
    memcpy(a->bytes, &six, sizeof six);
  }
}

/* -- names */

#define NO_MEMORY "not enough memory"

/* One text for all that say that there is no such name, or no address of that
   family: C libraries differ in which they return, and in what they call it.
   NULL: ask the system what happened. */
static const char *reason(int rc) {
  switch (rc) {
#if defined(EAI_NODATA) && EAI_NODATA != EAI_NONAME
  case EAI_NODATA: return OS_NOT_FOUND;
#endif
#if defined(EAI_ADDRFAMILY)
  case EAI_ADDRFAMILY: return OS_NOT_FOUND;
#endif
  case EAI_NONAME: return OS_NOT_FOUND;
  case EAI_AGAIN: return "temporary failure in name resolution";
  case EAI_MEMORY: return NO_MEMORY;
  case EAI_FAIL: return "name resolution failed";
  case EAI_SYSTEM: return NULL;
  default: return gai_strerror(rc);
  }
}

/* What getaddrinfo has failed of: 0 and a text, or a result of the system's.
   Without a descriptor for /etc/hosts, or for a question to a name server,
   glibc says that there is no such name, or what else comes to its mind: but
   errno tells. */
static intptr_t tell(int rc, int e, const char **why) {
  *why = reason(rc);
  if (e == ENOMEM) *why = NO_MEMORY;
  if (e == EMFILE || e == ENFILE || e == ENOBUFS) return OS_SYSTEM - e;
  if (*why != NULL) return 0;
  *why = "name resolution failed";
  return e != 0 ? OS_SYSTEM - e : 0;
}

static bool is_in(const os_address *list, size_t n, const os_address *a) {
  for (size_t i = 0; i < n; i++)
    if (list[i].size == a->size &&
        memcmp(list[i].bytes, a->bytes, a->size) == 0)
      return true;
  return false;
}

static size_t copy(
  const struct addrinfo *from, uint16_t port, os_address *list) {
  size_t n = 0;
  for (const struct addrinfo *i = from; i != NULL; i = i->ai_next) {
    os_address a;
    if (i->ai_addrlen > sizeof a.bytes) continue;
    set(&a, i->ai_addr, i->ai_addrlen);
    if (os_address_family(&a) == OS_OTHER) continue;
    os_address_set_port(&a, port);
    if (!is_in(list, n, &a)) list[n++] = a;
  }
  return n;
}

intptr_t os_resolve(const char *name, int family, uint16_t port,
  os_address **list, const char **why) {
  struct addrinfo hints, *found = NULL;
  size_t n = 0;
  int rc;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = family == OS_INET    ? AF_INET
                    : family == OS_INET6 ? AF_INET6
                                         : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM; /* each address once */
  *list = NULL;
  errno = 0;
  rc = getaddrinfo(name, NULL, &hints, &found);
  if (rc == 0 && found == NULL) rc = EAI_NONAME;
  if (rc != 0) return tell(rc, errno, why);
  for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) n++;
  *list = malloc(n * sizeof **list);
  if (*list != NULL) n = copy(found, port, *list);
  *why = *list == NULL ? NO_MEMORY : OS_NOT_FOUND;
  if (*list == NULL) n = 0;
  freeaddrinfo(found);
  return (intptr_t)n;
}

void os_free_addresses(os_address *list) { free(list); }
