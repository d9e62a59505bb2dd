/* lib_report.c - task dumps: casting.report, and deadlocks.
   SPDX-License-Identifier: MIT

   A task dump tells of every task of a program: what it waits for, since when,
   and its stack. It has one part for each session. Only the owner of a session
   can look at its tasks, so each session is sent a post, and writes its part
   when it comes to that. Who has asked waits until the last part is there, but
   no longer than CAST_REPORT_NS; a session whose part is missing then is said
   to be busy.

   Three ask for one: casting.report; the user, by a signal, and then no task
   waits, but a timer and an errand see to it that what has come is printed
   (unattended); and the main program when it finds that it waits for ever.

   Owner: the dump is a counted object. A part belongs to the session that
   writes it, until it has released `text`; then to who puts the parts together.
   Locks: a session's, while its tasks are counted and listed. */
#include "lib_report.h"

#include "../../base.h"
#include "../../buffer.h"
#include "../../deadlock.h"
#include "../../errand.h"
#include "../../event.h"
#include "../../limits.h"
#include "../../list.h"
#include "../../lock.h"
#include "../../log.h"
#include "../../mem.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../session.h"
#include "../../sysmon.h"
#include "../../timer.h"
#include "../../types.h"
#include "../../wait.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/stack.h"
#include "../session/family.h"
#include "../state/argument.h"
#include "../state/cleanup.h"
#include "../state/ltask.h"
#include "../state/sandbox.h"
#include "../state/state.h"
#include "../task/await.h"
#include "../task/enter.h"

#include <stdlib.h>

#define TITLE "deadlock: all tasks are waiting"

typedef struct dump dump;

/* What one session tells. */
typedef struct part {
  cast_post post;       /* asks for it */
  dump *whole;          /* (i) the dump; a strong reference while posted */
  cast_state *S;        /* (i) the session; a weak reference */
  cast_task **tasks;    /* the session's: the tasks that it describes, */
  uint32_t n;           /* how many these are, */
  uint32_t more;        /* and how many others it has; released with `text` */
  bool dead;            /* (i) its main program waits for ever */
  _Atomic(char *) text; /* (a) what it tells; NULL: nothing has come */
} part;

struct dump {
  cast_object object; /* strong references: who asks, posts under way, timer */
  cast_event done;    /* set when all parts have come */
  _Atomic uint32_t left; /* (a) parts to come; one more until all were sent */
  uint32_t limit;        /* (i) tasks and sessions that are listed at most */
  _Atomic uint32_t room; /* (a) tasks that may still be described */
  cast_timer timer;      /* unattended: when it is printed at the latest */
  bool unattended;       /* (i) it is unattended */
  _Atomic bool printed;  /* (a) somebody has sent the errand, or will */
  cast_errand errand;    /* unattended: prints it */
  uint64_t since_ns;     /* the errand's: when it was sent */
  cast_buffer whole;     /* all parts together; of who tells them */
  uint32_t nparts;       /* (i) */
  part parts[];
};

static void dump_free(cast_object *o) {
  dump *v = CAST_CONTAINER(o, dump, object);
  for (uint32_t i = 0; i < v->nparts; i++) {
    cast_free(atomic_load_explicit(&v->parts[i].text, memory_order_relaxed));
    cast_session_unref_weak(&v->parts[i].S->session);
  }
  cast_buffer_fini(&v->whole);
  cast_free(v);
}

static const cast_type dump_type = {"report", dump_free, NULL};

/* -- one task ------------------------------------------------------------- */

/* Nothing here makes a Lua value. That could run a finalizer, which may wait,
   and meanwhile the tasks that are being described would go on, and be
   freed. */

/* What the task waits for. */
static void add_wait(cast_buffer *b, const cast_ltask *t) {
  if (t->kind == NULL)
    cast_buffer_add(b, "waiting");
  else if (t->kind->describe != NULL)
    t->kind->describe(b, t);
  else
    cast_buffer_add(b, t->kind->what);
}

