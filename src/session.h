/* session.h - sessions, tasks, and the one way to wait.
   SPDX-License-Identifier: MIT

   A session is run by one runner at a time; that runner's thread is "the
   owner" and alone touches fields marked (w). Others reach a session only by
   pushing posts into its inbox.

   Session states (in the inbox word, which is all there is):
     idle      IDLE: nobody runs it; the pusher that replaces IDLE must queue
               it. No owner; only that pusher may touch it, and puts its post
               into the ready list (a host's: into the inbox).
     queued    EMPTY or posts, and in some run queue, which owns it.
     running   EMPTY, and a runner has it.
     notified  posts, and a runner has it: it will look again.
     closed    CLOSED: no post is taken any more.
   Invariants:
   1. A session is in at most one run queue, and not while it runs.
   2. Whoever turns IDLE into something queues the session exactly once.
   3. A pusher that did not see IDLE never touches the session afterwards, so
      the owner may free it (DESIGN, R1).
   4. A task is in at most one of: the inbox, the ready list, `current`, some
      queue of waiters (through its waiters).
   5. While tasks > 0 the session is not closed. */
#ifndef CAST_SESSION_H
#define CAST_SESSION_H

#include "context.h"
#include "heap.h"
#include "list.h"
#include "lock.h"
#include "msg.h"
#include "runq.h"
#include "timer.h"

typedef struct cast_session cast_session;
typedef struct cast_task cast_task;

/* Something for the owner of a session to do. run == NULL: it is a task to
   resume. After CLOSED, run is called with closed == true by the closer. */
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

/* One wait at a time per task. Armed by the owner; whoever turns it to FIRED
   (cast_wait_claim) writes result and index, and then, with no lock held,
   wakes the task. A wait in one queue is claimed under that queue's lock by
   everybody, its owner too, so a store will do; one in several is claimed by
   compare-exchange. */
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

void cast_event_init(cast_event *e);
/* 0 if set, else CAST_PARKED: t's waiter is queued. */
int cast_event_wait(cast_event *e, cast_task *t);
void cast_event_set(cast_event *e, cast_session *self);
void cast_event_clear(cast_event *e);
bool cast_event_is_set(cast_event *e);
bool cast_event_awaited(cast_event *e); /* a moment's truth */

/* Something to be done when an event is set, by the thread that sets it: for
   the ends of tasks and sessions. Stands among the event's waiters, with no
   wait. */
typedef struct cast_watcher cast_watcher;
struct cast_watcher {
  cast_waiter waiter; /* its msg is the watcher's own */
  /* Under the event's lock: is it to be fired? Whoever says so owns it until
     then. If not, it may be gone as soon as the lock is released. */
  bool (*claim)(cast_watcher *w);
  /* Without the lock, once. Allocates nothing: a wake cannot fail. */
  void (*fire)(cast_watcher *w, cast_session *self);
};

/* False: the event is set already; w was not queued. */
bool cast_event_watch(cast_event *e, cast_watcher *w);
/* True: w was queued, and is the caller's again. False: it never was, or has
   been claimed or refused. */
bool cast_event_unwatch(cast_event *e, cast_watcher *w);
/* The first queued watcher for which test(w, arg) is true, under the event's
   lock, or NULL. */
cast_watcher *cast_event_seek(
  cast_event *e, bool (*test)(cast_watcher *w, void *arg), void *arg);

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
  cast_session *session; /* (i) one hold on it; NULL: foreign.h */
  cast_list link;        /* (session lock) in session->tasks */
  cast_wait wait;
  cast_waiter waiter;     /* for waits with one case */
  cast_event done;        /* set at its end */
  uint64_t cancelled_ns;  /* (w) when it was cancelled */
  uint32_t id;            /* (i) unique among four thousand million */
  _Atomic uint8_t status; /* (a) cast_status; relaxed: only reported */
  bool cancelled;         /* (w) level-triggered */
  bool finished;          /* (w) */
  uint8_t mark;           /* (w) the binding's own: here is room for it */
};

/* -- sessions ------------------------------------------------------------- */

