/* types.h - the structs of sessions, tasks and waits, which know each other.
   SPDX-License-Identifier: MIT

   This file has structs only. The functions on them are in session.h (the state
   machine), wait.h, event.h, task.h and slice.h, in this order; each uses those
   before it. A session is run by one runner at a time. The thread of that
   runner is "the owner", and alone touches fields marked (w). Other threads
   reach a session only by pushing posts into its inbox (session.h). Invariants:
   1. A task is in at most one of: the inbox, the ready list, `current`, some
      queue of waiters (through its waiters).
   2. While tasks > 0 the session is not closed. */
#ifndef CAST_TYPES_H
#define CAST_TYPES_H

#include "account.h"
#include "context.h"
#include "heap.h"
#include "list.h"
#include "lock.h"
#include "msg.h"
#include "runq.h"
#include "timer.h"

typedef struct cast_session cast_session;
typedef struct cast_task cast_task;

/* Work for the owner of a session: to resume the task that the post is a part
   of (run == NULL), or to call `run`. Posts that are left when the session
   closes are run by the thread that closes it, with closed == true. The post of
   a task without a session has a `run`, too, which wakes its thread
   (foreign.c). */
typedef struct cast_post cast_post;
struct cast_post {
  cast_post *next; /* in the inbox (a), or in the ready list (w) */
  void (*run)(cast_session *s, cast_post *p, bool closed); /* (i) */
};

/* -- waiting -------------------------------------------------------------- */

/* The states of a wait (wait.h). ONE and MANY: armed, with a waiter in at most
   one queue, or in several. */
enum { CAST_WAIT_NONE, CAST_WAIT_FIRED, CAST_WAIT_ONE, CAST_WAIT_MANY };

/* The return value of an operation that has queued the task, which must park.
   */
#define CAST_PARKED 1
/* The return value of one that could go on at once, but has done much: others
   have their turn first (cast_wait_turn). */
#define CAST_MORE 2
/* The result of a main program's wait that nothing can ever end. */
#define CAST_DEADLOCK (-100)

/* The wait of a task, which has one at a time. The owner arms it. The thread
   that changes it to FIRED (cast_wait_claim) writes result and index, drops the
   lock of the queue, and wakes the task. A wait in one queue is claimed under
   the lock of that queue by all threads, the owner included, so a store
   suffices; a wait in several queues is claimed by compare-exchange. */
typedef struct cast_wait {
  _Atomic uint32_t state;  /* (a) CAST_WAIT_NONE, FIRED, ONE or MANY */
  uint32_t index;          /* claimer, then owner: the case that happened */
  int32_t result;          /* claimer, then owner: 0 or CASTING_E* */
  cast_heap_node deadline; /* (w) its place in the session's heap */
} cast_wait;

/* A wait's place in one queue: of a channel or of an event. A watcher (event.h)
   has one without a wait. */
typedef struct cast_waiter {
  cast_list link;  /* (lock) in the queue */
  cast_wait *wait; /* (i) while queued: whose place it is; NULL: a watcher's */
  cast_lock *lock; /* (i) while queued: the lock of the queue; else NULL */
  uint32_t index;  /* (i) while queued: the number of the case of a select */
  uint32_t since;  /* (w) of a task's own: when its wait began (cast_clock) */
  cast_msg msg;    /* (lock) while queued: the message that is sent, or empty;
                      then what the claimer has received or put there */
} cast_waiter;

/* An event happens once (or is cleared again by its owner), and tasks wait for
   it: the end of a task, for example (event.h). */
typedef struct cast_event {
  cast_lock lock;
  bool set;          /* (lock) it has happened */
  bool hasty;        /* (lock) a watcher was queued that is `hasty` */
  cast_list waiters; /* (lock) the places of waits, and watchers */
} cast_event;

/* -- tasks ---------------------------------------------------------------- */

/* What a task is doing, for reports; or how it has ended. */
typedef enum cast_status {
  CAST_READY,
  CAST_RUNNING,
  CAST_WAITING,
  CAST_DONE,
  CAST_FAILED,
  CAST_CANCELLED
} cast_status;

/* A task. The struct is small, for there may be a million tasks. The binding
   embeds it in its own struct (cast_ltask). */
struct cast_task {
  cast_object object; /* references: handles, messages, and being unfinished */
  cast_post post;     /* its place in the inbox or the ready list */
  cast_session *session; /* (i) with a weak reference; NULL: see foreign.c */
  cast_list link;        /* (session lock) in session->tasks */
  cast_wait wait;        /* the wait under way */
  cast_waiter waiter;    /* its place, for waits with one case */
  cast_event done;       /* set when the task has ended */
  os_context *stack;     /* (w) its C stack while it blocks in place, or NULL */
  uint64_t cancelled_ns; /* (w) when it was cancelled first */
  uint32_t id;           /* (i) unique among 2^32 tasks */
  _Atomic uint8_t
    status;       /* (a) a cast_status; relaxed, as it is only reported */
  bool cancelled; /* (w) level-triggered: each of its waits ends */
  bool finished;  /* (w) cast_task_finish was called */
};