/* For how long: by the coarse clock, which a wait reads at no cost. */
static void add_since(cast_buffer *b, const cast_task *base) {
  uint32_t units = cast_clock() - base->waiter.since;
  double seconds = (double)((uint64_t)units << CAST_CLOCK_SHIFT) / 1e9;
  cast_buffer_form(b, " for %.*f s", seconds < 100, seconds);
}

/* The stack of the task's latest wait, then that of the task's own coroutine,
   if the task has waited in another one. */
static void add_stack(
  cast_buffer *b, lua_State *L, cast_state *S, cast_ltask *t, bool waits) {
  lua_State *outer = t == S->main ? S->L : t->co;
  lua_State *at = waits && t->at != NULL ? t->at : outer;
  if (at == NULL || cast_ltask_is_new(t)) return;
  cast_buffer_add(b, "\n");
  /* If it is the coroutine that calls us, without the call of
     casting.report. */
  cast_stack_write(b, L, at, at == L ? 1 : 0);
  if (outer == NULL || outer == at) return;
  cast_buffer_add(b, "\nresumed from, ");
  cast_stack_write(b, L, outer, 0);
}

/* What a line says of a session with a thread of its own. */
static const char *of_thread(const cast_state *S) {
  return S->session.keeper != NULL ? " (thread of its own)" : "";
}

/* All about one task. `dead`: a main program whose wait has ended because it
   would never end; so it is described as one that waits. */
static void add_task(
  cast_buffer *b, lua_State *L, cast_state *S, cast_ltask *t, bool dead) {
  /* Relaxed: it is this session's own. */
  uint8_t status = atomic_load_explicit(&t->base.status, memory_order_relaxed);
  bool waits =
    dead || (status == CAST_WAITING && cast_wait_is_armed(&t->base.wait));
  if (S->main != NULL && t == S->main)
    cast_buffer_add(b, "\nmain program: ");
  else
    cast_buffer_form(b, "\ntask %d of session '%.100s'%s: ", (int)t->base.id,
      S->name, of_thread(S));
  if (waits) {
    add_wait(b, t);
    add_since(b, &t->base);
    if (t->base.wait.deadline.index != 0 &&
        (t->kind == NULL || !t->kind->sleeps))
      cast_buffer_add(b, ", with a timeout");
  } else {
    cast_buffer_add(b, cast_ltask_is_new(t)     ? "not begun yet"
                       : status == CAST_RUNNING ? "running"
                                                : "ready to run");
  }
  add_stack(b, L, S, t, waits);
  cast_buffer_add(b, "\n");
}

/* -- one session ---------------------------------------------------------- */

/* Chooses the tasks of p, as many as the dump has room for. The list can be
   used after the lock was dropped: only the session's owner, who runs this,
   removes tasks from it, and none runs meanwhile. */
static void choose(part *p) {
  cast_session *s = &p->S->session;
  uint32_t room = atomic_load_explicit(&p->whole->room, memory_order_relaxed);
  uint32_t n;
  cast_lock_take(&s->lock);
  n = s->ntasks;
  cast_lock_drop(&s->lock);
  do {
    p->n = n < room ? n : room;
    /* Relaxed: it counts, and orders nothing. */
  } while (!atomic_compare_exchange_weak_explicit(&p->whole->room, &room,
    room - p->n, memory_order_relaxed, memory_order_relaxed));
  p->tasks = p->n == 0 ? NULL : cast_alloc(p->n * sizeof(cast_task *));
  if (p->tasks == NULL) p->n = 0;
  p->more = n - p->n;
  n = 0;
  cast_lock_take(&s->lock);
  for (cast_list *l = s->tasks.next; n < p->n; l = l->next)
    p->tasks[n++] = CAST_CONTAINER(l, cast_task, link);
  cast_lock_drop(&s->lock);
}

/* Writes the part; the owner of its session does. The names of functions are
   looked up in the Lua state of L. */
