/* session.c - tests of sessions: states, slices, closing, handles.
   SPDX-License-Identifier: MIT

   The first part runs a session by hand, as a worker would. */
#include "fixture.h"

/* -- run by hand ---------------------------------------------------------- */

static cast_core core;     /* of a worker that does not exist */
static cast_worker worker; /* its runner runs the session */
static unit_session *sess;
static uint32_t wakes; /* calls of ops->wake */

static void count_wake(cast_session *s, cast_session *self) {
  assert_ptr_equal(s, &sess->base);
  assert_null(self);
  wakes++;
}

static const cast_session_ops hand_ops = {
  .wake = count_wake,
  .resume = unit_resume,
  .close = unit_on_close,
  .free = unit_session_free,
};

static void begin(void) {
  cast_timers_init();
  memset(&core, 0, sizeof core);
  memset(&worker, 0, sizeof worker);
  cast_runq_init(&core.queue);
  worker.core = &core;
  worker.runner.worker = &worker;
  sess = unit_session_with(&hand_ops, false);
  assert_non_null(sess);
  wakes = 0;
  unit_write(&unit_nfreed, 0);
}

static cast_run run(void) {
  cast_run_end end = cast_session_run(&sess->base, &worker.runner);
  assert_ptr_equal(end.runner, &worker.runner);
  assert_null(worker.runner.session);
  return end.how;
}

/* Gives the handle up and lets it close. */
static void finish(void) {
  cast_unref(&sess->base.object);
  assert_int_equal(run(), CAST_RUN_GONE);
  assert_int_equal(unit_nfreed, 1);
  cast_timers_fini();
}

/* -- posts */

enum { POSTS = 6 };

typedef struct note {
  cast_post post;
  uint32_t number;
  void (*then)(cast_session *s);
} note;

static note notes[POSTS];
static uint32_t seen[2 * POSTS]; /* numbers in the order served */
static bool was_closed[2 * POSTS];
static uint32_t nseen;

static void serve(cast_session *s, cast_post *p, bool closed) {
  note *n = CAST_CONTAINER(p, note, post);
  was_closed[nseen] = closed;
  seen[nseen++] = n->number;
  if (n->then != NULL) n->then(s);
}

static bool push(uint32_t i, void (*then)(cast_session *)) {
  notes[i] = (note){.post.run = serve, .number = i, .then = then};
  return cast_session_push(&sess->base, NULL, &notes[i].post);
}

static void push_fifth(cast_session *s) {
  assert_ptr_equal(s, &sess->base);
  assert_true(push(5, NULL));
}

static void starts_idle(void **state) {
  CAST_UNUSED(state);
  begin();
  cast_session *s = &sess->base;
  assert_string_equal(s->object.type->name, "session");
  assert_true(cast_event_is_set(&s->empty));
  assert_false(cast_event_is_set(&s->closed));
  assert_false(cast_session_is_notified(s));
  assert_true(cast_session_next(s) == FOREVER);
  assert_true(s->seed != 0);
  unit_session *other = unit_session_with(&hand_ops, true);
  assert_true(other->base.id != s->id);
  cast_session_end(&other->base);
  assert_int_equal(other->closes, 1);
  assert_true(cast_event_is_set(&other->base.closed));
  cast_unref(&other->base.object);
  cast_session_unref_weak(&other->base);
  assert_int_equal(unit_nfreed, 1);
  unit_write(&unit_nfreed, 0);
  finish();
}

static void one_wake_for_many_posts(void **state) {
  CAST_UNUSED(state);
  begin();
  for (uint32_t round = 1; round <= 3; round++) {
    nseen = 0;
    for (uint32_t i = 0; i < 5; i++)
      assert_true(push(i, i == 2 ? push_fifth : NULL));
    assert_int_equal(wakes, round);
    assert_true(cast_session_is_notified(&sess->base));
    assert_int_equal(nseen, 0);
    assert_int_equal(run(), CAST_RUN_IDLE);
    assert_int_equal(wakes, round); /* not for the one pushed meanwhile */
    assert_int_equal(nseen, 6);
    for (uint32_t i = 0; i < 6; i++) assert_int_equal(seen[i], i);
    assert_false(cast_session_is_notified(&sess->base));
  }
  finish();
}