typedef struct cast_session_ops {
  /* It is idle no more: have it run. Called by any thread; `self` as in
     cast_session_push. */
  void (*wake)(cast_session *s, cast_session *self);
  /* Runs t until it waits or ends, and then what cast_session_turn(&s, r)
     returns, until that is NULL. Returns s as that has left it. */
  cast_session *(*resume)(cast_session *s, cast_task *t, cast_runner **r);
  /* The owner gives up what it holds for a closing session. No task is left. */
  void (*close)(cast_session *s);
  /* The last hold went: free the memory. Any thread. */
  void (*free)(cast_session *s);
  /* In the owner's thread, but as in a signal handler, at any moment of the
     session's run: make its task look up. May be NULL. */
  void (*poke)(cast_session *s);
  /* Owner, t waits, and was cancelled or a deadline has passed: until when is
     its wait to go on nevertheless? 0: it ends. May be NULL. */
  uint64_t (*spared)(cast_task *t, uint64_t now_ns);
  /* A slice of a metered session begins, or has ended. */
  void (*meter)(cast_session *s, bool begins);
  /* Host sessions: has the main program's wait been interrupted? */
  bool (*interrupted)(cast_session *s);
  /* Host sessions, on the monitor's thread while the host runs tasks: must
     one that computes be poked? NULL: never. */
  bool (*urgent)(cast_session *s);
} cast_session_ops;