static void fill(part *p, lua_State *L) {
  cast_state *S = p->S;
  cast_buffer b = {NULL, 0, 0, false};
  choose(p);
  if (S->main != NULL) add_task(&b, L, S, S->main, p->dead);
  for (uint32_t i = 0; i < p->n; i++)
    add_task(&b, L, S, cast_ltask_of(p->tasks[i]), false);
  cast_free(p->tasks);
  if (b.size == 0 && !b.lacking) cast_buffer_add(&b, "");
  /* PAIR dump: release the text. */
  atomic_store_explicit(&p->text, cast_buffer_take(&b), memory_order_release);
}

/* The plural's "s". */
static const char *plural(uint64_t n) { return n == 1 ? "" : "s"; }

/* Puts together what has come. Each session of which not all was told gets a
   line; of `limit` sessions at most, and the others are only counted. */
static void write_all(dump *v) {
  cast_buffer *b = &v->whole;
  uint32_t lines = 0, sessions = 0, busy = 0;
  uint64_t tasks = 0;
  for (uint32_t i = 0; i < v->nparts; i++) {
    part *p = &v->parts[i];
    /* PAIR dump: acquire. */
    const char *text = atomic_load_explicit(&p->text, memory_order_acquire);
    if (text != NULL) cast_buffer_add(b, text);
    if (text != NULL && p->more == 0) continue;
    if (p->S->host == NULL && lines++ >= v->limit) {
      if (text == NULL) {
        busy++;
      } else {
        sessions++;
        tasks += p->more;
      }
    } else if (text != NULL) {
      cast_buffer_form(b, "\nsession '%.100s'%s: %u more task%s\n", p->S->name,
        of_thread(p->S), (unsigned)p->more, plural(p->more));
    } else {
      cast_buffer_form(b,
        p->S->host != NULL ? "\nsession '%.100s'%s: the main program runs\n"
                           : "\nsession '%.100s'%s: busy, or closed\n",
        p->S->name, of_thread(p->S));
    }
  }
  if (sessions > 0)
    cast_buffer_form(b, "\n%u more session%s with %llu task%s\n",
      (unsigned)sessions, plural(sessions), (unsigned long long)tasks,
      plural(tasks));
  if (busy > 0)
    cast_buffer_form(
      b, "\n%u more session%s, busy or closed\n", (unsigned)busy, plural(busy));
}

/* True for the first who wants to print an unattended dump: the timer, or who
   has brought the last part. Relaxed: the texts are ordered by their own
   pair. */
static bool claim_print(dump *v) {
  return !atomic_exchange_explicit(&v->printed, true, memory_order_relaxed);
}

/* The errand's thread: it may block while it writes. */
static void on_print(cast_errand *e) {
  dump *v = CAST_CONTAINER(e, dump, errand);
  write_all(v);
  if (v->whole.size > 0) cast_log(v->whole.text, v->whole.size, v->since_ns);
  cast_unref(&v->object);
}

/* Has it printed. The errand takes over a strong reference. */
static void print_dump(dump *v) {
  v->since_ns = os_now();
  cast_errand_send(&v->errand, on_print);
}

/* timer.fire, under the timers' lock. */
static bool on_timer(cast_timer *t) {
  return claim_print(CAST_CONTAINER(t, dump, timer));
}

/* timer.after: the timer's reference goes to the errand. */
static void after_timer(cast_timer *t) {
  print_dump(CAST_CONTAINER(t, dump, timer));
}

/* A part has come, or it will never come, as its session has closed. */
static void finish_part(dump *v, cast_session *self) {
  /* PAIR dump. */
  if (atomic_fetch_sub_explicit(&v->left, 1, memory_order_acq_rel) != 1) return;
  cast_event_set(&v->done, self);
  if (!v->unattended || !claim_print(v)) return;
  cast_timer_remove(&v->timer);
  print_dump(v);
}

/* A session's owner has come to the post. */
static void on_post(cast_session *s, cast_post *post, bool closed) {
  part *p = CAST_CONTAINER(post, part, post);
  dump *v = p->whole;
  if (!closed) fill(p, p->S->work);
  finish_part(v, s);
  cast_unref(&v->object);
}

