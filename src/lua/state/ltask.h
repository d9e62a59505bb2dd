/* ltask.h - a task of Lua: a coroutine that the runtime resumes.
   SPDX-License-Identifier: MIT

   All fields belong to the session's owner but where said otherwise. There may
   be a million tasks, so what few of them need is in cast_extra. */
#ifndef CAST_LTASK_H
#define CAST_LTASK_H

#include "../../account.h"
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

/* A coroutine, and what keeps it from the collector (anchor.h). */
typedef struct cast_coroutine {
  lua_State *L;
  int anchor;
} cast_coroutine;

/* Pushes the results of the wait of t that has just ended on L, and returns how
   many; may raise. result: 0 or CASTING_E*. */
typedef int (*cast_finish)(
  lua_State *L, cast_state *S, cast_ltask *t, int result);

/* A kind of wait (Go has waitReason for this): one constant for each, in the
   file whose function waits. */
typedef struct cast_wait_kind {
  cast_finish finish; /* called when the wait is over (complete.c) */
  const char *what;   /* for task dumps: "sleeping" */
  /* For task dumps, in place of `what`: adds a text that names what the wait is
     for. May be NULL. */
  void (*describe)(cast_buffer *b, const cast_ltask *t);
  /* `finish` is called when the task is cancelled or interrupted, too, before
     the error is raised: the function has something to clean up. */
  bool cleans_up;
  /* Called once when the wait has ended otherwise: true: what it was for has
     come nevertheless, just too late to end it, and counts. No Lua. May be
     NULL. */
  bool (*has_come)(cast_ltask *t);
  /* Called by the owner when the wait has ended well, before the task goes on:
     there may be more to wait for, as when some of the bytes have come that a
     read is to bring. No Lua: it must not raise, nor call any. CAST_PARKED: the
     task waits again, to the same deadline; CAST_MORE: so it does, but goes on
     in its next turn; else the result of the wait. May be NULL. */
  int (*again)(cast_state *S, cast_ltask *t);
  /* Whose end it waits for: that of the task `arg`, or of all of the
     session's. */
  enum { CAST_AWAITS_NONE, CAST_AWAITS_TASK, CAST_AWAITS_ALL } awaits;
  /* A wait that ended well, and without a message, has the result true. */
  bool sends;
  bool sleeps; /* it waits for nothing but its deadline */
} cast_wait_kind;

/* May other sessions have handles of a task? */
enum {
  CAST_OWN,    /* no; it may become TOLD or SHARED at any time */
  CAST_TOLD,   /* those that are told of its end: its results are packed then,
                  but what moves stays (outcome.c, crossing.c) */
  CAST_SHARED, /* yes: its results are packed when it ends */
  CAST_KEPT    /* no, and it has ended: its results are its own session's */
};

/* Where the life of a task stands. It begins at one of LOADED, PENDING and
   PACKED, which say where its function and its arguments are, and only its
   owner changes it after that: to BEGUN with its first turn, to CLOSING (5.4
   and later) when it has failed, to ENDED when its results are in place. A main
   program is BEGUN all its life. */
typedef enum cast_stage {
  CAST_STAGE_BEGUN,
  CAST_STAGE_LOADED,  /* they are on the stack of its coroutine */
  CAST_STAGE_PENDING, /* nstart values on a startup's stack: pending.c */
  CAST_STAGE_PACKED,  /* in base.waiter.msg: somebody else has made it */
  CAST_STAGE_CLOSING, /* the pending variables of its coroutine are closed */
  CAST_STAGE_ENDED
} cast_stage;

/* What base.waiter.msg holds of a task that has ended. */
typedef enum cast_crossing {
  CAST_CROSSES_NOTHING, /* there are no results, or only its session has them */
  CAST_CROSSES_RESULTS, /* its results; the error, if it has failed */
  CAST_CROSSES_REASON   /* why its results cannot cross: joiners get an error */
} cast_crossing;

/* A message whose values are being rebuilt: see rebuild.c. */
typedef struct cast_rebuild cast_rebuild;

/* What few tasks need. Pointers may be NULL. */
typedef struct cast_extra {
  cast_case *cases; /* of its latest select */
  uint32_t ncases;  /* how many these are */
  uint32_t room;    /* how many were allocated */
  uint32_t nfiles;  /* of how many the objects are owned: cases.h */
  bool turned; /* they were not looked at yet: the wait is a turn, turn.h */
  /* Ends what else the cases hold: that streams do not move. NULL: nothing. */
  void (*let_go)(struct cast_extra *x);
  struct cast_failure *failure; /* its record, if it has failed: failure.c */
  struct cast_failure *origin;  /* that of the latest task it awaited:
                                   origin.c */
  struct cast_scope *scopes;    /* the scopes that it is in, innermost first */
  cast_member
    *member; /* of a sandbox's, if its results lead to tasks: outcome.c */
  struct cast_lineage *lineage; /* of sessions that it makes: lineage.c */
  uint64_t limit_ns;            /* the deadline of the call that waits, without
                                   those of scopes; see `limited` */
  uint64_t observed_ns;         /* cancelled: since when that counts; 0: since
                                   base.cancelled_ns (scope.c) */
  uint64_t looked_ns;           /* cancelled: when it was first found to compute
                                   nevertheless; 0: not yet */
  uint64_t again_ns;            /* when a hook that stands may raise again */
} cast_extra;

#define CAST_GIVEN UINT8_MAX           /* see `given` */
#define CAST_PENDING_SLOTS 4096        /* of a startup's stack, at most */
#define CAST_PENDING_STACKS (1u << 20) /* in a session, at most */