struct cast_session {
  cast_object object;          /* references: handles and messages only */
  cast_job job;                /* link in a run queue */
  _Atomic uintptr_t inbox;     /* (a) IDLE, EMPTY, CLOSED or last post */
  _Atomic uint32_t holds;      /* (a) memory: tasks, handles, being open */
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

extern const cast_type cast_session_type;

/* All zero before. `ops` stays. One handle reference for the caller; the
   session starts idle (a pool's) or running (a host's). 0, CASTING_ENOMEM. */
int cast_session_init(
  cast_session *s, const cast_session_ops *ops, bool running);
void cast_session_hold(cast_session *s);
void cast_session_drop(cast_session *s);
/* A new handle reference, when there may be none left. */
void cast_session_handle(cast_session *s);

/* Any thread. `self` is the session the calling thread runs, or NULL.
   False: the session has closed; the post was not taken. */
bool cast_session_push(cast_session *s, cast_session *self, cast_post *p);
/* Owner of s: appends to the ready list. (Away, it is a push like anybody's,
   so that the host's event tells of it.) */
static inline void cast_session_ready(cast_session *s, cast_post *p) {
  if (CAST_UNLIKELY(s->away)) {
    cast_session_push(s, NULL, p);
    return;
  }
  p->next = NULL;
  *s->ready_tail = p;
  s->ready_tail = &p->next;
}

/* Owner: a task that another has just handed something to. It goes in front of
   the ready list, behind those that came so before it, as the run-next slot of
   the scheduler: who is waited for answers soon, and waits for little. Not for
   ever: after CAST_NEXT_STREAK in a row the others have their turn. */
static inline void cast_session_front(cast_session *s, cast_post *p) {
  cast_post **at = s->nfront == 0 ? &s->ready : s->front;
  if (s->streak == CAST_NEXT_STREAK || CAST_UNLIKELY(s->away)) {
    cast_session_ready(s, p);
    return;
  }
  s->streak++;
  s->nfront++;
  p->next = *at;
  *at = p;
  s->front = &p->next;
  if (p->next == NULL) s->ready_tail = &p->next;
}

/* Owner: takes the first post out of the ready list, which is not empty. */
static inline cast_post *cast_session_shift(cast_session *s) {
  cast_post *p = s->ready;
  s->ready = p->next;
  if (s->ready == NULL) s->ready_tail = &s->ready;
  if (s->nfront > 0)
    s->nfront--;
  else
    s->streak = 0;
  return p;
}

/* Owner: takes the first of the ready list to resume it now, if that is a task
   that wants to be resumed and the slice is not over; else NULL. */
static inline cast_task *cast_session_take(cast_session *s) {
  cast_post *p = s->ready;
  cast_task *t;
  if (p == NULL || p->run != NULL || s->budget == 0) return NULL;
  t = CAST_CONTAINER(p, cast_task, post);
  if (CAST_UNLIKELY(t->object.held != NULL)) return NULL;
  cast_session_shift(s);
  s->budget--;
  CAST_ASSERT(t->session == s && !t->finished);
  s->current = t;
  /* Relaxed: only reported. */
  atomic_store_explicit(&t->status, CAST_RUNNING, memory_order_relaxed);
  return t;
}

typedef enum cast_run { CAST_RUN_IDLE, CAST_RUN_AGAIN, CAST_RUN_GONE } cast_run;
/* Runs *s for a slice on *r, and perhaps others after it, which is what *s is
   at the end; *r is the runner that this ended on. After CAST_RUN_IDLE and
   CAST_RUN_GONE the caller must not touch *s. */
cast_run cast_session_run(cast_session **s, cast_runner **r);
/* Owner of *s, within ops->resume, nothing more to resume in it: if nothing
   else is to be done there either, and another session is to run next, goes on
   with that one, *s then; the first task to resume, if that is what it has to
   do first. Should the other session be gone, *s is NULL; and *r is the runner.
   (To return to cast_session_run and its caller instead would cost more than
   the rest: see cast_ltask_resume.) */
cast_task *cast_session_follow(cast_session **s, cast_runner **r);
static inline cast_task *cast_session_turn(cast_session **s, cast_runner **r) {
  cast_task *t = cast_session_take(*s);
  return t != NULL ? t : cast_session_follow(s, r);
}
/* Idle -> running: a host after a sleep, and who has just made a session.
   False: somebody has replaced IDLE before, and calls ops->wake soon. */
bool cast_session_reclaim(cast_session *s);
/* Who has made it owns it no longer: it goes idle, or is woken if posts have
   come meanwhile. */
void cast_session_release(cast_session *s, cast_session *self);
/* The thread of a host, outside of its loop. Look: takes in what was pushed or
   is due; is anything ready? Rest: goes idle; false if posts have come. Depart:
   goes idle for as long as the thread does other things (`away`); what is
   ready, or becomes so, is in the inbox then, and the host woken. */
bool cast_session_look(cast_session *s);
bool cast_session_rest(cast_session *s);
void cast_session_depart(cast_session *s);
/* Owner, asleep or not: has somebody pushed something? */
bool cast_session_notified(cast_session *s);
bool cast_session_is_idle(cast_session *s); /* any thread: a moment's truth */
/* Host's sleep: earliest deadline of its own tasks. */
static inline uint64_t cast_session_next(const cast_session *s) {
  return cast_heap_next(&s->deadlines);
}
/* Owner of a host's session, which never closes by itself: closes it. */
void cast_session_end(cast_session *s);
/* Owner: cancels every task and closes the session once they have ended. */
void cast_session_cancel_all(cast_session *s);

/* `t` all zero before; one reference for its caller besides its own. */
void cast_task_init(cast_task *t, cast_session *s, const cast_type *type);
/* Any thread: the session takes the task and will resume it. 0, or
   CASTING_ECLOSED, CASTING_EFULL (it has tasks_max): then the task is as after
   cast_task_init. */
int cast_task_start(cast_task *t, cast_session *self);
/* Owner, at the end of a task: leaves the session, tells the joiners, drops
   the task's own reference. */
void cast_task_finish(cast_task *t, cast_status how);
void cast_foreign_wake(cast_task *t);
/* Makes a task that is not waiting, not queued, ready again (cast_foreign_wake
   one without a session). Any thread. */
static inline void cast_task_wake(cast_task *t, cast_session *self) {
  /* Relaxed: only reported. */
  atomic_store_explicit(&t->status, CAST_READY, memory_order_relaxed);
  if (CAST_UNLIKELY(t->session == NULL))
    cast_foreign_wake(t);
  else if (t->session == self)
    cast_session_ready(self, &t->post);
  else
    cast_session_push(t->session, self, &t->post);
}
/* The same for one that the caller's task has handed something to, or taken
   something from. */
static inline void cast_task_hand(cast_task *t, cast_session *self) {
  if (t->session != self || self == NULL) {
    cast_task_wake(t, self);
    return;
  }
  atomic_store_explicit(&t->status, CAST_READY, memory_order_relaxed);
  cast_session_front(self, &t->post);
}
/* Owner: lets the task go to the back of the ready list. */
void cast_task_yield(cast_task *t);
/* Owner: the task was interrupted. It goes on first, but not before others
   than its session had their turn. */
void cast_task_preempt(cast_task *t);
/* Owner: sets the task's cancelled flag and ends its wait, unless ops->spared
   puts that off. */
void cast_task_cancel(cast_task *t);
/* Owner, the task runs: keeps its C stack until its wait is over. The runner
   has a reserved context. */
void cast_task_block(cast_task *t);

static inline bool cast_wait_armed(const cast_wait *w) {
  /* Relaxed: a hint, or the reader holds the lock of the wait's queue. */
  return atomic_load_explicit(&w->state, memory_order_relaxed) >= CAST_WAIT_ONE;
}
/* Owner, before queueing: the wait may be claimed from now on. `how`:
   CAST_WAIT_ONE or CAST_WAIT_MANY. */
static inline void cast_wait_arm(cast_task *t, uint32_t how) {
  CAST_ASSERT(!cast_wait_armed(&t->wait));
  t->waiter.since = cast_clock();
  t->wait.result = 0;
  /* Relaxed: published by the lock of the queue that the wait enters. */
  atomic_store_explicit(&t->wait.state, how, memory_order_relaxed);
}
/* With the lock of the queue in which the waiter stands. */
static inline bool cast_wait_claim(cast_wait *w) {
  uint32_t seen = atomic_load_explicit(&w->state, memory_order_relaxed);
  if (CAST_LIKELY(seen == CAST_WAIT_ONE)) {
    /* Relaxed: whoever else would claim it needs the same lock. */
    atomic_store_explicit(&w->state, CAST_WAIT_FIRED, memory_order_relaxed);
    return true;
  }
  /* PAIR claim: acquire sees the arming; the winner alone goes on. */
  return seen == CAST_WAIT_MANY &&
         atomic_compare_exchange_strong_explicit(&w->state, &seen,
           CAST_WAIT_FIRED, memory_order_acq_rel, memory_order_relaxed);
}
static inline cast_task *cast_wait_task(cast_wait *w) {
  return CAST_CONTAINER(w, cast_task, wait);
}
/* Makes room for one more deadline: 0 or CASTING_ENOMEM. */
static inline int cast_wait_reserve(cast_task *t) {
  return cast_heap_reserve(&t->session->deadlines);
}
/* Owner, after CAST_PARKED: claimed with CASTING_ETIMEOUT at deadline_ns,
   unless something else happens before. Room was reserved. */
void cast_wait_until(cast_task *t, uint64_t deadline_ns);
/* Owner, after the wait: takes its deadline out and its waiter off the queue
   (which a claimer from elsewhere leaves there). */
static inline void cast_wait_done(cast_task *t) {
  CAST_ASSERT(!cast_wait_armed(&t->wait));
  if (CAST_UNLIKELY(t->wait.deadline.index != 0))
    cast_heap_remove(&t->session->deadlines, &t->wait.deadline);
  t->waiter.lock = NULL;
  /* Relaxed: nobody else has the wait any more. */
  atomic_store_explicit(&t->wait.state, CAST_WAIT_NONE, memory_order_relaxed);
}
/* Owner: claims the wait of its task; the waiter is off its queue then. */
bool cast_wait_claim_own(cast_task *t);
/* Owner: ends the wait with `result` unless it has fired already; did it? */
bool cast_wait_end(cast_task *t, int result);
/* Owner: ends the wait with `result`, unless ops->spared says that it is to go
   on for a while. */
void cast_wait_interrupt(cast_task *t, int result, uint64_t now_ns);
/* Takes w off its queue, if it is in one. */
void cast_waiter_unlink(cast_waiter *w);

#endif