/* -- all of them ---------------------------------------------------------- */

/* Sends the session of p its post. */
static void send(part *p, cast_session *self) {
  dump *v = p->whole;
  bool sent;
  /* Relaxed: this call's own count keeps it above zero. */
  atomic_fetch_add_explicit(&v->left, 1, memory_order_relaxed);
  cast_ref(&v->object);
  sent = cast_session_push(&p->S->session, self, &p->post);
  if (!sent) on_post(&p->S->session, &p->post, true);
}

/* Gives up the sessions among the n in `all` on which code in `by` may not act;
   returns how many are left. */
static uint32_t keep_own(const cast_state *by, cast_state **all, uint32_t n) {
  uint32_t left = 0;
  if (by == NULL || by->sandbox == NULL) return n;
  for (uint32_t i = 0; i < n; i++) {
    if (cast_sandbox_may(by, all[i]))
      all[left++] = all[i];
    else
      cast_session_unref_weak(&all[i]->session);
  }
  return left;
}

/* A dump of the root and its sessions, for code in `by` (NULL: the user), with
   a strong reference for the caller. While it is made, more sessions may come:
   it is made again, larger, until there was room for all. NULL: out of
   memory. */
static dump *make(cast_state *root, const cast_state *by, uint32_t limit) {
  for (uint32_t room = 16;; room *= 2) {
    dump *v = cast_calloc(sizeof *v + room * sizeof(part));
    cast_state **all = cast_alloc(room * sizeof *all);
    uint32_t n;
    if (v == NULL || all == NULL) {
      cast_free(v);
      cast_free(all);
      return NULL;
    }
    n = cast_state_family(root, all, room);
    v->nparts = keep_own(by, all, n);
    for (uint32_t i = 0; i < v->nparts; i++) v->parts[i].S = all[i];
    cast_free(all);
    cast_object_init(&v->object, &dump_type);
    if (n < room) {
      cast_event_init(&v->done);
      atomic_init(&v->left, 1);
      v->limit = limit;
      atomic_init(&v->room, limit);
      return v;
    }
    cast_unref(&v->object);
  }
}

/* Asks all sessions for their parts. The caller's own, S, is written at once;
   NULL if the caller runs no session. */
static void ask_all(dump *v, lua_State *L, cast_state *S, bool dead) {
  cast_session *self = S != NULL ? &S->session : NULL;
  for (uint32_t i = 0; i < v->nparts; i++) {
    part *p = &v->parts[i];
    p->whole = v;
    p->post.run = on_post;
    p->dead = dead && p->S == S;
    if (p->S == S)
      fill(p, L);
    else
      send(p, self);
  }
  finish_part(v, self);
}

/* Begins a dump that is asked for by L, in session S. NULL: out of memory. */
static dump *begin(lua_State *L, cast_state *S, uint32_t limit, bool dead) {
  dump *v = make(S->root, S, limit);
  if (v != NULL) ask_all(v, L, S, dead);
  return v;
}

/* Pushes what has come so far. */
static void push_all(lua_State *L, dump *v) {
  write_all(v);
  if (v->whole.lacking) cast_raise_memory(L);
  lua_pushlstring(L, v->whole.text, v->whole.size);
}

/* -- when the user asks --------------------------------------------------- */

/* Begins an unattended dump. Its timer has a strong reference, which on_timer
   or the last part passes on to the errand. */
static void dump_unattended(cast_state *root) {
  dump *v = make(root, NULL, CAST_REPORT_TASKS);
  if (v == NULL) return;
  v->unattended = true;
  v->timer.lane = cast_timer_lane(root->session.id);
  v->timer.fire = on_timer;
  v->timer.after = after_timer;
  /* If there is no memory for the timer, the last part prints the dump. */
  cast_ref(&v->object);
  (void)cast_timer_set(&v->timer, os_now() + CAST_REPORT_NS);
  ask_all(v, NULL, NULL, false);
  cast_unref(&v->object);
}

/* Begins dumps: sysmon, which sees the signal, must not do that itself, as it
   takes locks and memory. */