/* As a host does after its sleep. */
static void reclaimed_or_not(void **state) {
  CAST_UNUSED(state);
  begin();
  assert_true(cast_session_reclaim(&sess->base));
  assert_int_equal(run(), CAST_RUN_IDLE);
  nseen = 0;
  push(0, NULL);
  assert_false(cast_session_reclaim(&sess->base));
  assert_int_equal(run(), CAST_RUN_IDLE);
  assert_int_equal(nseen, 1);
  finish();
}

/* As who has made it, and goes on to fill it. */
static void released_or_woken(void **state) {
  CAST_UNUSED(state);
  begin();
  assert_true(cast_session_reclaim(&sess->base));
  cast_session_release(&sess->base, NULL);
  assert_int_equal(wakes, 0);
  assert_true(cast_session_is_idle(&sess->base));
  assert_true(cast_session_reclaim(&sess->base));
  nseen = 0;
  push(0, NULL);
  assert_int_equal(wakes, 0);
  assert_false(cast_session_is_idle(&sess->base));
  cast_session_release(&sess->base, NULL);
  assert_int_equal(wakes, 1);
  assert_int_equal(run(), CAST_RUN_IDLE);
  assert_int_equal(nseen, 1);
  finish();
}

/* -- closing */

static void close_empty(cast_session *s) { cast_task_cancel_all(s); }

static void close_and_push(cast_session *s) {
  close_empty(s);
  push_fifth(s);
}

static void closes_when_asked(void **state) {
  CAST_UNUSED(state);
  begin();
  cast_session *s = &sess->base;
  nseen = 0;
  push(0, close_and_push);
  push(1, NULL);
  cast_session_ref_weak(s);
  assert_int_equal(run(), CAST_RUN_GONE);
  /* What comes while it closes is served all the same. */
  assert_int_equal(nseen, 3);
  assert_int_equal(seen[1], 1);
  assert_int_equal(seen[2], 5);
  assert_false(was_closed[0] || was_closed[1]);
  assert_int_equal(sess->closes, 1);
  assert_true(cast_event_is_set(&s->closed));
  assert_true(cast_event_is_set(&s->empty));
  assert_false(push(3, NULL));
  assert_int_equal(s->alarm.node.index, 0);
  unit_task *t = unit_task_new(s, NULL, NULL);
  assert_int_equal(cast_task_start(&t->base, NULL), CASTING_ECLOSED);
  cast_unref(&t->base.object);
  cast_session_handle(s);
  cast_unref(&s->object);
  cast_unref(&s->object);
  assert_int_equal(unit_nfreed, 0);
  cast_session_unref_weak(s);
  assert_int_equal(unit_nfreed, 1);
  cast_timers_fini();
}

static cast_session_ops late_ops; /* whose close pushes to itself */

static void push_in_close(cast_session *s) {
  unit_on_close(s);
  assert_true(push(4, NULL));
}

static void posts_of_the_last_moment(void **state) {
  CAST_UNUSED(state);
  begin();
  late_ops = hand_ops;
  late_ops.close = push_in_close;
  sess->base.ops = &late_ops;
  nseen = 0;
  finish();
  assert_int_equal(nseen, 1);
  assert_int_equal(seen[0], 4);
  assert_true(was_closed[0]);
}

static bool end_at_second(unit_task *t) { return t->at++ > 0; }

static void orphan_waits_for_its_tasks(void **state) {
  CAST_UNUSED(state);
  begin();
  unit_task *t = unit_spawn(sess, end_at_second, NULL);
  cast_unref(&sess->base.object);
  assert_int_equal(wakes, 1);
  assert_int_equal(run(), CAST_RUN_IDLE);
  cast_task_wake(&t->base, NULL);
  assert_int_equal(wakes, 2);
  assert_int_equal(run(), CAST_RUN_GONE);
  assert_int_equal(unit_nfreed, 0); /* the task's hold */
  assert_int_equal(t->base.status, CAST_DONE);
  cast_unref(&t->base.object);
  assert_int_equal(unit_nfreed, 1);
  cast_timers_fini();
}

