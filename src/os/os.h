/* os.h - the contract with the operating system.
   SPDX-License-Identifier: MIT

   Everything the runtime needs from the platform, and nothing else: a port is a
   set of files in src/os that keep these promises. No function here prints or
   ends the process. Times are nanoseconds of a monotonic clock; OS_FOREVER
   means no deadline. Functions return 0 or a negative OS_E* value. */
#ifndef CAST_OS_H
#define CAST_OS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define OS_FOREVER UINT64_MAX
#define OS_ENOMEM (-1)   /* no memory, no thread, no descriptor to be had */
#define OS_ETIMEOUT (-2) /* the deadline passed */
#define OS_EINTR (-3)    /* a signal handler ran in this thread meanwhile */
#define OS_EAGAIN (-4)   /* the word did not hold the expected value */

/* -- clock and processors */

uint64_t os_now(void);       /* monotonic, never goes back, never 0 */
uint64_t os_own_cpu(void);   /* processor time of the calling thread */
unsigned os_cpu_count(void); /* usable by this process, >= 1 */

/* Tells the processor that this is a spin loop. */
static inline void os_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("isb" ::: "memory");
#endif
}
void os_cede(void); /* lets another thread run, if one wants to */

/* Random bits for seeds: different in each process run. */
uint64_t os_entropy(void);

/* -- date and locale */

/* The date at t, seconds since the epoch, as localtime (utc: gmtime) gives it,
   in memory of the caller's. False: it has none. */
bool os_calendar(int64_t t, bool utc, struct tm *tm);

/* The locale is the whole process's. Sets it in a category, whose name is
   os_categories[category], unless `name` is NULL; then copies the name of the
   locale that is in force there, up to `size` bytes. Returns their number; 0:
   there is no such locale. For one thread at a time. */
extern const char *const os_categories[]; /* NULL ends the list */
size_t os_locale(int category, const char *name, char *copy, size_t size);

/* -- memory */

/* Fresh memory of the system, all zero, untouched: `size` bytes at a multiple
   of `align`; both are multiples of a page, `align` is a power of two. NULL
   when out of memory. */
void *os_map(size_t align, size_t size);
void os_unmap(void *ptr, size_t size);
/* All of it will be used: in huge pages, if the system has such. */
void os_huge(void *ptr, size_t size);

/* Tells valgrind that these bytes, of another library's struct, may be looked
   at, whatever they are. */
void os_defined(void *p, size_t size);

/* -- threads */

typedef struct os_thread {
  uintptr_t handle; /* pthread_t or HANDLE */
} os_thread;

/* Starts a thread with a C stack of the platform's usual size, at least 1 MiB,
   and with all signals blocked but the preempt signal's and those that report
   faults of the thread itself. `main` may run before *t is written. OS_ENOMEM
   when no thread can be had; then `main` never runs. */
int os_thread_start(
  os_thread *t, void (*main)(void *), void *arg, const char *name);
void os_thread_join(os_thread *t); /* waits for its end */
uintptr_t os_thread_self(void);    /* differs between live threads */
/* Is it the one that the process began with? True if nobody can tell. */
bool os_thread_is_first(void);

/* Of a thread that has not ended: the processor time it has used so far; 0
   when the platform cannot tell. */
uint64_t os_thread_cpu(const os_thread *t);
/* Does it sleep in the kernel now, neither running nor waiting for a
   processor? True when the platform cannot tell; then its processor time has
   to do. Costs some microseconds. */
bool os_thread_is_asleep(const os_thread *t);

/* -- sleeping on a word */

/* Sleeps while *word == expect, until woken, at most to `deadline` (absolute,
   os_now's clock). 0 woken (perhaps spuriously), OS_EAGAIN, OS_ETIMEOUT,
   OS_EINTR (not if the handler was installed with SA_RESTART: to be woken by
   any signal, use an event). Orders nothing: the caller re-reads its own
   atomics. */
int os_wait(_Atomic uint32_t *word, uint32_t expect, uint64_t deadline);
/* Wakes up to n sleepers of the word. Never fails; the word may already be
   freed memory (the address is only a key). */
void os_wake(_Atomic uint32_t *word, int n);

/* -- an event: a host thread's sleep */

/* Set/clear flag with a pollable descriptor. A signal handler that runs in the
   waiting thread ends the wait with OS_EINTR, whatever flags (SA_RESTART) it
   was installed with, and none is missed: os_event_wait blocks signals, asks
   `stop(arg)` once, and unblocks them atomically with going to sleep. */
typedef struct os_event {
  int fd; /* readable while set; -1: none on this platform */
  _Atomic uint32_t set;
} os_event;

int os_event_init(os_event *e); /* 0 or OS_ENOMEM */
/* The owner. A set that has begun is let finish, then *e may be freed. */
void os_event_fini(os_event *e);
/* From any thread; never fails. What the caller did before is seen by who
   finds the event set, or clears it: so clear first, then look. */
