/* ltask.h - a task of Lua: a coroutine that the runtime resumes.
   SPDX-License-Identifier: MIT

   All fields belong to the session's owner but where said otherwise. There may
   be a million tasks, so what few of them need is in cast_extra. */
#ifndef CAST_LTASK_H
#define CAST_LTASK_H

#include "../../base.h"
#include "../../buffer.h"
#include "../../object.h"
#include "../../select.h"
#include "../../types.h"
#include "../compat/compat.h"

typedef struct cast_state cast_state;
typedef struct cast_ltask cast_ltask;
typedef struct cast_reason cast_reason;
typedef struct cast_startup cast_startup;

/* A coroutine and its anchor in the registry. */
typedef struct cast_coroutine {
  lua_State *L;
  int ref;
} cast_coroutine;

/* Pushes the results of the wait that t has just ended, on L, and returns
   how many; may raise. result: 0 or CASTING_E*. */
typedef int (*cast_finish)(
  lua_State *L, cast_state *S, cast_ltask *t, int result);

/* A kind of wait (Go has waitReason for this): one constant for each, in the
   file that waits. */
typedef struct cast_wait_kind {
  cast_finish finish;
  const char *what; /* for reports: "sleeping" */
  /* The same with what the wait is about, in place of `what`: adds a text. May
     be NULL. */
  void (*describe)(cast_buffer *b, const cast_ltask *t);
  /* `finish` is called when the task is cancelled or interrupted, too, before
     the error is raised: the function has something to clean up. */
  bool cleans_up;
  /* Whose end it waits for: of the task `arg`, or of all in the session. */
  enum { CAST_AWAITS_NONE, CAST_AWAITS_TASK, CAST_AWAITS_ALL } awaits;
  /* A wait that ended well, and without a message, has the result true. */
  bool sends;
  bool sleeps; /* it waits for nothing but a time */
} cast_wait_kind;

/* May other sessions have handles of a task? KEPT: no, and it has ended, its
   results being kept for its own session only. */
enum { CAST_OWN, CAST_SHARED, CAST_KEPT };

/* A message whose values are being rebuilt: see rebuild.c. */
typedef struct cast_rebuild cast_rebuild;

/* What few tasks need. */
typedef struct cast_extra {
  cast_case *cases;             /* of its latest select */
  uint32_t ncases;              /* used */
  uint32_t room;                /* allocated */
  struct cast_failure *failure; /* of a failed task; fixed at its end */
  struct cast_failure *origin;  /* of the latest error of await's: origin.h */
  struct cast_scope *scopes;    /* it is in, the innermost first */
  struct cast_lineage *lineage; /* of the sessions that it makes, or NULL */
  uint64_t limit_ns;            /* the deadline of the call that waits */
  uint64_t observed_ns;         /* cancelled: since when that counts; 0 */
  uint64_t looked_ns;           /* and since when it computes nevertheless */
  uint64_t again_ns;            /* when a standing hook may raise again */
} cast_extra;

/* base.nstart of one that has not started: how many values it starts with, if
   they are not in its coroutine yet. */
struct cast_ltask {
  cast_task base;
  lua_State *co;                 /* its coroutine */
  const cast_wait_kind *kind;    /* of the wait under way */
  void *arg;                     /* the kind's own */
  cast_extra *extra;             /* made when first needed (cast_extra_make) */
  lua_State *at;                 /* the coroutine of its latest wait */
  _Atomic(cast_reason *) reason; /* (a) one reference; not NULL: it is to be
                                    cancelled, as soon as its owner knows */
  int ref; /* the coroutine's anchor; without one: where its values lie */
  _Atomic uint8_t shared; /* (a) CAST_OWN, CAST_SHARED or CAST_KEPT */
  _Atomic bool joined;    /* (a) somebody has received the failure */
  bool from_slab : 1;     /* its memory is from the session's slabs */
  bool remote : 1;        /* its function is still packed in base.waiter.msg */
  bool not_started : 1;   /* not resumed yet */
  bool parked : 1;        /* yielded by cast_park, not by the user */
  bool in_place : 1;      /* the wait under way keeps the C stack */
  bool limited : 1;       /* extra->limit_ns holds for it */
  bool selecting : 1;     /* its cases stand in the queues of channels */
  bool loading : 1;       /* it has entries in S->loads.first */
  bool owns_arg : 1;      /* arg begins with an object, to which the wait has
                             a reference */
  bool closing : 1;       /* its coroutine's pending variables are closed */
  bool raising : 1;       /* (5.1, LuaJIT) a hook is to raise an error in it */
  bool last : 1;          /* (5.1, LuaJIT) it ends when its wait does */
  bool stored : 1;        /* results lie in the local handle */
  bool packed : 1;        /* results lie in base.waiter.msg */
  bool unsendable : 1;    /* packed is only the reason why they cannot cross */
};

static inline struct cast_scope *cast_scopes(const cast_ltask *t) {
  return t->extra != NULL ? t->extra->scopes : NULL;
}
static inline struct cast_failure *cast_failed(const cast_ltask *t) {
  return t->extra != NULL ? t->extra->failure : NULL;
}
/* Gives up what the wait of t is about, if it has a reference to that: a handle
   or a box on its stack is not enough to keep it, as debug.setlocal may take
   that from a task that waits. */
static inline void cast_release_arg(cast_ltask *t) {
  if (CAST_LIKELY(!t->owns_arg)) return;
  t->owns_arg = false;
  cast_unref(t->arg);
}
static inline cast_coroutine cast_co(const cast_ltask *t) {
  return (cast_coroutine){t->co, t->ref};
}
static inline void cast_co_set(cast_ltask *t, cast_coroutine co) {
  t->co = co.L;
  t->ref = co.ref;
}

/* The unfinished task of s after t; t is NULL: the first. NULL: there is no
   other. For the session's owner, while tasks may be added by any thread. */
cast_ltask *cast_ltask_next(cast_session *s, cast_ltask *t);

/* t->extra, made if it was not there; NULL: out of memory. */
cast_extra *cast_extra_make(cast_ltask *t);

#endif