static void handles_come_back(void **state) {
  CAST_UNUSED(state);
  begin();
  for (int i = 0; i < 3; i++) {
    unit_task *t = unit_spawn(sess, end_at_second, NULL);
    cast_unref(&sess->base.object);
    if (i == 1) assert_int_equal(run(), CAST_RUN_IDLE);
    cast_session_handle(&sess->base);
    if (i == 2) {
      /* Gone and back again, with the first post still in the inbox. */
      cast_unref(&sess->base.object);
      cast_session_handle(&sess->base);
    }
    if (i != 1) assert_int_equal(run(), CAST_RUN_IDLE);
    cast_task_wake(&t->base, NULL);
    assert_int_equal(run(), CAST_RUN_IDLE); /* there is a handle */
    cast_unref(&t->base.object);
  }
  finish();
}

/* -- who goes on first */

/* Posts in front come before all others, in order, but not for ever. */
static void front_before_the_rest(void **state) {
  enum { N = 8 };
  cast_post p[N + 4];
  CAST_UNUSED(state);
  begin();
  memset(p, 0, sizeof p);
  for (uint32_t i = 0; i < 4; i++) cast_session_ready(&sess->base, &p[N + i]);
  for (uint32_t i = 0; i < N; i++) cast_session_front(&sess->base, &p[i]);
  uint32_t n = N < CAST_NEXT_STREAK ? N : CAST_NEXT_STREAK;
  for (uint32_t i = 0; i < n; i++)
    assert_ptr_equal(cast_session_shift(&sess->base), &p[i]);
  /* Those beyond the limit are behind who waited before; and when one of
     these had its turn, others may come in front again. */
  assert_ptr_equal(cast_session_shift(&sess->base), &p[N]);
  cast_session_front(&sess->base, &p[0]);
  assert_ptr_equal(cast_session_shift(&sess->base), &p[0]);
  for (uint32_t i = 1; i < 4; i++)
    assert_ptr_equal(cast_session_shift(&sess->base), &p[N + i]);
  for (uint32_t i = n; i < N; i++)
    assert_ptr_equal(cast_session_shift(&sess->base), &p[i]);
  assert_null(sess->base.ready);
  /* As the only one, and the last. */
  cast_session_front(&sess->base, &p[1]);
  cast_session_ready(&sess->base, &p[2]);
  assert_ptr_equal(cast_session_shift(&sess->base), &p[1]);
  assert_ptr_equal(cast_session_shift(&sess->base), &p[2]);
  finish();
}

/* -- slices */

static bool yield_often(unit_task *t) {
  if (t->n-- == 0) return true;
  cast_task_yield(&t->base);
  return false;
}

static void slices_end_if_others_wait(void **state) {
  CAST_UNUSED(state);
  cast_job other;
  begin();
  unit_task *t = unit_task_new(&sess->base, yield_often, NULL);
  t->n = 3 * CAST_SLICE_TASKS;
  assert_int_equal(cast_task_start(&t->base, NULL), 0);
  atomic_store_explicit(&core.next, &other, memory_order_relaxed);
  assert_true(cast_sched_has_backlog(&worker));
  for (uint32_t i = 1; i <= 2; i++) {
    assert_int_equal(run(), CAST_RUN_AGAIN);
    /* The post takes its part of the second slice. */
    assert_int_equal(t->n, (3 - i) * CAST_SLICE_TASKS + i - 1);
    assert_true(push(i, NULL)); /* it is queued: no wake */
    assert_int_equal(wakes, 1);
  }
  atomic_store_explicit(&core.next, NULL, memory_order_relaxed);
  assert_false(cast_sched_has_backlog(&worker));
  assert_int_equal(run(), CAST_RUN_IDLE);
  assert_true(t->base.finished);
  cast_unref(&t->base.object);
  finish();
}

/* -- the alarm */

static bool wait_long(unit_task *t) {
  if (unit_over(t)) return true;
  return unit_sleep(t, t->n) != CAST_PARKED;
}

