/* wait.c - ends waits by the owner: deadlines and cancellation.
   SPDX-License-Identifier: MIT

   See wait.h for the life of a wait and its invariants. All functions here are
   called by the owner of the task's session (or by a foreign thread, with its
   own task). */
#include "wait.h"

#include "../include/casting.h"

void cast_wait_until(cast_task *t, uint64_t deadline_ns) {
  if (deadline_ns == OS_FOREVER) return;
  cast_heap_push(&t->session->deadlines, &t->wait.deadline, deadline_ns);
}

bool cast_wait_claim_own(cast_task *t) {
  cast_lock *l = t->waiter.lock;
  bool won;
  if (!cast_wait_is_armed(&t->wait)) return false;
  if (l == NULL) return cast_wait_claim(&t->wait);
  cast_lock_take(l);
  won = cast_wait_claim(&t->wait);
  if (won) cast_list_remove(&t->waiter.link);
  cast_lock_drop(l);
  return won;
}

bool cast_wait_end(cast_task *t, int result) {
  if (!cast_wait_claim_own(t)) return false;
  t->wait.result = result;
  cast_session_ready(t->session, &t->post);
  return true;
}

/* Gives an armed wait another deadline: 0 or CASTING_ENOMEM. */
static int move_deadline(cast_task *t, uint64_t deadline_ns) {
  cast_heap_node *n = &t->wait.deadline;
  if (n->index != 0)
    cast_heap_remove(&t->session->deadlines, n);
  else if (cast_wait_reserve(t) != 0)
    return CASTING_ENOMEM;
  cast_wait_until(t, deadline_ns);
  return 0;
}

bool cast_wait_interrupt(cast_task *t, int result, uint64_t now_ns) {
  const cast_session_ops *ops = t->session->ops;
  uint64_t until = 0;
  /* It may fire at any time from here on; cast_wait_end then does nothing. */
  if (!cast_wait_is_armed(&t->wait)) return false;
  if (ops->extended_until != NULL) until = ops->extended_until(t, now_ns);
  if (until > now_ns && move_deadline(t, until) == 0) return true;
  return cast_wait_end(t, result);
}
