/* os.h - the contract with the operating system.
   SPDX-License-Identifier: MIT

   Everything that casting needs from the platform, and nothing else: a port is
   a set of files in src/os that keep these promises. No function here prints or
   ends the process. Times are nanoseconds of a monotonic clock; OS_FOREVER
   means no deadline. Unless said otherwise, a function returns 0 or a negative
   OS_E* value, and any thread may call it. */
#ifndef CAST_OS_H
#define CAST_OS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define OS_FOREVER UINT64_MAX
/* No CASTING_E* is one of these, so that a result may be either. */
#define OS_ENOMEM (-101)   /* no memory, no thread, no descriptor to be had */
#define OS_ETIMEOUT (-102) /* the deadline passed */
#define OS_EINTR (-103)    /* a signal handler ran in this thread meanwhile */
#define OS_EAGAIN (-104)   /* the word did not hold the expected value */
#define OS_EPERM (-105)    /* this descriptor cannot be waited for */
#define OS_EEXIST (-106)   /* it is there already */
#define OS_EBADF (-107)    /* no open descriptor */

/* -- clock and processors */

uint64_t os_now(void);
/* Since 1970, by the clock that may be set. */
uint64_t os_wall_ns(void);   /* monotonic, never goes back, never 0 */
uint64_t os_own_cpu(void);   /* processor time of the calling thread */
unsigned os_cpu_count(void); /* processors that this process may use, >= 1 */

/* Tells the processor that the caller is in a spin loop. */
static inline void os_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("isb" ::: "memory");
#endif
}
void os_cede(void); /* lets another thread run, if one is ready */

/* Random bits for seeds: different in each process run. */
uint64_t os_entropy(void);

/* -- date and locale */

/* Stores the date at t, in seconds since the epoch, as localtime (utc: gmtime)
   gives it, but in memory of the caller's. False if t has no date. */
bool os_calendar(int64_t t, bool utc, struct tm *tm);

/* Sets the locale of the process in a category, whose name is
   os_categories[category], unless `name` is NULL. Then copies the name of the
   locale in that category, up to `size` bytes, and returns their number; 0 if
   there is no such locale. For one thread at a time. */
extern const char *const os_categories[]; /* NULL ends the list */
size_t os_locale(int category, const char *name, char *copy, size_t size);

/* -- memory */

/* Maps fresh memory, all zero and untouched: `size` bytes at a multiple of
   `align`. Both are multiples of a page, and `align` is a power of two. NULL
   when out of memory. */
void *os_map(size_t align, size_t size);
void os_unmap(void *ptr, size_t size);
/* Asks for huge pages, as all of this memory will be used: whole pages. */
void os_huge(void *ptr, size_t size);
/* The same for a large block of malloc's. */
void os_huge_block(void *ptr, size_t size);

/* Shows the C library that blocks of so many bytes come and go. glibc gives the
   end of a heap back to the system when it is free: page by page, if it has
   never seen a large block freed, which makes freeing blocks of a kilobyte a
   hundred times slower in the heaps of threads (mallopt(3) has the rule, in
   what it says of the threshold for mapping). A program's own settings keep
   their effect. */
void os_malloc_learn(size_t size);

/* Tells valgrind that these bytes, which belong to another library, may be read
   although they may never have been written. */
void os_defined(void *p, size_t size);

/* -- threads */

typedef struct os_thread {
  uintptr_t handle; /* pthread_t or HANDLE */
} os_thread;

/* Starts a thread with a C stack of the platform's usual size,
   CAST_THREAD_STACK at least. All signals are blocked in it, except the preempt
   signal and those that report faults of the thread itself. `main` may run
   before *t is written. OS_ENOMEM if no thread could be started; then `main`
   never runs. */
int os_thread_start(
  os_thread *t, void (*main)(void *), void *arg, const char *name);
void os_thread_join(os_thread *t); /* waits for its end */
uintptr_t os_thread_self(void);    /* differs between live threads */
/* Is the caller the thread with which the process began? True if the platform
   cannot tell. */
bool os_thread_is_first(void);

/* The processor time that a thread, which has not ended, has used so far; 0 if
   the platform cannot tell. */
uint64_t os_thread_cpu(const os_thread *t);
/* Does such a thread sleep in the kernel now, neither running nor waiting for a
   processor? True if the platform cannot tell: then the caller decides by the
   processor time. Costs some microseconds. */
bool os_thread_is_asleep(const os_thread *t);

/* -- sleeping on a word */

/* Sleeps while *word == expect, until woken, and until `deadline` at most
   (absolute, on the clock of os_now). 0: woken, perhaps spuriously; OS_EAGAIN;
   OS_ETIMEOUT; OS_EINTR, but not if the handler was installed with SA_RESTART:
   a thread that any signal must wake uses an event. It orders nothing: the
   caller reads its own atomics again. */
int os_wait(_Atomic uint32_t *word, uint32_t expect, uint64_t deadline);
/* Wakes up to n sleepers of the word. Never fails; the word may already be
   freed memory (the address is only a key). */