static void alarm_is_never_later(void **state) {
  CAST_UNUSED(state);
  static const uint64_t in[] = {500, 700, 300, 300, 900};
  uint64_t base = os_now() + PATIENCE_NS, least = FOREVER;
  unit_task *t[5];
  begin();
  for (size_t i = 0; i < 5; i++) {
    t[i] = unit_task_new(&sess->base, wait_long, NULL);
    t[i]->n = base + in[i] * MS;
    if (t[i]->n < least) least = t[i]->n;
    assert_int_equal(cast_task_start(&t[i]->base, NULL), 0);
    assert_int_equal(run(), CAST_RUN_IDLE);
    assert_true(cast_session_next(&sess->base) == least);
    assert_true(sess->base.alarm.deadline_ns == least);
  }
  push(0, close_empty);
  assert_int_equal(run(), CAST_RUN_GONE);
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(t[i]->result, CASTING_ECANCELLED);
    cast_unref(&t[i]->base.object);
  }
  cast_unref(&sess->base.object);
  assert_int_equal(unit_nfreed, 1);
  cast_timers_fini();
}

/* -- from one session to the next ----------------------------------------- */

static unit_task *listener;
static void (*afterwards)(void); /* what else who rings does */

static bool wakes_listener(unit_task *t) {
  if (unit_over(t)) return true;
  cast_task_wake(&listener->base, t->base.session);
  if (afterwards != NULL) afterwards();
  return true;
}

static void into_slot(cast_session *s, cast_session *self) {
  CAST_UNUSED(self);
  cast_sched_ready(&worker, &s->job);
}

static const cast_session_ops slot_ops = {
  .wake = into_slot,
  .resume = unit_resume,
  .close = unit_on_close,
  .free = unit_session_free,
};

/* Runs sess, where a task wakes one of `other`, which is made here and goes at
   the end. */
static cast_run_end ring(unit_session **other) {
  cast_runner *r = &worker.runner;
  unit_task *bell;
  cast_run_end end;
  sess->base.ops = &slot_ops;
  *other = unit_session_with(&slot_ops, false);
  listener = unit_spawn(*other, end_at_second, NULL);
  assert_ptr_equal(cast_core_pull(&core), &(*other)->base.job);
  assert_int_equal(cast_session_run(&(*other)->base, r).how, CAST_RUN_IDLE);
  bell = unit_spawn(sess, wakes_listener, NULL);
  assert_ptr_equal(cast_core_pull(&core), &sess->base.job);
  worker.tick = 1;
  end = cast_session_run(&sess->base, r);
  assert_ptr_equal(end.runner, &worker.runner);
  assert_null(r->session);
  assert_int_equal(bell->base.status, CAST_DONE);
  cast_unref(&bell->base.object);
  return end;
}

/* Whatever became of the other session: it is in the slot, or has run. */
static void end_ring(unit_session *other, bool ran) {
  cast_runner *r = &worker.runner;
  cast_job *job = cast_core_pull(&core);
  assert_ptr_equal(job, ran ? NULL : &other->base.job);
  assert_int_equal(listener->base.finished, ran);
  if (!ran)
    assert_int_equal(cast_session_run(&other->base, r).how, CAST_RUN_IDLE);
  assert_int_equal(listener->base.status, CAST_DONE);
  cast_unref(&listener->base.object);
  cast_unref(&other->base.object);
  assert_ptr_equal(cast_core_pull(&core), &other->base.job);
  assert_int_equal(cast_session_run(&other->base, r).how, CAST_RUN_GONE);
  afterwards = NULL;
}

static void goes_on_with_the_next(void **state) {
  CAST_UNUSED(state);
  unit_session *other;
  cast_run_end end;
  begin();
  end = ring(&other);
  assert_int_equal(end.how, CAST_RUN_IDLE);
  assert_ptr_equal(end.session, &other->base);
  assert_int_equal(worker.tick, 2); /* sysmon sees that it moves */
  assert_true(cast_session_is_idle(&sess->base));
  assert_true(cast_session_is_idle(end.session));
  end_ring(other, true);
  unit_write(&unit_nfreed, 0);
  sess->base.ops = &hand_ops;
  finish();
}

