/* context.h - runners, and the C stacks they run on.
   SPDX-License-Identifier: MIT

   A runner runs sessions on an OS thread: it is a worker of the pool, or the
   thread of a host while its main program waits. It executes its loop on a C
   stack (os_context). When a task must block where its VM cannot yield, the
   task keeps that stack, and the runner goes on with a fresh one that executes
   the same loop (DESIGN, "Blocking in place"). Invariants:
   1. A context is in exactly one place: a runner's `at` (it executes), a task's
      `stack`, a runner's `left` or `spare`, or the pool. (A thread's own, which
      was adopted, is its worker's `base` or its host's `own` meanwhile.)
   2. `left` is set only between leaving a context for good and the first code
      after the switch, for nobody may reuse a stack while it is being left.
      cast_runner_arrived gives that stack back.
   3. A held stack is continued by the runner that runs its session at that
      time, on another thread perhaps. So code that may have been switched must
      read its runner again, from the session. */
#ifndef CAST_CONTEXT_H
#define CAST_CONTEXT_H

#include "block.h"
#include "os/os.h"

typedef struct cast_runner cast_runner;
struct cast_runner {
  os_context *at;              /* (w) the context that executes now */
  os_context *left;            /* (w) see invariant 2 */
  os_context *spare;           /* (w) for the next task that blocks, or NULL */
  void (*loop)(cast_runner *); /* (i) executed by each fresh context for ever */
  /* (w) The session that it runs, or NULL. Atomic, since two others read it:
     the handler of a preempt signal in the same thread, and threads that send
     such signals, which only compare it. Hence relaxed. */
  _Atomic(struct cast_session *) session;
  /* (a) A preempt signal has come and was not served: sysmon sends it again.
     Relaxed: sooner or later it is seen. */
  _Atomic bool again;
  /* (a) The slice has lasted since sysmon's last look, so it is over after the
     task that runs: events may have come. Relaxed: it is seen soon. */
  _Atomic bool look;
  struct cast_worker *worker; /* (i) NULL for a host's runner */
  cast_blocks blocks;         /* (w) blocks of messages that it keeps */
  void *scratch;              /* (w) see cast_runner_scratch, or NULL */
};

/* The session that r runs, or NULL. */
static inline struct cast_session *cast_runner_session(cast_runner *r) {
  return atomic_load_explicit(&r->session, memory_order_relaxed);
}
static inline void cast_runner_serve(cast_runner *r, struct cast_session *s) {
  atomic_store_explicit(&r->session, s, memory_order_relaxed);
}

/* Sysmon: must the preempt signal be sent again? Then it is, by the caller. */
static inline bool cast_runner_asks_again(cast_runner *r) {
  return CAST_UNLIKELY(atomic_load_explicit(&r->again, memory_order_relaxed)) &&
         atomic_exchange_explicit(&r->again, false, memory_order_relaxed);
}

/* Makes sure that r->spare is set: 0 or CASTING_ENOMEM. */
int cast_runner_reserve(cast_runner *r);
/* Stores the running context in *keep and goes on with the spare one. Returns
   when a runner jumps to the stored context. */
void cast_runner_fork(cast_runner *r, os_context **keep);
/* Abandons the running context for `to`. Does not return. */
void cast_runner_jump(cast_runner *r, os_context *to);
/* Must be called by the first code that runs after a switch. */
void cast_runner_arrived(cast_runner *r);
/* The bytes that are left of the C stack on which the caller runs. */
static inline size_t cast_runner_left(const cast_runner *r) {
  return os_context_left(r->at);
}
/* Memory of CAST_READ_MOST bytes, to read into: that which the runner keeps, or
   new. It is the caller's until it is given back, to any runner, or freed.
   NULL: no memory. `r` may be NULL. */
void *cast_runner_scratch(cast_runner *r);
void cast_runner_scratch_give(cast_runner *r, void *bytes);
/* Gives the spare context, the kept blocks and the scratch memory back. */
void cast_runner_fini(cast_runner *r);

void cast_contexts_init(void);
size_t cast_contexts_size(void); /* bytes of each stack */
void cast_contexts_fini(void);   /* frees the pooled ones */

#endif
