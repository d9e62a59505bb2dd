/* types.h - the structs of sessions, tasks and waits, which know each other.
   SPDX-License-Identifier: MIT

   Structs only; what is done with them is in session.h (the state machine),
   wait.h, event.h, task.h and slice.h, in this order, each using those before
   it. A session is run by one runner at a time; that runner's thread is "the
   owner" and alone touches fields marked (w). Others reach a session only by
   pushing posts into its inbox (session.h). Invariants:
   1. A task is in at most one of: the inbox, the ready list, `current`, some
      queue of waiters (through its waiters).
   2. While tasks > 0 the session is not closed. */
#ifndef CAST_TYPES_H
#define CAST_TYPES_H

#include "context.h"
#include "heap.h"
#include "list.h"
#include "lock.h"
#include "msg.h"
#include "runq.h"
#include "timer.h"

typedef struct cast_session cast_session;
typedef struct cast_task cast_task;

/* Something for the owner of a session to do. run == NULL: it is a task of
   the session, to be resumed. After CLOSED, run is called with closed == true
   by the thread that closes the session. A task without a session has a
   `run`, too, which wakes its thread (foreign.h). */
typedef struct cast_post cast_post;
struct cast_post {
  cast_post *next;
  void (*run)(cast_session *s, cast_post *p, bool closed);
};

/* -- waiting -------------------------------------------------------------- */

/* ONE and MANY: armed, with a waiter in at most one queue, or in several. */
enum { CAST_WAIT_NONE, CAST_WAIT_FIRED, CAST_WAIT_ONE, CAST_WAIT_MANY };

/* What a function returns when the task is queued and must park. */
#define CAST_PARKED 1
/* A wait's result, of main programs only: nothing can ever end it. */
#define CAST_DEADLOCK (-100)

/* One wait at a time per task. Armed by the owner; the thread that turns it to
   FIRED (cast_wait_claim) writes result and index, and then, with no lock
   held, wakes the task. A wait in one queue is claimed under that queue's lock
   by everybody, its owner too, so a store will do; one in several is claimed
   by compare-exchange. */
typedef struct cast_wait {
  _Atomic uint32_t state;  /* (a) */
  uint32_t index;          /* claimer, then owner: the case that happened */
  int32_t result;          /* claimer, then owner: 0 or CASTING_E* */
  cast_heap_node deadline; /* (w) in the session's heap */
} cast_wait;

/* A wait's place in one queue. */
typedef struct cast_waiter {
  cast_list link;  /* (lock) */
  cast_wait *wait; /* (i) while queued */
  cast_lock *lock; /* (i) while queued: the queue's */
  uint32_t index;  /* (i) while queued: which case of a select */
  uint32_t since;  /* (w) of a task's own: when its wait began (cast_clock) */
  cast_msg msg;    /* sender's message; where the claimer puts one */
} cast_waiter;

/* Something that happens once (or is cleared by its owner) and that tasks
   wait for: the end of a task or of a session. */
typedef struct cast_event {
  cast_lock lock;
  bool set;          /* (lock) */
  cast_list waiters; /* (lock) */
} cast_event;

/* -- tasks ---------------------------------------------------------------- */

typedef enum cast_status {
  CAST_READY,
  CAST_RUNNING,
  CAST_WAITING,
  CAST_DONE,
  CAST_FAILED,
  CAST_CANCELLED
} cast_status;

/* Small, for there may be a million of them. */
struct cast_task {
  cast_object object;    /* references: handles, messages, being unfinished */
  cast_post post;        /* link in the inbox or the ready list */
  cast_session *session; /* (i) one weak reference to it; NULL: foreign.h */
  cast_list link;        /* (session lock) in session->tasks */
  cast_wait wait;
  cast_waiter waiter;    /* for waits with one case */
  cast_event done;       /* set at its end */
  os_context *stack;     /* (w) its C stack while it blocks in place, or NULL */
  uint64_t cancelled_ns; /* (w) when it was cancelled */
  uint32_t id;           /* (i) unique among four thousand million */
  _Atomic uint8_t status; /* (a) cast_status; relaxed: only reported */
  bool cancelled;         /* (w) level-triggered */
  bool finished;          /* (w) */
};

