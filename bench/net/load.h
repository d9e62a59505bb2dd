/* load.h - what the files of the load generator share.
   SPDX-License-Identifier: MIT

   One process with one thread: it starts the server under test as its child,
   loads it, prints one line, and ends the server. Whatever fails ends both
   (load_fail). */
#ifndef BENCH_NET_LOAD_H
#define BENCH_NET_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct load_options {
  int connections; /* how many are open at once; idle: the first number */
  int more;        /* idle: how many there are in the end */
  size_t size;     /* echo: the bytes of a message */
  double seconds;  /* how long it is measured */
  bool pinned;     /* the server has processor 0, the load the next one */
  bool traced;     /* the calls of the server are counted by strace */
} load_options;

extern load_options load_given;

/* -- the server (load_server.c) ------------------------------------------- */

/* The port that it has printed. */
extern int load_port;
/* Starts the program. */
void load_server_start(char **command);
/* Waits until it has printed its port. */
void load_server_await_port(void);
/* Ends it, and waits for that. */
void load_server_stop(void);
/* Suspends it, and waits for that; lets it go on. */
void load_server_halt(void);
void load_server_go_on(void);
/* Processor time of all its threads, in nanoseconds; of this process. */
uint64_t load_server_cpu(void);
uint64_t load_own_cpu(void);
/* The memory that it has resident, in bytes. */
uint64_t load_server_memory(void);
/* How often its threads have gone to sleep. */
uint64_t load_server_rests(void);
/* strace counts its system calls from here, until load_trace_stop, which
   returns their number. */
void load_trace_start(void);
double load_trace_stop(void);
/* The same for a server that makes few calls: each one is written down with its
   time, so that those before load_trace_from_now can be left out. */
void load_trace_each(void);
void load_trace_from_now(void);

/* Says what went wrong, ends the server and the process. */
_Noreturn void load_fail(const char *format, ...);
/* The monotonic clock, in nanoseconds. */
uint64_t load_now(void);

/* -- connections ---------------------------------------------------------- */

/* The pattern of which each message is a part. */
#define LOAD_PATTERN 65536u
#define LOAD_MESSAGE_MOST 1048576u
extern unsigned char load_pattern[LOAD_PATTERN + LOAD_MESSAGE_MOST];

/* A new connection to the server, the i-th one, from one of the addresses
   127.0.0.2 to 127.0.0.40, so that there are ports for many. `wait`: it is
   connected when this returns; it never blocks after that. */
int load_connect(int i, bool wait);
/* Closes it by a reset, so that its port is free at once. */
void load_reset(int fd);

/* -- times ---------------------------------------------------------------- */

void load_note_time(uint64_t ns);
void load_forget_times(void);
/* The time below which a share of those noted lie, in nanoseconds. */
double load_percentile(double share);

/* -- what can be done (load_WHAT.c) --------------------------------------- */

void load_echo(void);
void load_churn(void);
void load_burst(void);
void load_idle(void);
/* The port to which the program is to connect. */
int load_dial_listen(void);
void load_dial(void);

#endif