void os_wake(_Atomic uint32_t *word, int n);

/* -- an event: a host thread's sleep */

/* A flag with a pollable descriptor. A signal handler that runs in the waiting
   thread ends the wait with OS_EINTR, whatever flags (SA_RESTART) it was
   installed with, and no signal is missed: os_event_wait blocks signals, calls
   `stop(arg)` once, and unblocks them atomically with going to sleep. */
typedef struct os_event {
  int fd; /* (i) readable while set; -1: there is none on this platform */
  _Atomic uint32_t set; /* (a) 1: set */
} os_event;

int os_event_init(os_event *e); /* 0 or OS_ENOMEM */
/* Called by the owner. Waits for a call of os_event_set that has begun;
   afterwards *e may be freed. */
void os_event_fini(os_event *e);
/* Any thread; cannot fail. A thread that finds the event set, or clears it,
   sees what the caller has done before: so it must clear first and look then.
   */
void os_event_set(os_event *e);
void os_event_clear(os_event *e); /* by the owner */
/* In the child of a fork: clears *e and makes it share nothing with the
   parent's any more, with the same number of the descriptor. OS_ENOMEM if there
   is no descriptor; then it is closed. */
int os_event_renew(os_event *e);
/* Waits for the event, without clearing it. 0: it is set; OS_ETIMEOUT;
   OS_EINTR: a signal has come, or stop(arg) was true; OS_EBADF: its descriptor
   has been closed, or is another file's, by code that closes what it finds.
   `stop` may be NULL. */
int os_event_wait(
  os_event *e, uint64_t deadline, bool (*stop)(void *), void *arg);

/* -- readiness of descriptors */

/* A set of descriptors whose readiness is told edge by edge, to one thread at a
   time. Once a descriptor is in the set, os_poller_wait tells each change of it
   to readable and to writable at least once, and what it is already at the
   moment when it is added. It may tell too much, so the caller tries and finds
   out. A port whose system tells one change only, and has to be asked for the
   next (poll requests of Windows, event ports), asks in os_poller_arm.
   A descriptor leaves the set by os_poller_remove, or when it is closed and no
   other descriptor of that open file is left. What was told about it before may
   reach the caller later, so the key has to say which descriptor was meant. */
typedef struct os_poller {
  int fd;      /* readable while something is to be told; -1: closed */
  int breaker; /* an event, if the system has none in the set itself */
} os_poller;

#define OS_READABLE 1u /* also: the end, an error; a connection to accept */
#define OS_WRITABLE 2u /* also: an error; a connection that was made */
#define OS_ENDED \
  4u /* beside these: the other side has sent its end, or \
                          urgent data, before which a read ends */

typedef struct os_ready {
  uint64_t key;
  uint32_t what; /* OS_READABLE and so on; 0: os_poller_break was called */
} os_ready;

/* 0, OS_ENOMEM; or, if no descriptor is to be had, the system's own result
   (socket.h). */
int os_poller_init(os_poller *p);
void os_poller_fini(os_poller *p);
/* In the child of a fork: closes the child's descriptors, whose set is the
   parent's. Nothing else may be called there, but os_poller_init next. */
void os_poller_forked(os_poller *p);
/* 0, OS_ENOMEM; OS_EPERM: it is always ready, or cannot be waited for;
   OS_EEXIST: it is there; OS_EBADF: it is not open. */
int os_poller_add(os_poller *p, int fd, uint64_t key);
/* It may be closed already; then this may remove a descriptor that has got its
   number since, unless the caller keeps these two apart. */
void os_poller_remove(os_poller *p, int fd);
/* Before a wait for `what`, after a try that found it not ready. */
void os_poller_arm(os_poller *p, int fd, uint64_t key, uint32_t what);
/* Sleeps until something is ready, at most to `deadline` (0: does not sleep),
   and tells up to `room` events. Their number, 0 at the deadline, OS_EINTR;
   OS_EBADF: the set has been closed, by code that closes what it finds.
   With `stop`, a signal handler that runs in this thread ends the wait with
   OS_EINTR, and none is missed, as in os_event_wait. Without, it goes on. With
   os_poller_yields as `stop`, OS_EINTR as well, but a signal that comes before
   the sleep is missed; that saves two calls of the system. */
bool os_poller_yields(void *arg);
int os_poller_wait(os_poller *p, os_ready *ready, int room, uint64_t deadline,
  bool (*stop)(void *), void *arg);
/* From any thread: the wait under way, or else the next one, tells an event
   with `what` 0 and returns. 0; OS_EBADF: see os_poller_wait. */
int os_poller_break(os_poller *p);

void os_close(int fd);
void os_unlink(const char *path); /* removes a name from the file system */
/* Is the descriptor ready for `what` now, as far as poll(2) can tell? What it
   is ready for (errors count as both), 0, OS_EBADF. */
int os_poll_now(int fd, uint32_t what);
/* The same of n of them, OS_LOOKS_MOST at most, in one call of the system. */
#define OS_LOOKS_MOST 64
typedef struct os_look {
  int fd;
  uint32_t what;
  int ready; /* the result */
} os_look;
void os_poll_all(os_look *looks, uint32_t n);