/* -- sessions ------------------------------------------------------------- */

typedef struct cast_session_ops {
  /* It is idle no more: have it run. Called by any thread; `self` as in
     cast_session_push. */
  void (*wake)(cast_session *s, cast_session *self);
  /* Runs t until it waits or ends, then the tasks that cast_session_turn
     returns for the session of the last one, until it returns none. Returns
     the runner of that last turn. */
  cast_runner *(*resume)(cast_task *t);
  /* The owner gives up what it holds for a closing session. No task is left. */
  void (*close)(cast_session *s);
  /* The last weak reference went: free the memory. Any thread. */
  void (*free)(cast_session *s);
  /* In the owner's thread, but as in a signal handler, at any moment of the
     session's run: make its task look up. May be NULL. */
  void (*preempt)(cast_session *s);
  /* Owner, t waits, and was cancelled or a deadline has passed: until when is
     its wait to go on nevertheless? 0: it ends. May be NULL. */
  uint64_t (*extended_until)(cast_task *t, uint64_t now_ns);
  /* A slice of a metered session begins, or has ended. */
  void (*meter)(cast_session *s, bool begins);
  /* Host sessions: has the main program's wait been interrupted? */
  bool (*interrupted)(cast_session *s);
  /* Host sessions, on sysmon's thread while the host runs tasks: must
     one that computes be signalled? NULL: never. */
  bool (*urgent)(cast_session *s);
  /* What programs that it starts inherit of signals; for hosts NULL. */
  const os_signals *(*signals)(cast_session *s);
} cast_session_ops;

struct cast_session {
  cast_object object;          /* references: handles and messages only */
  cast_job job;                /* link in a run queue */
  _Atomic uintptr_t inbox;     /* (a) IDLE, EMPTY, CLOSED or last post */
  _Atomic uint32_t weak_refs;  /* (a) memory: tasks, handles, being open */
  const cast_session_ops *ops; /* (i) */
  bool hosted;                 /* (i) a host's: its thread is always there */
  cast_runner *runner;         /* (w) */
  cast_task *current;          /* (w) the task that runs, or NULL */
  cast_post *ready;            /* (w) FIFO of tasks to resume */
  cast_post **ready_tail;      /* (w) */
  cast_post **front;           /* (w) end of those put in front, */
  uint32_t nfront;             /* (w) how many of these there are, */
  uint32_t streak;             /* (w) and how many came in a row */
  cast_heap deadlines;         /* (w) of its tasks' waits */
  cast_timer alarm;            /* (timer lock) earliest deadline, roughly */
  uint64_t alarm_ns;           /* (w) what the alarm is set to */
  cast_post alarm_post;        /* pushed by the alarm */
  _Atomic bool alarm_posted;   /* (a) alarm_post is in the inbox */
  cast_post orphan_post;       /* pushed when the last handle goes */
  _Atomic bool orphan_posted;  /* (a) */
  cast_lock lock;
  cast_list tasks;    /* (lock) unfinished ones */
  uint32_t ntasks;    /* (lock) */
  uint32_t tasks_max; /* (i) of ntasks; 0: no limit */
  bool closing;       /* (lock) takes no new tasks. Not beside the flags below:
                         a compiler may read those at once, this included */
  uint64_t nstarted;  /* (lock) all there ever were */
  bool metered;       /* (i) ops->meter is called */
  bool close_wanted;  /* (w) close when no task is left */
  bool orphaned;      /* (w) the same if there is no handle either */
  cast_event empty;   /* set while no task is left */
  cast_event closed;  /* set when the session has closed */
  uint64_t id;        /* (i) unique in the process */
  uint32_t seed;      /* (w) of select's choices */
  uint32_t budget;    /* (w) tasks to resume before others' turn */
  bool away;          /* (w) host: idle while its thread does other things */
};

#endif
