/* slownames.c - names that take as long as a test wants; net_resolve_spec.lua
   and stress/names.lua compile it and have the loader put it before the C
   library.
   SPDX-License-Identifier: MIT

   Names that end in ".test" are answered here, all others by the system:
     gate...      once the file $NAMES_BASE.gate is there
     slow...      after 0.2 seconds
     napN...      after N milliseconds, 999 at most
     many...      ::1, 127.0.0.1, ::1, fe80::1%1, 127.0.0.1
     crowd...     2001:db8::100 to 2001:db8::1ff
     again... and so on: the error of that name
     others       127.0.0.1
   Each of these but napN is added, with a newline, to $NAMES_BASE.log as it is
   asked for. Nothing waits longer than 300 seconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OURS 0x5a5a /* in ai_flags */

static const char *path(char *to, size_t size, const char *kind) {
  const char *base = getenv("NAMES_BASE");
  (void)snprintf(to, size, "%s.%s", base != NULL ? base : "/nonexistent", kind);
  return to;
}

static void note(const char *name) {
  char text[512];
  int fd = open(path(text, sizeof text, "log"),
    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  int n = snprintf(text, sizeof text, "%s\n", name);
  if (fd < 0 || write(fd, text, (size_t)n) != n) abort();
  (void)close(fd);
}

static void nap(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  (void)nanosleep(&t, NULL);
}

static void pass_gate(void) {
  char gate[512];
  (void)path(gate, sizeof gate, "gate");
  for (int i = 0; i < 60000 && access(gate, F_OK) != 0; i++) nap(5);
}

static void add(struct addrinfo **list, const char *text, int wanted) {
  struct addrinfo *a = calloc(1, sizeof *a + sizeof(struct sockaddr_in6));
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
  if (a == NULL) abort();
  if (wanted != AF_UNSPEC && wanted != family) {
    free(a);
    return;
  }
  memset(&four, 0, sizeof four);
  memset(&six, 0, sizeof six);
  a->ai_flags = OURS;
  a->ai_family = family;
  a->ai_socktype = SOCK_STREAM;
  a->ai_addr = (struct sockaddr *)(a + 1);
  if (family == AF_INET) {
    four.sin_family = AF_INET;
    if (inet_pton(AF_INET, text, &four.sin_addr) != 1) abort();
    a->ai_addrlen = sizeof four;
    memcpy(a->ai_addr, &four, sizeof four);
  } else {
    six.sin6_family = AF_INET6;
    if (inet_pton(AF_INET6, text, &six.sin6_addr) != 1) abort();
    if (strncmp(text, "fe80", 4) == 0) six.sin6_scope_id = 1;
    a->ai_addrlen = sizeof six;
    memcpy(a->ai_addr, &six, sizeof six);
  }
  while (*list != NULL) list = &(*list)->ai_next;
  *list = a;
}

static int begins(const char *name, const char *with) {
  return strncmp(name, with, strlen(with)) == 0;
}

static int answer(const char *name, int family, struct addrinfo **list) {
  if (begins(name, "nap"))
    nap(atoi(name + 3) % 1000);
  else
    note(name);
  if (begins(name, "gate")) pass_gate();
  if (begins(name, "slow")) nap(200);
  if (begins(name, "again")) return EAI_AGAIN;
  if (begins(name, "noname")) return EAI_NONAME;
  if (begins(name, "fail")) return EAI_FAIL;
  if (begins(name, "memory")) return EAI_MEMORY;
  if (begins(name, "system")) return errno = ECONNREFUSED, EAI_SYSTEM;
  if (begins(name, "full")) return errno = ENFILE, EAI_NONAME;
  if (begins(name, "nodata")) return EAI_NODATA;
  *list = NULL;
  if (begins(name, "many")) {
    add(list, "::1", family);
    add(list, "127.0.0.1", family);
    add(list, "::1", family);
    add(list, "fe80::1", family);
  }
  for (int i = 0x100; begins(name, "crowd") && i < 0x200; i++) {
    char text[40];
    (void)snprintf(text, sizeof text, "2001:db8::%x", i);
    add(list, text, family);
  }
  add(list, "127.0.0.1", family);
  return *list != NULL ? 0 : EAI_NONAME;
}

int getaddrinfo(const char *name, const char *service,
  const struct addrinfo *hints, struct addrinfo **list) {
  typedef int call(
    const char *, const char *, const struct addrinfo *, struct addrinfo **);
  size_t n = strlen(name);
  if (n > 5 && strcmp(name + n - 5, ".test") == 0)
    return answer(name, hints->ai_family, list);
  call *next = (call *)dlsym(RTLD_NEXT, "getaddrinfo");
  return next(name, service, hints, list);
}

void freeaddrinfo(struct addrinfo *list) {
  typedef void call(struct addrinfo *);
  call *next = (call *)dlsym(RTLD_NEXT, "freeaddrinfo");
  if (list == NULL || list->ai_flags != OURS) {
    next(list);
    return;
  }
  while (list != NULL) {
    struct addrinfo *a = list;
    list = a->ai_next;
    free(a);
  }
}