/* The bits share a memory location with each other, so the owner alone writes
   them. Others read them only of a task that has ended and is shared. Beside
   what cast_ltask_prove says, each is valid:
     from_slab      always, as is stage
     parked         from the yield in cast_park until its next turn
     in_place       from cast_enter until the next one: how a wait of that
                    operation is done. It never yields then: not parked
     limited        for the wait that began last
     selecting      from a select's wait until cast_wait_over
     owns_arg       from cast_park_about until cast_release_arg
     loading        while a load of the task is in S->loads, or until somebody
                    finds that it is over (load.c)
     raising        from cast_deliver until cast_deliver_end, for one turn;
                    with `last`, for the outcome instead
     last           from a yield to its end, which is the next turn
     doomed         from cast_stop_force on, if all of the task has to end
     stored         from the end on
     told           from the end on, if results are `stored` or were

   `crossing` and `told`, and the message, may change once more after the end:
   then the owner writes them, and others read them, under base.done.lock. */
struct cast_ltask {
  cast_task base;
  lua_State *co;                 /* its coroutine, once it has begun in one */
  const cast_wait_kind *kind;    /* of the wait under way */
  void *arg;                     /* the kind's own */
  cast_extra *extra;             /* made when first needed (cast_extra_make) */
  lua_State *at;                 /* the coroutine of its latest wait */
  _Atomic(cast_reason *) reason; /* (a) one reference; not NULL: somebody has
                                    asked that the task ends (scope.c) */
  union {
    int anchor; /* of `co` */
    struct {
      uint32_t stack : 20; /* PENDING: the place of a stack in S->pending */
      uint32_t slot : 12;  /* of its function there; its arguments follow */
    } pending;
  };
  _Atomic uint8_t shared; /* (a) CAST_OWN, _TOLD, _SHARED or _KEPT */
  _Atomic bool joined;    /* (a) somebody has received the failure */
  uint8_t nstart;         /* PENDING: the number of its values, 0 otherwise */
  uint8_t given;          /* messages with its handle that were packed here, as
                             far as they were not undone; CAST_GIVEN: too many,
                             or for good (crossing.c) */
  bool outside;           /* a trusted session has made it in a sandbox, which
                             has not sent its handle; the owner's after that */
  bool uncharged;         /* (i after its end) its struct is charged no more */
  uint8_t stage : 3;      /* a cast_stage */
  uint8_t crossing : 2;   /* a cast_crossing */
  bool stored : 1;        /* results lie in the local handle */
  bool told : 1;          /* what is packed is not for those who get its handle:
                             for them its owner packs anew */
  bool from_slab : 1;     /* its memory is from the session's slabs */
  bool parked : 1;        /* it has yielded in cast_park, not by user code */
  bool in_place : 1;      /* a wait keeps the C stack */
  bool limited : 1;       /* extra->limit_ns is that of the wait */
  bool selecting : 1;     /* its cases stand in the queues of channels */
  bool loading : 1;       /* it has loads in S->loads */
  bool owns_arg : 1;      /* arg begins with a cast_object, to which the wait
                             has a reference */
  bool raising : 1;       /* (5.1, LuaJIT) its next turn raises an error */
  bool last : 1;          /* (5.1, LuaJIT) it ends when its wait does */
  bool doomed : 1;        /* its last error was made: preempt.c */
  uint32_t looks;         /* (base.done.lock) how often other sessions have read
                             what is packed (cycle.c) */
};

/* Proves that the bits are a combination that the list above allows. */
void cast_ltask_prove(const cast_ltask *t);

/* Was it never resumed? */
static inline bool cast_ltask_is_new(const cast_ltask *t) {
  return t->stage >= CAST_STAGE_LOADED && t->stage <= CAST_STAGE_PACKED;
}
/* The innermost scope that t is in, or NULL. */
static inline struct cast_scope *cast_scopes(const cast_ltask *t) {
  return t->extra != NULL ? t->extra->scopes : NULL;
}
/* The record of the failure of t, or NULL. */
static inline struct cast_failure *cast_failed(const cast_ltask *t) {
  return t->extra != NULL ? t->extra->failure : NULL;
}
/* Gives up the reference to what the wait of t was about, if the wait has one.
   A handle or a box on the stack is not enough to keep such an object:
   debug.setlocal may take it from a task that waits. */
static inline void cast_release_arg(cast_ltask *t) {
  if (CAST_LIKELY(!t->owns_arg)) return;
  t->owns_arg = false;
  cast_unref(t->arg);
}
static inline cast_coroutine cast_co(const cast_ltask *t) {
  return (cast_coroutine){t->co, t->anchor};
}
static inline void cast_co_set(cast_ltask *t, cast_coroutine co) {
  t->co = co.L;
  t->anchor = co.anchor;
}

/* The unfinished task of s after t; t is NULL: the first. NULL: there is no
   other. For the session's owner, while tasks may be added by any thread. */
cast_ltask *cast_ltask_next(cast_session *s, cast_ltask *t);

/* t->extra, which is made if it was not there; NULL: out of memory, or its
   session's account has no room. */
cast_extra *cast_extra_make(cast_ltask *t);

/* Another session is about to get a handle of t (as: CAST_SHARED), or may be
   told of its end (CAST_TOLD): notes that, so that t packs its results when it
   ends. False: it has ended without that, and only its own session can share
   it (crossing.c). Any thread. */
bool cast_ltask_share(cast_ltask *t, uint8_t as);

#endif
