/* session.h - the state machine of sessions: inbox, ready list, memory.
   SPDX-License-Identifier: MIT

   The state of a session is its inbox word:
     idle      IDLE. No thread runs it, and it has no owner. The pusher that
               replaces IDLE owns it until it has queued it; it puts its post
               into the ready list (of a host's session: into the inbox).
     queued    EMPTY or posts, and the session is in a run queue, which owns it.
     running   EMPTY, and a runner owns it.
     notified  Posts, and a runner owns it: it will look again before it leaves.
     closed    CLOSED. No post is taken any more.
   Invariants:
   1. A session is in at most one run queue, and in none while it runs.
   2. The thread that replaces IDLE queues the session exactly once.
   3. A pusher that did not see IDLE never touches the session afterwards, so
      the owner may free it (DESIGN, R1; model session.pml). */
#ifndef CAST_SESSION_H
#define CAST_SESSION_H

#include "types.h"

/* The values of the inbox word that are not the address of a post. */
#define CAST_INBOX_EMPTY ((uintptr_t)0) /* as a post, NULL */
#define CAST_INBOX_IDLE ((uintptr_t)1)
#define CAST_INBOX_CLOSED ((uintptr_t)2)

extern const cast_type cast_session_type;

/* Adds a weak reference, which keeps the memory valid; the caller has one. */
void cast_session_ref_weak(cast_session *s);
/* Drops a weak reference, and frees the session with the last one. */
void cast_session_unref_weak(cast_session *s);
/* Adds a strong reference, for a new handle, when there may be none left. The
   caller has a weak one. */
void cast_session_handle(cast_session *s);

/* Any thread: pushes a post into the inbox, and wakes the session if it is
   idle. `self` is the session that the calling thread runs, or NULL. False: the
   session has closed, and the post was not taken. */
bool cast_session_push(cast_session *s, cast_session *self, cast_post *p);
/* The same, but a session of the pool that was idle is not queued: it is
   returned, as a job, for the caller to queue. NULL: there is nothing to do. */
cast_job *cast_session_post(cast_session *s, cast_post *p);
/* Owner: appends a post to the ready list. If the session is away, the post is
   pushed instead, so that the event of its host is set. */
static inline void cast_session_ready(cast_session *s, cast_post *p) {
  if (CAST_UNLIKELY(s->away)) {
    cast_session_push(s, NULL, p);
    return;
  }
  p->next = NULL;
  *s->ready_tail = p;
  s->ready_tail = &p->next;
}

/* Owner: makes a task ready to which another one has just handed a message, or
   from which it has taken one. The task goes to the front of the ready list,
   behind others that came this way: as with the scheduler's run-next slot, it
   is likely to answer soon, while the message is in the cache. After
   CAST_NEXT_STREAK in a row the other tasks have their turn. */
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

/* Owner: takes the first post out of the ready list, which must not be empty.
   */
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

/* Owner: moves all posts from the inbox to the ready list. */
void cast_session_take_posts(cast_session *s);
static inline void cast_session_take_inbox(cast_session *s) {
  /* Relaxed: cast_session_take_posts acquires. */
  if (atomic_load_explicit(&s->inbox, memory_order_relaxed) != CAST_INBOX_EMPTY)
    cast_session_take_posts(s);
}

/* Owner: running -> idle. False if posts have come meanwhile; then the caller
   stays the owner. Otherwise it must not touch the session any more, unless it
   is the session's host. */
static inline bool cast_session_go_idle(cast_session *s) {
  uintptr_t empty = CAST_INBOX_EMPTY;
  /* A hint for threads that find the session idle. Relaxed: the exchange below
     publishes it. */
  if (s->alarm_ns != OS_FOREVER)
    atomic_store_explicit(
      &s->alarm.passive, s->deadlines.count == 0, memory_order_relaxed);
  /* PAIR inbox: release the session's state to the pusher that wakes it. */
  return atomic_compare_exchange_strong_explicit(&s->inbox, &empty,
    CAST_INBOX_IDLE, memory_order_release, memory_order_relaxed);
}
/* Idle -> running: called by a host after a sleep, and by the thread that has
   just made a session. False: another thread has replaced IDLE, and is going to
   call ops->wake. */
bool cast_session_reclaim(cast_session *s);
/* The thread that has made the session gives it up: the session goes idle, or
   is woken if posts have come meanwhile. */
void cast_session_release(cast_session *s, cast_session *self);
/* Owner, at the end: running -> closed. Returns the posts that are left, in
   order. */
cast_post *cast_session_shut(cast_session *s);
/* Owner, or a host whose session is idle: has a post been pushed? */
bool cast_session_is_notified(cast_session *s);
/* Any thread: the value may be stale as soon as it is read. */
bool cast_session_is_idle(cast_session *s);
/* Any thread: does it take no new tasks any more, as it was asked to close, or
   has neither handles nor tasks? That stays so. */
bool cast_session_is_closing(cast_session *s);

#endif