/* As sysmon does. */
static void take_from_slot(void) {
  assert_non_null(cast_core_pull(&core));
  atomic_store(&core.next, CAST_CORE_LOST);
}
static void close_first(void) { sess->base.close_wanted = true; }
static void more_to_do(void) { push(0, NULL); }
static void lower_limit(void) { core.streak = CAST_NEXT_STREAK; }

static void does_not_if_it_must_not(void **state) {
  CAST_UNUSED(state);
  static void (*const why[])(void) = {
    take_from_slot, close_first, more_to_do, lower_limit};
  for (size_t i = 0; i < sizeof why / sizeof *why; i++) {
    unit_session *other;
    cast_run_end end;
    cast_job filler = {NULL};
    bool gone = why[i] == close_first;
    begin();
    nseen = 0;
    afterwards = why[i];
    if (why[i] == lower_limit)
      assert_true(cast_runq_push(&core.queue, &filler));
    end = ring(&other);
    assert_int_equal(end.how, gone ? CAST_RUN_GONE : CAST_RUN_IDLE);
    assert_ptr_equal(end.session, &sess->base);
    assert_int_equal(nseen, why[i] == more_to_do);
    if (why[i] == take_from_slot) atomic_store(&core.next, &other->base.job);
    end_ring(other, false);
    if (why[i] == lower_limit)
      assert_ptr_equal(cast_runq_pop(&core.queue), &filler);
    unit_write(&unit_nfreed, 0);
    sess->base.ops = &hand_ops;
    if (gone) {
      cast_unref(&sess->base.object);
      cast_timers_fini();
    } else {
      finish();
    }
  }
}

static void no_memory_for_a_session(void **state) {
  CAST_UNUSED(state);
  enum { MANY = 40 };
  unit_session *s[MANY];
  uint32_t failures = 0;
  cast_timers_init();
  for (int i = 0; i < MANY; i++) {
    for (uint64_t n = 1;; n++) {
      cast_mem_fail_at(n);
      s[i] = unit_session_with(&hand_ops, true);
      if (s[i] != NULL) break;
      assert_true(cast_mem_has_failed());
      failures++;
    }
    cast_mem_fail_at(0);
  }
  assert_true(failures > MANY); /* its own memory, and the alarm's place */
  for (int i = 0; i < MANY; i++) {
    cast_session_end(&s[i]->base);
    cast_unref(&s[i]->base.object);
    cast_session_unref_weak(&s[i]->base);
  }
  cast_timers_fini();
}

/* -- pushed to by threads of others --------------------------------------- */

enum { PUSHERS = 3, TARGETS = 4 };

typedef struct parcel {
  cast_post post;
  uint32_t from;
  uint32_t number;
} parcel;

static struct {
  unit_session *target[TARGETS];
  uint32_t count;                  /* parcels of each pusher for each target */
  uint32_t next[TARGETS][PUSHERS]; /* by the target: the number expected */
  _Atomic uint32_t nserved;        /* (a) */
  _Atomic uint32_t nclosed;        /* (a) served by the closer */
  _Atomic uint32_t nrefused;       /* (a) */
} mail;

static void get_parcel(cast_session *s, cast_post *p, bool closed) {
  parcel *x = CAST_CONTAINER(p, parcel, post);
  uint32_t *next = unit_session_of(s)->arg;
  CAST_ALWAYS(next[x->from] == x->number);
  next[x->from]++;
  cast_free(x);
  unit_count(closed ? &mail.nclosed : &mail.nserved);
}

static void push_parcels(void *arg) {
  uint32_t me = (uint32_t)(uintptr_t)arg;
  bool refused[TARGETS] = {false};
  for (uint32_t i = 0; i < mail.count; i++)
    for (uint32_t k = 0; k < TARGETS; k++) {
      parcel *x = cast_alloc(sizeof *x);
      *x = (parcel){.post.run = get_parcel, .from = me, .number = i};
      bool taken = cast_session_push(&mail.target[k]->base, NULL, &x->post);
      CAST_ALWAYS(!taken || !refused[k]); /* closed is for ever */
      refused[k] = !taken;
      if (taken) continue;
      cast_free(x);
      unit_count(&mail.nrefused);
    }
}

