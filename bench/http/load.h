/* load.h - what the files of this load generator share.
   SPDX-License-Identifier: MIT

   The server under test is started, pinned and ended by ../net/load_server.c,
   which calls load_fail and load_now. */
#ifndef BENCH_HTTP_LOAD_H
#define BENCH_HTTP_LOAD_H

#include "../net/load.h"

extern const char *load_path; /* of the requests */
extern const char *load_like; /* a file: what each body must be */
extern bool load_tls;         /* wrk speaks TLS */

/* -- connections that block (load_ask.c) ---------------------------------- */

/* -1: nobody listens. */
int load_dial_server(void);
void load_send(int fd, const void *from, size_t size);
/* Reads a head to its end, and no byte more. */
void load_read_head(int fd, char *head, size_t room);
void load_read(int fd, void *to, size_t size);

/* -- what can be done ----------------------------------------------------- */

void load_wrk(void);       /* load.c */
void load_ask(void);       /* load_ask.c */
void load_kept(void);      /* load_ask.c */
void load_websocket(void); /* load_websocket.c */

#endif