static cast_errand answering;

static _Atomic bool answers; /* (a) that errand is on its way */

/* Begins a dump of each host. */
static void on_answer(cast_errand *e) {
  cast_session *all[16];
  uint32_t n;
  CAST_UNUSED(e);
  /* Relaxed: the errands' lock orders this with the next signal's errand. */
  atomic_store_explicit(&answers, false, memory_order_relaxed);
  n = cast_sleeper_sessions(all, 16);
  for (uint32_t i = 0; i < n; i++) {
    dump_unattended(cast_state_of(all[i]));
    cast_session_unref_weak(all[i]);
  }
}

/* Called by sysmon after each SIGQUIT. */
static void answer(void) {
  if (!atomic_exchange_explicit(&answers, true, memory_order_relaxed))
    cast_errand_send(&answering, on_answer);
}

void cast_report_when_asked(void) {
  const char *wish = getenv("CASTING_REPORT_ON_QUIT");
  if (wish != NULL && *wish != '\0') cast_sysmon_answer(answer);
}

/* -- casting.report ------------------------------------------------------- */

/* The dump has come, or the time is over: pushes what there is. */
static int finish_report(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  const char *text;
  size_t size;
  CAST_UNUSED(S);
  CAST_UNUSED(result); /* after a timeout some parts are missing */
  push_all(L, t->arg);
  text = lua_tolstring(L, -1, &size);
  if (size > 0) lua_pushlstring(L, text + 1, size - 1); /* a line end */
  return 1;
}

static const cast_wait_kind report_kind = {
  .finish = finish_report, .what = "waiting for a report"};

/* casting.report([limit]) */
int cast_lib_report(lua_State *L) {
  cast_state *S = cast_state_here(L);
  lua_Number limit = CAST_REPORT_TASKS;
  uint64_t deadline = os_now() + CAST_REPORT_NS;
  cast_object **box;
  cast_ltask *t;
  dump *v;
  if (!lua_isnoneornil(L, 1)) limit = cast_arg_count(L, 1, "limit", 9e15);
  if (limit > INT32_MAX) limit = INT32_MAX;
  box = cast_box_push(L, S);
  t = cast_enter(L, S, deadline);
  v = begin(L, S, (uint32_t)limit, false);
  if (v == NULL) cast_raise_memory(L);
  *box = &v->object;
  t->arg = v;
  return cast_await_event(L, S, t, &v->done, deadline, &report_kind);
}

/* -- deadlocks ------------------------------------------------------------ */

void cast_deadlock_begin_report(lua_State *L, cast_state *S) {
  dump *v = begin(L, S, CAST_REPORT_TASKS, true);
  if (S->host->deadlock_report != NULL) cast_unref(S->host->deadlock_report);
  S->host->deadlock_report = v != NULL ? &v->object : NULL;
}

/* The dump has come: raises the deadlock. */
static int finish_deadlock(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  dump *v = t->arg;
  CAST_UNUSED(S);
  CAST_UNUSED(result);
  cast_lua_where(L);
  lua_pushliteral(L, TITLE "\n");
  push_all(L, v);
  lua_concat(L, 3);
  return lua_error(L);
}

static const cast_wait_kind deadlock_kind = {
  .finish = finish_deadlock, .what = "waiting for a report"};

/* To wait here is no new deadlock: the wait has a deadline, and the dump's
   posts wake its sessions. */
int cast_deadlock_raise(lua_State *L, cast_state *S) {
  uint64_t deadline = os_now() + CAST_REPORT_NS;
  cast_object **box = cast_box_push(L, S);
  cast_ltask *t = cast_enter(L, S, deadline);
  dump *v;
  if (S->host->deadlock_report == NULL) return cast_lua_error(L, TITLE);
  *box = S->host->deadlock_report;
  S->host->deadlock_report = NULL;
  v = CAST_CONTAINER(*box, dump, object);
  t->arg = v;
  return cast_await_event(L, S, t, &v->done, deadline, &deadlock_kind);
}