static void post_all(unit_host *h, bool close_early) {
  os_thread thread[PUSHERS];
  memset(&mail, 0, sizeof mail);
  mail.count = unit_times(2000);
  for (uint32_t k = 0; k < TARGETS; k++) {
    mail.target[k] = unit_session_new();
    mail.target[k]->arg = mail.next[k];
  }
  for (uintptr_t i = 0; i < PUSHERS; i++)
    assert_int_equal(
      os_thread_start(&thread[i], push_parcels, (void *)i, "push"), 0);
  for (uint32_t k = 0; close_early && k < TARGETS; k++) {
    while (unit_read(&mail.nserved) < k * mail.count) os_cede();
    unit_ask_to_close(mail.target[k], &h->session.base);
  }
  for (int i = 0; i < PUSHERS; i++) os_thread_join(&thread[i]);
  for (uint32_t k = 0; k < TARGETS; k++) unit_close(h, mail.target[k]);
  assert_int_equal(mail.nserved + mail.nclosed + mail.nrefused,
    mail.count * PUSHERS * TARGETS);
}

static void every_post_once_in_order(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(3);
  for (int i = 0; i < 3; i++) {
    post_all(h, false);
    assert_int_equal(mail.nserved, mail.count * PUSHERS * TARGETS);
  }
  unit_shut(h);
}

static void closed_while_pushed_to(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(3);
  for (int i = 0; i < 10; i++) post_all(h, true);
  unit_shut(h);
}

/* A post and its answer, again and again: the session goes idle each time. */
static _Atomic uint32_t answered; /* (a) futex: what the asker sleeps on */

static void answer(cast_session *s, cast_post *p, bool closed) {
  CAST_UNUSED(s);
  CAST_UNUSED(p);
  CAST_ALWAYS(!closed);
  /* PAIR answer: the post is the asker's again. */
  atomic_fetch_add_explicit(&answered, 1, memory_order_release);
  os_wake(&answered, 1);
}

static void idle_against_push(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(2);
  unit_session *s = unit_session_new();
  cast_post p = {.run = answer};
  uint32_t n = unit_times(10000);
  unit_write(&answered, 0);
  for (uint32_t i = 0; i < n; i++) {
    assert_true(cast_session_push(&s->base, NULL, &p));
    uint64_t patience = os_now() + PATIENCE_NS;
    /* PAIR answer: acquire. */
    while (atomic_load_explicit(&answered, memory_order_acquire) == i) {
      assert_true(os_now() < patience);
      if (i % 2 == 0) (void)os_wait(&answered, i, patience);
    }
  }
  unit_close(h, s);
  unit_shut(h);
}

/* -- handles that come and go --------------------------------------------- */

static bool end_at_once(unit_task *t) {
  CAST_UNUSED(t);
  return true;
}

static void until_freed(uint32_t n) {
  uint64_t patience = os_now() + PATIENCE_NS;
  while (unit_read(&unit_nfreed) < n) {
    assert_true(os_now() < patience);
    os_cede();
  }
  assert_int_equal(unit_nfreed, n);
}

static void orphans_close_themselves(void **state) {
  CAST_UNUSED(state);
  unit_host *h = unit_open(3);
  uint32_t n = unit_times(2000);
  unit_write(&unit_nfreed, 0);
  for (uint32_t i = 0; i < n; i++) {
    unit_session *s = unit_session_new();
    if (i % 3 != 0) cast_unref(&unit_spawn(s, end_at_once, NULL)->base.object);
    cast_unref(&s->base.object);
  }
  until_freed(n);
  unit_shut(h);
}

/* A task sends handles of its own session away, which are dropped elsewhere:
   often there is none, for a moment. They travel with others whose end takes
   its time, so that a session can come back while its handle is going. */
static cast_chan *away;

static void end_slowly(cast_chan *c, cast_object **more) {
  for (int i = 0; i < 200; i++) os_relax();
  CAST_UNUSED(c);
  CAST_UNUSED(more);
}

