/* host.c - a main program's thread while it waits.
   SPDX-License-Identifier: MIT */
#include "host.h"

#include "../include/casting.h"
#include "sched.h"

/* The main program was interrupted (a signal handler has set a hook). */
static bool interrupted(void *arg) {
  cast_host *h = arg;
  return h->session->ops->interrupted != NULL &&
         h->session->ops->interrupted(h->session);
}

/* Somebody of the pool is likely to answer soon: crossing threads by sleeping
   costs tens of microseconds, so look for a moment first. */
static bool spin(cast_host *h) {
  if (cast_sched_busy() == 0) return false;
  for (uint32_t i = 0; i < CAST_SPIN_ROUNDS; i++) {
    if (cast_session_notified(h->session)) return true;
    for (uint32_t k = 0; k < 4; k++) os_relax();
  }
  return false;
}

static void loop(cast_runner *r) {
  cast_host *h = CAST_CONTAINER(r, cast_host, runner);
  for (;;) {
    cast_session *s = h->session;
    cast_run how = cast_session_run(s, &r);
    /* A host's session neither closes here nor is put back for others. */
    CAST_ALWAYS(how == CAST_RUN_IDLE && r == &h->runner);
    if (!spin(h))
      os_event_wait(&h->event, cast_session_next(s), interrupted, h);
    /* Each idle time that a pusher has ended uses up its one set: then the
       pusher is through with the session, which may be freed next. */
    if (cast_session_reclaim(s)) continue;
    while (os_event_wait(&h->event, OS_FOREVER, NULL, NULL) != 0) {}
    os_event_clear(&h->event);
  }
}

void cast_host_wake(cast_host *h) { os_event_set(&h->event); }

int cast_host_init(cast_host *h, cast_session *session, cast_task *main) {
  h->runner.loop = loop;
  h->session = session;
  h->main = main;
  session->runner = &h->runner;
  session->current = main;
  return os_event_init(&h->event) == 0 ? 0 : CASTING_ENOMEM;
}

void cast_host_fini(cast_host *h) {
  cast_runner_fini(&h->runner);
  if (h->own != NULL) os_context_free(h->own);
  os_event_fini(&h->event);
}

/* The state may be run by another thread of its host than last time. */
static int adopt(cast_host *h) {
  uintptr_t thread = os_thread_self();
  os_context *own;
  if (h->own != NULL && h->thread == thread) return 0;
  own = os_context_adopt();
  if (own == NULL) return CASTING_ENOMEM;
  if (h->own != NULL) os_context_free(h->own);
  h->own = h->runner.at = own;
  h->thread = thread;
  return 0;
}

int cast_host_reserve(cast_host *h) {
  /* A main-state task that blocks in place runs on a loop's stack already. */
  if (h->session->current == h->main && adopt(h) != 0) return CASTING_ENOMEM;
  return cast_runner_reserve(&h->runner);
}
