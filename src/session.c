/* session.c - the state machine of sessions.
   SPDX-License-Identifier: MIT

   See session.h for states and invariants. The inbox is a chain of posts with
   the newest first (a Treiber stack that is only ever emptied as a whole, so it
   has no ABA problem). The owner takes the chain and reverses it, so that the
   posts of one pusher are served in order. */
#include "session.h"

#include "fork.h"

static void orphan_session(cast_object *o);
const cast_type cast_session_type = {"session", orphan_session, NULL};

/* -- memory --------------------------------------------------------------- */

void cast_session_ref_weak(cast_session *s) {
  /* Relaxed: the caller has a weak reference already. */
  atomic_fetch_add_explicit(&s->weak_refs, 1, memory_order_relaxed);
}

void cast_session_unref_weak(cast_session *s) {
  if (CAST_UNLIKELY(cast_forked)) return;
  /* PAIR weak_refs: each holder releases what it did, the last one acquires all
     before it frees. */
  if (atomic_fetch_sub_explicit(&s->weak_refs, 1, memory_order_acq_rel) == 1)
    s->ops->free(s);
}

/* The last strong reference was dropped: tells the owner, for the session
   closes by itself once it has no task. All handles together have one weak
   reference. */
static void orphan_session(cast_object *o) {
  cast_session *s = CAST_CONTAINER(o, cast_session, object);
  /* PAIR posted: release; an owner that clears the flag sees that the last
     handle has gone. Acquire: the owner is done with the post. */
  if (!atomic_exchange_explicit(&s->orphan_posted, true, memory_order_acq_rel))
    cast_session_push(s, NULL, &s->orphan_post);
  cast_session_unref_weak(s);
}

void cast_session_handle(cast_session *s) {
  cast_lock_take(&s->lock);
  /* Relaxed: the lock orders this with the decision to close. */
  if (atomic_fetch_add_explicit(&s->object.refs, 1, memory_order_relaxed) == 0)
    cast_session_ref_weak(s);
  cast_lock_drop(&s->lock);
}

/* -- inbox ---------------------------------------------------------------- */

/* Tries to replace IDLE; false if the word has changed, *old then. The thread
   that wakes an idle session of the pool owns it until it has queued it. So it
   puts the post straight into the ready list, where the runner looks first:
   that saves the runner an exchange of the inbox. The thread of a host goes on
   looking at the inbox of its idle session (host.c), so there the post goes
   into that. */
static bool wake_idle(cast_session *s, cast_session *self, cast_post *p,
  uintptr_t *old, cast_job **job) {
  uintptr_t word = s->hosted ? (uintptr_t)p : CAST_INBOX_EMPTY;
  p->next = NULL;
  /* PAIR inbox: acquire what the last owner wrote, for the next one. */
  if (!atomic_compare_exchange_strong_explicit(
        &s->inbox, old, word, memory_order_acq_rel, memory_order_relaxed))
    return false;
  if (word == CAST_INBOX_EMPTY) cast_session_ready(s, p);
  if (job != NULL && !s->hosted && s->keeper == NULL)
    *job = &s->job;
  else
    s->ops->wake(s, self);
  return true;
}

static bool push(
  cast_session *s, cast_session *self, cast_post *p, cast_job **job) {
  uintptr_t old = atomic_load_explicit(&s->inbox, memory_order_relaxed);
  for (;;) {
    if (old == CAST_INBOX_IDLE) {
      if (wake_idle(s, self, p, &old, job)) return true;
      continue;
    }
    if (old == CAST_INBOX_CLOSED) return false;
    p->next = (cast_post *)old; /* NULL for CAST_INBOX_EMPTY */
    /* PAIR inbox: release what the post means; the owner acquires it. */
    if (atomic_compare_exchange_weak_explicit(&s->inbox, &old, (uintptr_t)p,
          memory_order_release, memory_order_relaxed))
      return true;
  }
}

bool cast_session_push(cast_session *s, cast_session *self, cast_post *p) {
  return push(s, self, p, NULL);
}

cast_job *cast_session_post(cast_session *s, cast_post *p) {
  cast_job *job = NULL;
  (void)push(s, NULL, p, &job);
  return job;
}

/* The posts of an inbox word, with the oldest first. */
static cast_post *reverse(uintptr_t word) {
  cast_post *list = NULL, *p = (cast_post *)word;
  while (p != NULL) {
    cast_post *next = p->next;
    p->next = list;
    list = p;
    p = next;
  }
  return list;
}

void cast_session_take_posts(cast_session *s) {
  /* PAIR inbox: acquire what the pushers released. */
  uintptr_t word =
    atomic_exchange_explicit(&s->inbox, CAST_INBOX_EMPTY, memory_order_acquire);
  cast_post *p = reverse(word);
  CAST_ASSERT(word != CAST_INBOX_IDLE && word != CAST_INBOX_CLOSED);
  if (p == NULL) return;
  *s->ready_tail = p;
  s->ready_tail = &((cast_post *)word)->next;
}

cast_post *cast_session_shut(cast_session *s) {
  /* PAIR inbox: acquire the last posts; release nothing in particular. */
  return reverse(atomic_exchange_explicit(
    &s->inbox, CAST_INBOX_CLOSED, memory_order_acq_rel));
}

bool cast_session_reclaim(cast_session *s) {
  uintptr_t idle = CAST_INBOX_IDLE;
  /* Relaxed: the caller has written the session's fields itself. */
  return atomic_compare_exchange_strong_explicit(&s->inbox, &idle,
    CAST_INBOX_EMPTY, memory_order_relaxed, memory_order_relaxed);
}

void cast_session_release(cast_session *s, cast_session *self) {
  /* A pusher that saw CAST_INBOX_EMPTY has not woken the session. */
  if (!cast_session_go_idle(s)) s->ops->wake(s, self);
}

bool cast_session_is_idle(cast_session *s) {
  /* PAIR inbox: acquire; what the caller reads next is not older than this. */
  return atomic_load_explicit(&s->inbox, memory_order_acquire) ==
         CAST_INBOX_IDLE;
}

bool cast_session_is_closing(cast_session *s) {
  bool closing;
  cast_lock_take(&s->lock);
  closing = s->closing;
  cast_lock_drop(&s->lock);
  return closing;
}

bool cast_session_is_notified(cast_session *s) {
  uintptr_t word = atomic_load_explicit(&s->inbox, memory_order_relaxed);
  return word != CAST_INBOX_IDLE && word != CAST_INBOX_EMPTY;
}
