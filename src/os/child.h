/* child.h - the contract with the system about programs that it starts.
   SPDX-License-Identifier: MIT

   Results below zero are those of socket.h: OS_ENOMEM, or the system's own. */
#ifndef CAST_OS_CHILD_H
#define CAST_OS_CHILD_H

#include "os.h"

/* What becomes a standard stream of a program, in place of a descriptor. */
#define OS_INHERITED (-1) /* that of this process, if it is open */
#define OS_NOTHING (-2)   /* an empty file that takes everything */

typedef struct os_program {
  const char *path;         /* without a slash it is looked for in PATH */
  char *const *arguments;   /* the first one is its name; NULL ends them */
  char *const *environment; /* "NAME=VALUE", likewise; NULL: as here */
  const char *directory;    /* where it begins; NULL: where this process is */
  int streams[3];           /* descriptors, or OS_INHERITED, OS_NOTHING */
  bool group;               /* it leads a process group of its own */
} os_program;

typedef struct os_child {
  int64_t process; /* its number; 0: none */
  int fd; /* readable when it has ended, and not inherited by other programs;
             -1: the system has no such descriptors */
} os_child;

/* How a program has ended. */
typedef struct os_ending {
  bool known;     /* false: other code of this process has taken it */
  bool by_signal; /* then `code` is the signal */
  int code;
} os_ending;

/* Starts the program, with no other descriptors than the three, no signal
   blocked, and the default action for each. If it cannot be executed, that is
   the result here. The descriptors stay the caller's. (Where there is no room
   for a descriptor of it, that is told before; `fd` is -1 if another thread has
   taken that room meanwhile, or other code has reaped the process.) */
int os_child_start(const os_program *p, os_child *c);
/* The result where no more of them can be waited for. */
int os_child_too_many(void);
/* Can a program begin in that directory? For the text when it did not start. */
bool os_child_can_enter(const char *directory);
/* Has it ended? Then *e says how. `reap`: the system forgets it, and its number
   may be another one's from then on; else it may be asked again. */
bool os_child_ended(const os_child *c, bool reap, os_ending *e);
/* Blocks until it has ended, and does not reap it. For systems without
   descriptors of processes. */
void os_child_await(const os_child *c);
/* Sends a signal, to its whole group if `group`; only before it is reaped. 0,
   or a result of the system's. */
int os_child_kill(const os_child *c, int number, bool group);

/* A pipe whose ends no program inherits: to[0] to read, to[1] to write, which
   do not block if these are ours. Both are above the standard streams. */
int os_child_pipe(int to[2], bool we_read, bool we_write);

/* In the child of a fork: a pipe of its own takes the place of that one, under
   the same numbers. False: these are closed. */
bool os_child_pipe_anew(int from, int to);

/* The number of a signal, "TERM" or "SIGTERM"; 0: there is no such signal. */
int os_signal_number(const char *name);
/* Its name without "SIG", or NULL. */
const char *os_signal_name(int number);
/* May a program of ours react to it? Not if it cannot be caught, or reports a
   fault of a thread, or is the one that preempts tasks. */
bool os_signal_is_free(int number);
/* From now on the signal calls `handler`, as a signal handler, in some thread.
   `number` is below OS_SIGNALS, which bits of an int have room for; one call at
   a time. 0, or a result of the system's. */
#define OS_SIGNALS 32
int os_signal_catch(int number, void (*handler)(int number));
/* Restores what there was before, unless another handler was installed since.
   Also in the child of a fork, and in a signal handler. */
void os_signal_release(int number);
/* In a signal handler that nobody needs any more: the same, and the signal
   comes again. */
void os_signal_decline(int number);
/* For such a handler: tells a pipe. */
void os_signal_tell(int fd);
/* Takes all that was told from the other end. */
void os_signal_take(int fd);

#endif
