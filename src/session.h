/* session.h - the state machine of sessions: inbox, ready list, memory.
   SPDX-License-Identifier: MIT

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
      the owner may free it (DESIGN, R1). */
#ifndef CAST_SESSION_H
#define CAST_SESSION_H

#include "types.h"

/* The words of the inbox that are no post's address. */
#define CAST_INBOX_EMPTY ((uintptr_t)0) /* as a post, NULL */
#define CAST_INBOX_IDLE ((uintptr_t)1)
#define CAST_INBOX_CLOSED ((uintptr_t)2)

extern const cast_type cast_session_type;

void cast_session_ref_weak(cast_session *s);
void cast_session_unref_weak(cast_session *s);
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

/* Owner: appends what was pushed to the ready list. */
void cast_session_take_posts(cast_session *s);
static inline void cast_session_take_inbox(cast_session *s) {
  /* Relaxed: cast_session_take_posts acquires. */
  if (atomic_load_explicit(&s->inbox, memory_order_relaxed) != CAST_INBOX_EMPTY)
    cast_session_take_posts(s);
}

/* Owner: running -> idle. False if posts have come; else the caller must not
   touch the session any more, unless it is its host. */
static inline bool cast_session_go_idle(cast_session *s) {
  uintptr_t empty = CAST_INBOX_EMPTY;
  /* Relaxed: ordered by what follows, a hint for a thread that finds the
     session idle. */
  if (s->alarm_ns != OS_FOREVER)
    atomic_store_explicit(
      &s->alarm.passive, s->deadlines.count == 0, memory_order_relaxed);
  /* PAIR inbox: release the session's state to the pusher that wakes it. */
  return atomic_compare_exchange_strong_explicit(&s->inbox, &empty,
    CAST_INBOX_IDLE, memory_order_release, memory_order_relaxed);
}
/* Idle -> running: a host after a sleep, and who has just made a session.
   False: somebody has replaced IDLE before, and calls ops->wake soon. */
bool cast_session_reclaim(cast_session *s);
/* Who has made it owns it no longer: it goes idle, or is woken if posts have
   come meanwhile. */
void cast_session_release(cast_session *s, cast_session *self);
/* Owner, at the end: no post is taken any more. Returns those that came last,
   in order. */
cast_post *cast_session_shut(cast_session *s);
/* Owner, asleep or not: has somebody pushed something? */
bool cast_session_is_notified(cast_session *s);
bool cast_session_is_idle(cast_session *s); /* any thread: a moment's truth */

#endif