static const cast_chan_kind slow_chan = {.freed = end_slowly};

static cast_object *companion(void) {
  cast_chan *c = cast_chan_new(1);
  CAST_ALWAYS(c != NULL);
  c->kind = &slow_chan;
  return &c->object;
}

static bool send_handles(unit_task *t) {
  while (t->n < (uintptr_t)t->arg) {
    int rc;
    if (unit_over(t)) {
      rc = t->result;
    } else {
      cast_msg *m = &t->base.waiter.msg;
      CAST_ALWAYS(cast_msg_init(m, 1, 3) == 0);
      cast_session_handle(t->base.session);
      cast_msg_items(m)[0] = companion();
      cast_msg_items(m)[1] = &t->base.session->object;
      cast_msg_items(m)[2] = companion();
      rc = unit_wait(t,
        cast_chan_send(away, t->base.session, &t->base, &t->base.waiter),
        FOREVER);
    }
    if (rc == CAST_PARKED) return false;
    CAST_ALWAYS(rc == 0);
    t->n++;
  }
  return true;
}

static bool drop_handles(unit_task *t) {
  for (;;) {
    int rc = unit_over(t) ? t->result : unit_receive(t, away, FOREVER);
    if (rc == CAST_PARKED) return false;
    if (rc == CASTING_ECLOSED) return true;
    CAST_ALWAYS(rc == 0);
    cast_msg_drop(&t->base.waiter.msg);
  }
}

static void handles_revive(void **state) {
  CAST_UNUSED(state);
  enum { SENDERS = 5, DROPPERS = 2 };
  unit_host *h = unit_open(3);
  unit_session *s[DROPPERS];
  unit_task *d[DROPPERS], *t[SENDERS];
  uintptr_t n = unit_times(5000);
  away = cast_chan_new(3);
  unit_write(&unit_nfreed, 0);
  for (int i = 0; i < DROPPERS; i++) {
    s[i] = unit_session_new();
    d[i] = unit_spawn(s[i], drop_handles, NULL);
  }
  for (int i = 0; i < SENDERS; i++) {
    unit_session *x = unit_session_new();
    t[i] = unit_spawn(x, send_handles, (void *)n);
    cast_unref(&x->base.object);
  }
  for (int i = 0; i < SENDERS; i++) unit_join(h, t[i]);
  cast_chan_close(away, &h->session.base);
  for (int i = 0; i < DROPPERS; i++) unit_join(h, d[i]);
  cast_unref(&away->object); /* with handles in it, perhaps */
  until_freed(SENDERS);
  for (int i = 0; i < DROPPERS; i++) unit_close(h, s[i]);
  unit_shut(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(starts_idle, unit_clean),
    cmocka_unit_test_teardown(one_wake_for_many_posts, unit_clean),
    cmocka_unit_test_teardown(released_or_woken, unit_clean),
    cmocka_unit_test_teardown(reclaimed_or_not, unit_clean),
    cmocka_unit_test_teardown(closes_when_asked, unit_clean),
    cmocka_unit_test_teardown(posts_of_the_last_moment, unit_clean),
    cmocka_unit_test_teardown(orphan_waits_for_its_tasks, unit_clean),
    cmocka_unit_test_teardown(handles_come_back, unit_clean),
    cmocka_unit_test_teardown(front_before_the_rest, unit_clean),
    cmocka_unit_test_teardown(slices_end_if_others_wait, unit_clean),
    cmocka_unit_test_teardown(alarm_is_never_later, unit_clean),
    cmocka_unit_test_teardown(goes_on_with_the_next, unit_clean),
    cmocka_unit_test_teardown(does_not_if_it_must_not, unit_clean),
    cmocka_unit_test_teardown(no_memory_for_a_session, unit_clean),
    cmocka_unit_test_teardown(every_post_once_in_order, unit_clean),
    cmocka_unit_test_teardown(closed_while_pushed_to, unit_clean),
    cmocka_unit_test_teardown(idle_against_push, unit_clean),
    cmocka_unit_test_teardown(orphans_close_themselves, unit_clean),
    cmocka_unit_test_teardown(handles_revive, unit_clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