/* -- C stacks */

/* A context is a C stack and the place at which execution stands on it. A
   switch saves the callee-saved registers in one context and continues in
   another, on the same OS thread. Another thread than the one that has left a
   context may continue it, if the code on its stack can bear that: thread-local
   data and its address, errno and the signal mask belong to the thread, the
   floating point modes to the context. Sanitizers and valgrind are told of each
   switch. */
typedef struct os_context os_context;

/* Makes a stack of `size` bytes, which are not touched yet, above a guard that
   an overflow hits. entry(arg) starts at the first switch to it and must not
   return. NULL when out of memory. */
os_context *os_context_new(size_t size, void (*entry)(void *), void *arg);
/* Makes an abandoned context start at entry(arg) again. */
void os_context_reset(os_context *c, void (*entry)(void *), void *arg);
void os_context_free(os_context *c); /* not the one that runs */
/* Makes a context for the calling thread's own stack. It is freed when nobody
   switches to it any more. NULL when out of memory. */
os_context *os_context_adopt(void);
void os_context_switch(os_context *from, os_context *to);
/* The bytes that are left on the stack of c, on which the caller runs; SIZE_MAX
   if that is not known, as the stack was adopted. */
size_t os_context_left(const os_context *c);
/* Of the context that runs: gives the pages back to the system that lie deeper
   than the caller, whose content is lost. Returns how many bytes of the stack
   are in use; 0: not known, for an adopted one. */
size_t os_context_trim(os_context *c);
/* The limits of the stack of the process's first thread, and of the address
   space of the process; SIZE_MAX if there is none. */
size_t os_stack_limit(void);
size_t os_space_limit(void);

/* -- the module */

/* Keeps the shared object that holds `address` mapped until the process ends,
   so that threads may run its code whatever the host unloads. */
void os_pin(const void *address);

/* Makes SIGQUIT (Ctrl-\), with which the user asks for a task dump, call
   `handler` in some thread, as a signal handler, and not end the process.
   OS_ENOMEM if the platform cannot. */
int os_ask_install(void (*handler)(void));
/* Restores the handler from before, unless another one was installed since. */
void os_ask_remove(void);

/* -- other processes */

/* Makes a thread that forks call `before` first, then `parent`; the only thread
   of the new process calls `child`. They are not called when another program is
   started without forking (posix_spawn, as system and popen do). To be called
   once: 0 or OS_ENOMEM. On platforms without fork this does nothing. */
int os_fork_install(
  void (*before)(void), void (*parent)(void), void (*child)(void));

/* The state of signals that a new program inherits: which are blocked, and
   whether those of the keyboard are ignored. It has plain bytes without gaps,
   so that two can be compared with memcmp. */
typedef struct os_signals {
  unsigned char mask[128];    /* a sigset_t */
  bool no_interrupt, no_quit; /* SIGINT, SIGQUIT are ignored */
} os_signals;

/* Stores the state of the calling thread. */
void os_signals_get(os_signals *s);
/* Copies the mask to a sigset_t. */
void os_signals_mask(const os_signals *s, void *set);
/* In the child of a fork in a thread of os_thread_start, for programs that the
   child executes: gives the calling thread this state. It does nothing if the
   mask has been changed since the thread was started, since the code that has
   changed it takes care of signals itself. */
void os_signals_adopt(const os_signals *s);

/* system, popen and pclose of the C library, as if they were called by the
   thread whose state `s` is, with two differences. The process reacts to SIGINT
   and SIGQUIT meanwhile; during system of the C library it ignores them. And no
   other program inherits the other end of such a pipe, which would keep it open
   after its close. *program is a number for os_pclose. If the result is -1 or
   NULL, errno says why; otherwise errno is 0 after os_system and os_pclose. */
int os_system(const char *command, const os_signals *s);
FILE *os_popen(const char *command, const char *mode, const os_signals *s,
  intptr_t *program);
int os_pclose(FILE *f, intptr_t program);

/* -- the standard error stream */

/* Writes the bytes there, but gives up at the deadline if that would block.
   Each time a part was written, the rest has `more_ns` from then on. Returns
   how many bytes were written: fewer than `size` after a deadline, or if the
   stream has no reader any more. (If another program fills the pipe between the
   check and the write, this blocks until some of it is read.) */
size_t os_say(
  const char *text, size_t size, uint64_t deadline_ns, uint64_t more_ns);

/* -- preemption */

/* Installs the handler of preempt signals: 0, or OS_ENOMEM if the platform
   cannot. To be called before any os_preempt. The handler may also run without
   a call of os_preempt, in any thread, when other code uses the same signal. */
int os_preempt_install(void (*handler)(void));
/* Sends a preempt signal to thread t: the handler runs in it, asynchronously,
   with the restrictions of a signal handler. The thread must not have ended,
   which the caller has to make sure of. */
void os_preempt(const os_thread *t);

#endif
