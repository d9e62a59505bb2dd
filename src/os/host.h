/* host.h - what the system knows of hosts and services.
   SPDX-License-Identifier: MIT

   All of it may block, perhaps for minutes: for helper threads only. Texts that
   tell why something is not known last. */
#ifndef CAST_OS_HOST_H
#define CAST_OS_HOST_H

#include "os.h"

/* What LuaSocket says of a name that is not known. */
#define OS_UNKNOWN "host or service not provided, or not known"

/* Texts, each with a zero behind it; what has no room is left out. */
typedef struct os_texts {
  size_t size;
  char bytes[4096];
} os_texts;

/* Of the host that is called so, or that has this numeric address: its name,
   its aliases, an empty text, its IPv4 addresses. 0; or -1, and why. */
int os_host_of(const char *name, os_texts *to, const char **why);
/* The name of a service, or an empty text if none is asked for (NULL); then the
   names of a host's addresses, none if none is asked for. 0; or -1, and why. */
int os_name_info(
  const char *host, const char *service, os_texts *to, const char **why);
/* The port of a service; or -1, and why. */
int os_service_port(const char *service, bool datagram, const char **why);
/* The name of this machine: 0, or a result of the system's. Does not block. */
int os_host_name(char *name, size_t size);

#endif
