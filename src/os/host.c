/* host.c - what the system knows of hosts and services, on POSIX systems.
   SPDX-License-Identifier: MIT

   gethostbyname is old, and knows IPv4 only, but tells what getaddrinfo does
   not: aliases. glibc and musl have it with memory of the caller's; elsewhere
   each thread has a result of its own. */
#define _GNU_SOURCE /* gethostbyname_r, getaddrinfo, hstrerror */
#include "host.h"

#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void add(os_texts *to, const char *text) {
  size_t n = strlen(text) + 1;
  /* Room stays for the empty text that ends a list. */
  if (to->size + n + 1 > sizeof to->bytes) return;
  memcpy(to->bytes + to->size, text, n);
  to->size += n;
}

static void add_end(os_texts *to) {
  if (to->size < sizeof to->bytes) to->bytes[to->size++] = '\0';
}

/* -- hosts ---------------------------------------------------------------- */

#if defined(__linux__)
static struct hostent *find(
  const char *name, struct hostent *h, char *room, size_t size, int *e) {
  struct hostent *found = NULL;
  struct in_addr a;
  int rc;
  if (inet_pton(AF_INET, name, &a) == 1)
    rc = gethostbyaddr_r(&a, sizeof a, AF_INET, h, room, size, &found, e);
  else
    rc = gethostbyname_r(name, h, room, size, &found, e);
  return rc == 0 ? found : NULL;
}
#else
static struct hostent *find(
  const char *name, struct hostent *h, char *room, size_t size, int *e) {
  struct hostent *found;
  struct in_addr a;
  (void)h;
  (void)room;
  (void)size;
  found = inet_pton(AF_INET, name, &a) == 1
            ? gethostbyaddr(&a, sizeof a, AF_INET)
            : gethostbyname(name);
  *e = h_errno;
  return found;
}
#endif

static void add_addresses(os_texts *to, const struct hostent *h) {
  char text[INET_ADDRSTRLEN];
  for (char **p = h->h_addr_list; p != NULL && *p != NULL; p++) {
    struct in_addr a;
    if (h->h_addrtype != AF_INET || h->h_length != sizeof a) continue;
    memcpy(&a, *p, sizeof a);
    if (inet_ntop(AF_INET, &a, text, sizeof text) != NULL) add(to, text);
  }
}

int os_host_of(const char *name, os_texts *to, const char **why) {
  struct hostent entry, *h;
  char room[8192];
  int e = 0;
  to->size = 0;
  h = find(name, &entry, room, sizeof room, &e);
  if (h == NULL) {
    *why = e == HOST_NOT_FOUND || e == 0 ? OS_NOT_FOUND : hstrerror(e);
    return -1;
  }
  add(to, h->h_name);
  for (char **p = h->h_aliases; p != NULL && *p != NULL; p++) add(to, *p);
  add_end(to);
  add_addresses(to, h);
  return 0;
}

int os_host_name(char *name, size_t size) {
  if (gethostname(name, size) != 0) return OS_SYSTEM - errno;
  name[size - 1] = '\0';
  return 0;
}

/* -- getaddrinfo ---------------------------------------------------------- */

/* What LuaSocket calls these failures. */
static const char *reason(int rc) {
  switch (rc) {
  case EAI_AGAIN: return "temporary failure in name resolution";
  case EAI_FAIL: return "non-recoverable failure in name resolution";
  case EAI_FAMILY: return "ai_family not supported";
  case EAI_MEMORY: return "memory allocation failure";
  case EAI_NONAME: return OS_UNKNOWN;
  case EAI_SERVICE: return "service not supported for socket type";
  default: return gai_strerror(rc);
  }
}

static struct addrinfo *look_up(const char *host, const char *service,
  bool datagram, int flags, const char **why) {
  struct addrinfo hints, *found = NULL;
  int rc;
  memset(&hints, 0, sizeof hints);
  hints.ai_socktype = datagram ? SOCK_DGRAM : SOCK_STREAM;
  hints.ai_flags = flags;
  rc = getaddrinfo(host, service, &hints, &found);
  if (rc != 0) *why = reason(rc);
  return rc == 0 ? found : NULL;
}

int os_name_info(
  const char *host, const char *service, os_texts *to, const char **why) {
  struct addrinfo *list = look_up(host, service, false, 0, why);
  char name[NI_MAXHOST], word[NI_MAXSERV] = "";
  if (list == NULL) return -1;
  to->size = 0;
  if (service != NULL)
    (void)getnameinfo(
      list->ai_addr, list->ai_addrlen, NULL, 0, word, sizeof word, 0);
  add(to, word);
  for (struct addrinfo *i = list; i != NULL && host != NULL; i = i->ai_next)
    if (getnameinfo(i->ai_addr, i->ai_addrlen, name, sizeof name, NULL, 0, 0) ==
        0)
      add(to, name);
  freeaddrinfo(list);
  return 0;
}

int os_service_port(const char *service, bool datagram, const char **why) {
  struct addrinfo *list = look_up(NULL, service, datagram, AI_PASSIVE, why);
  struct sockaddr_in six;
  int port = -1;
  if (list == NULL) return -1;
  *why = "service not supported for socket type";
  if (list->ai_family == AF_INET || list->ai_family == AF_INET6) {
    /* The port lies at the same place in both. */
    memcpy(&six, list->ai_addr, sizeof six);
    port = ntohs(six.sin_port);
  }
  freeaddrinfo(list);
  return port;
}