void os_event_set(os_event *e);
void os_event_clear(os_event *e); /* by the owner */
/* In the child of a fork: *e, which is clear then, shares nothing with the
   parent's any more, and keeps the number of its descriptor. OS_ENOMEM: it is
   not to be had, and closed. */
int os_event_renew(os_event *e);
/* 0 set (not cleared by this), OS_ETIMEOUT, OS_EINTR (also if stop() said
   true). `stop` may be NULL. */
int os_event_wait(
  os_event *e, uint64_t deadline, bool (*stop)(void *), void *arg);

/* -- C stacks */

/* A context is a C stack and where execution stands on it. Switching saves
   the callee-saved state here and continues there, on the same OS thread; a
   context may be continued by another thread than the one that left it, if
   the frames on it do not care: thread-local data and its address, errno and
   the signal mask are the thread's, the floating point modes the context's.
   Sanitizers and valgrind are told. */
typedef struct os_context os_context;

/* A stack of `size` bytes, touched lazily, above a guard that an overflow hits;
   entry(arg) starts on the first switch to it and must not return. NULL when
   out of memory. */
os_context *os_context_new(size_t size, void (*entry)(void *), void *arg);
/* Makes an abandoned context start at entry(arg) again. */
void os_context_reset(os_context *c, void (*entry)(void *), void *arg);
void os_context_free(os_context *c); /* not the one that runs */
/* A context for the calling thread's own stack; freed with os_context_free by
   the same thread, when running on it. NULL when out of memory. */
os_context *os_context_adopt(void);
void os_context_switch(os_context *from, os_context *to);
/* Bytes that are left on the stack of c, on which the caller runs; SIZE_MAX:
   not known, as it was adopted. */
size_t os_context_left(const os_context *c);
/* What the system lets the stack of the process's first thread become, and the
   address space of the process; SIZE_MAX: any size. */
size_t os_stack_limit(void);
size_t os_space_limit(void);

/* -- the module */

/* Keeps the shared object that holds `address` mapped until the process ends,
   so that threads may run its code whatever the host unloads. */
void os_pin(const void *address);

/* Runs `handler`, as a signal handler does, in some thread when the user asks
   the process for a sign of life (SIGQUIT, Ctrl-\), which then does not end
   it. OS_ENOMEM if the platform cannot. */
int os_ask_install(void (*handler)(void));
/* What the handler has replaced is in force again, unless it was replaced. */
void os_ask_remove(void);

/* -- other processes */

/* Has `before` called in a thread that is about to fork, then `parent` there
   and `child` in the only thread of the new process. What starts another
   program without forking (posix_spawn, as in system and popen) is not told.
   To be called once; 0, OS_ENOMEM. Where no process forks, nothing happens. */
int os_fork_install(
  void (*before)(void), void (*parent)(void), void (*child)(void));

/* What a program that is started inherits of signals: which are blocked, and
   whether those of the keyboard are ignored. Plain bytes: equal if equal. */
typedef struct os_signals {
  unsigned char mask[128]; /* a sigset_t */
  bool no_interrupt, no_quit;
} os_signals;

/* As the calling thread has them. */
void os_signals_get(os_signals *s);
/* The mask, to where a sigset_t is. */
void os_signals_mask(const os_signals *s, void *set);
/* In the child of a fork in a thread of os_thread_start, for what will be
   executed: takes them over, unless the mask is another one than that thread
   was started with. Whoever has changed it will change it again. */
void os_signals_adopt(const os_signals *s);

/* system, popen and pclose of the C library, as if the thread
   had called them from which `s` is, with two differences. The process notices
   SIGINT and SIGQUIT meanwhile as ever: in C, system has them ignored. And no
   other program inherits the other end of such a pipe, which would keep it open
   beyond its close. *program is what os_pclose wants. With -1 and NULL errno
   says why; else it is 0 after system and pclose. */
int os_system(const char *command, const os_signals *s);
FILE *os_popen(const char *command, const char *mode, const os_signals *s,
  intptr_t *program);
int os_pclose(FILE *f, intptr_t program);

/* -- the standard error stream */

/* Writes the bytes there, unless that would block until the deadline; once
   something was written, the rest has `more_ns` from then on, again and again.
   How many were written; fewer also if nobody reads there any more. (Should
   another program fill the pipe between a look and the write, it blocks for as
   long as nobody reads.) */
size_t os_say(
  const char *text, size_t size, uint64_t deadline_ns, uint64_t more_ns);

/* -- preemption */

/* Runs `handler` in thread t, asynchronously, as a signal handler does (same
   restrictions). os_preempt_install is called once before any preempt signal; 0
   or OS_ENOMEM if the platform cannot. A preempt signal to an ended thread is
   undefined: the caller serialises with the thread's end. The handler may also
   run unasked, in any thread, when someone else uses the same signal. */
int os_preempt_install(void (*handler)(void));
void os_preempt(const os_thread *t);

#endif
