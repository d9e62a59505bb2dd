/* context.h - runners, and the C stacks they run on.
   SPDX-License-Identifier: MIT

   A runner is whoever runs sessions on an OS thread: a worker of the pool, or
   a host's own thread while its main program waits. It runs its loop on a C
   stack (os_context). When a task must block where its VM cannot yield, the
   stack is held by that task, and the runner goes on with a fresh one that
   executes the same loop (DESIGN, "Blocking in place"). Invariants:
   1. A context is in exactly one place: some runner's `at` (it executes), a
      task's `stack`, a runner's `left` or `spare`, or the pool.
   2. `left` is only non-NULL between leaving a context for good and the first
      instruction after the switch: nobody may reuse a stack that is still
      being left. cast_runner_arrived pools it.
   3. After any switch the runner may be another one (a held stack is
      continued by whichever runner runs its session): re-read it. */
#ifndef CAST_CONTEXT_H
#define CAST_CONTEXT_H

#include "block.h"
#include "os/os.h"

typedef struct cast_runner cast_runner;
struct cast_runner {
  os_context *at;   /* (w) executes now */
  os_context *left; /* (w) see invariant 2 */
  os_context
    *spare; /* (w) reserved for the next task that keeps its stack, or NULL */
  void (*loop)(cast_runner *); /* (i) what a fresh context runs for ever */
  /* (w) Being run, or NULL. Atomic for the handler of a preempt signal, which
     reads it in the same thread, and for those who send one, who only compare
     it: hence relaxed. */
  _Atomic(struct cast_session *) session;
  struct cast_worker *worker; /* (i) NULL for a host's runner */
  cast_blocks blocks;         /* (w) */
};

static inline struct cast_session *cast_runner_session(cast_runner *r) {
  return atomic_load_explicit(&r->session, memory_order_relaxed);
}
static inline void cast_runner_serve(cast_runner *r, struct cast_session *s) {
  atomic_store_explicit(&r->session, s, memory_order_relaxed);
}

/* Makes sure r->spare is there: 0 or CASTING_ENOMEM. */
int cast_runner_reserve(cast_runner *r);
/* Leaves the running context (somebody keeps it: *keep is set before) and
   goes on with the reserved one. Returns when a runner comes back to it. */
void cast_runner_fork(cast_runner *r, os_context **keep);
/* Abandons the running context for `to`. Does not return. */
void cast_runner_jump(cast_runner *r, os_context *to);
/* To be called by whatever runs first after a switch. */
void cast_runner_arrived(cast_runner *r);
/* Bytes that are left of the C stack that the caller runs on. */
static inline size_t cast_runner_left(const cast_runner *r) {
  return os_context_left(r->at);
}
/* The runner gives its spare context back, and what blocks it keeps. */
void cast_runner_fini(cast_runner *r);

void cast_contexts_init(void);
size_t cast_contexts_size(void); /* bytes of each stack */
void cast_contexts_fini(void);   /* frees the pool */

#endif