/* -- sessions ------------------------------------------------------------- */

/* What the core needs of the binding, for one kind of session (of the pool, or
   of a host). Unless said otherwise, a function is called by the owner. */
typedef struct cast_session_ops {
  /* The session was idle and has work now: make a runner run it. Called by any
     thread; `self` as in cast_session_push. */
  void (*wake)(cast_session *s, cast_session *self);
  /* Runs t until it waits or ends, then the tasks that cast_session_turn
     returns for the session of the last one, until it returns none. Returns
     the runner of that last turn. */
  cast_runner *(*resume)(cast_task *t);
  /* The session closes, and no task is left: free all that only the owner
     uses. */
  void (*close)(cast_session *s);
  /* The last weak reference was dropped: free the memory. Any thread. */
  void (*free)(cast_session *s);
  /* A preempt signal has come: make the running task let go. Called in the
     owner's thread, but as a signal handler, at any point of a run. May be
     NULL. */
  void (*preempt)(cast_session *s);
  /* Task t waits, and it was cancelled or a deadline has passed: until when may
     its wait go on nevertheless (a shield)? 0: it ends now. May be NULL. */
  uint64_t (*extended_until)(cast_task *t, uint64_t now_ns);
  /* A slice of a metered session begins, or has ended. */
  void (*meter)(cast_session *s, bool begins);
  /* Hosts: has the main program's wait been interrupted by a signal? NULL:
     never. */
  bool (*interrupted)(cast_session *s);
  /* Hosts, called on sysmon's thread while tasks run: must a task that
     computes be interrupted? NULL: never. */
  bool (*urgent)(cast_session *s);
  /* The signals that programs started by the session inherit; NULL: those of
     the thread (hosts). */
  const os_signals *(*signals)(cast_session *s);
} cast_session_ops;

/* A session. `refs` of the object counts the strong references: handles, and
   messages with handles. Without any, the session closes when its last task has
   ended. Weak references only keep the memory valid: each task has one, all
   handles together have one, and the session itself has one while it is open.
   */
struct cast_session {
  cast_object object;          /* strong references: handles and messages */
  cast_job job;                /* its place in a run queue */
  _Atomic uintptr_t inbox;     /* (a) IDLE, EMPTY, CLOSED or the last post */
  _Atomic uint32_t weak_refs;  /* (a) the number of weak references */
  const cast_session_ops *ops; /* (i) the binding's functions */
  bool hosted;                 /* (i) a host's: its thread is always there */
  struct cast_worker *keeper;  /* (i) the thread that alone runs it (keeper.h);
                                  NULL: the pool's, or its host's, do */
  cast_runner *runner;         /* (w) the runner that runs it */
  cast_task *current;          /* (w) the task that runs, or NULL */
  cast_post *ready;            /* (w) the ready list: posts to be served */
  cast_post **ready_tail;      /* (w) where the next post is linked */
  cast_post **front;           /* (w) where those put in front end, ... */
  uint32_t nfront;             /* (w) ... how many of these there are, ... */
  uint32_t streak;             /* (w) ... and how many came in a row */
  cast_heap deadlines;         /* (w) deadlines of its tasks' waits */
  cast_timer alarm;     /* (timer lock) due at the first of them, or before */
  uint64_t alarm_ns;    /* (w) what the alarm is set to */
  cast_post alarm_post; /* (i) pushed when the alarm fires */
  _Atomic bool alarm_posted;  /* (a) alarm_post is in the inbox */
  cast_post orphan_post;      /* (i) pushed when the last handle is dropped */
  _Atomic bool orphan_posted; /* (a) orphan_post is in the inbox */
  cast_lock lock;             /* CAST_RANK_SESSION */
  cast_list tasks;            /* (lock) the unfinished tasks */
  uint32_t ntasks;            /* (lock) their number */
  uint32_t tasks_max;         /* (i) the most there may be; 0: no limit */
  cast_account *account; /* (i) a sandbox's: one reference; NULL: trusted */
  bool closing; /* (lock) it takes no new tasks. Not beside the flags below: a
                   compiler may read several of those, and this, at once */
  uint64_t nstarted; /* (lock) how many tasks have ever started */
  bool metered;      /* (i) ops->meter is called around slices */
  bool close_wanted; /* (w) it closes when no task is left */
  bool orphaned;     /* (w) it does so if there is still no handle then */
  cast_event empty;  /* set while no task is left */
  cast_event closed; /* set when the session has closed, and, if it has an
                        account, all below that */
  uint64_t id;       /* (i) unique in the process */
  uint32_t seed;     /* (w) the generator of select's choices */
  uint32_t budget;   /* (w) tasks to resume before the slice is over */
  bool away;         /* (w) a host's: idle, in an event loop of its own */
};

#endif
