/* subprocess.c - programs that tasks start, and wait for.
   SPDX-License-Identifier: MIT

   See subprocess.h. */
#include "subprocess.h"

#include "../../include/casting.h"
#include "../errand.h"
#include "../fork.h"
#include "../limits.h"
#include "../mem.h"
#include "../offload.h"
#include "../os/socket.h"
#include "../types.h"

static struct {
  cast_lock lock;
  bool ready;        /* (lock) the lists are initialised */
  uint32_t count;    /* (lock) how many run */
  cast_list list;    /* (lock) a reference each */
  cast_list orphans; /* (lock) likewise: invariant 5 */
} running = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

/* -- its life ------------------------------------------------------------- */

static void list_running(cast_process *p) {
  cast_ref(&p->object);
  cast_lock_take(&running.lock);
  if (!running.ready) {
    cast_list_init(&running.list);
    cast_list_init(&running.orphans);
  }
  running.ready = true;
  running.count++;
  cast_list_push(&running.list, &p->link);
  cast_lock_drop(&running.lock);
}

static void unlist(cast_process *p) {
  bool listed;
  cast_lock_take(&running.lock);
  listed = !cast_list_is_empty(&p->link);
  cast_list_remove(&p->link);
  if (listed) running.count--;
  cast_lock_drop(&running.lock);
  if (listed) cast_unref(&p->object);
}

/* Takes the first of a list, and its reference; NULL: there is none. */
static cast_process *shift(cast_list *list) {
  cast_list *l = NULL;
  cast_lock_take(&running.lock);
  if (running.ready) l = cast_list_shift(list);
  cast_lock_drop(&running.lock);
  return l != NULL ? CAST_CONTAINER(l, cast_process, link) : NULL;
}

/* Nothing of the runtime is left in p; it has its reference. */
static void put_orphan(cast_process *p) {
  cast_lock_take(&running.lock);
  cast_list_push(&running.orphans, &p->link);
  cast_lock_drop(&running.lock);
}

/* Reaps some of the orphans that have ended. Each is looked at in its turn. */
static void reap_orphans(uint32_t n) {
  cast_process *p;
  for (; n > 0 && (p = shift(&running.orphans)) != NULL; n--) {
    os_ending e;
    if (os_child_ended(&p->child, true, &e))
      cast_unref(&p->object);
    else
      put_orphan(p);
  }
}

static void release(cast_process *p) {
  if (p->file != NULL) {
    cast_descriptor_close(p->file, NULL); /* the watch is told no more */
    cast_unref(&p->file->object);
  }
  if (p->vigil != NULL) cast_unref(p->vigil);
  p->file = NULL;
  p->vigil = NULL;
}

/* No thread looks any more, and no session is there to wait. */
void cast_processes_fini(void) {
  cast_process *p;
  while ((p = shift(&running.list)) != NULL) {
    cast_lock_take(&running.lock);
    running.count--;
    cast_lock_drop(&running.lock);
    if (cast_process_look(p, NULL)) {
      cast_unref(&p->object);
    } else {
      release(p);
      put_orphan(p);
    }
  }
  reap_orphans(CAST_ORPHANS_SEEN);
}

static void free_process(cast_object *o) {
  cast_process *p = CAST_CONTAINER(o, cast_process, object);
  if (p->bound) cast_timer_remove(&p->timer);
  release(p);
  cast_process_told(p);
  cast_free(p);
}

const cast_type cast_process_type = {"process", free_process, NULL};

static void tell(cast_watch *w, cast_session *self) {
  (void)cast_process_look(CAST_CONTAINER(w, cast_process, watch), self);
}

/* Under the timers' lock. */
static bool is_over(cast_timer *t) {
  cast_process *p = CAST_CONTAINER(t, cast_process, timer);
  if (!cast_ref_if_alive(&p->object)) return false;
  cast_timer_again(t, OS_FOREVER); /* keeps its place */
  return true;
}

static void kill_after(cast_timer *t) {
  cast_process *p = CAST_CONTAINER(t, cast_process, timer);
  (void)cast_process_kill(p, os_signal_number("KILL"));
  cast_unref_aside(&p->object);
}

cast_process *cast_process_new(uint64_t session) {
  cast_process *p = cast_calloc(sizeof *p);
  if (p == NULL) return NULL;
  cast_object_init(&p->object, &cast_process_type);
  cast_lock_init(&p->lock, CAST_RANK_LEAF);
  cast_list_init(&p->link);
  p->watch = (cast_watch){&p->object, tell};
  p->timer.lane = cast_timer_lane(session);
  p->timer.fire = is_over;
  p->timer.after = kill_after;
  p->timer.passive = true; /* its end is told by its descriptor */
  return p;
}

/* -- systems without descriptors of processes ----------------------------- */

/* A helper blocks until the child has ended. Then the pipe's other end is
   closed, and so the end to read becomes readable. */
typedef struct vigil {
  cast_call call;
  os_child child;
  int pipe; /* the end to write */
} vigil;

/* (a) Vigils that are there, or promised to a process that is just being
   started. Relaxed: it is only counted. */
static _Atomic uint32_t nvigils;
/* (a) A process had no descriptor. Relaxed: a hint. */
static _Atomic bool lacks_descriptors;

static bool promise_vigil(void) {
  if (atomic_fetch_add_explicit(&nvigils, 1, memory_order_relaxed) <
      CAST_VIGILS)
    return true;
  atomic_fetch_sub_explicit(&nvigils, 1, memory_order_relaxed);
  return false;
}

static void forget_vigil(void) {
  atomic_fetch_sub_explicit(&nvigils, 1, memory_order_relaxed);
}

static void end_vigil(vigil *v) {
  if (v->pipe < 0) return;
  os_close(v->pipe);
  v->pipe = -1;
  forget_vigil();
}

static void keep_vigil(cast_call *c) {
  vigil *v = CAST_CONTAINER(c, vigil, call);
  os_child_await(&v->child);
  end_vigil(v);
}

static void free_vigil(cast_call *c) {
  vigil *v = CAST_CONTAINER(c, vigil, call);
  end_vigil(v);
  cast_free(v);
}

static const cast_call_kind vigil_kind = {
  .run = keep_vigil, .free = free_vigil};

static cast_offload vigils =
  CAST_OFFLOAD_STATIC(vigils, CAST_VIGILS, "casting/vigil");

/* A descriptor that becomes readable at the end of p's child, or a result. It
   was promised. */
static int begin_vigil(cast_process *p) {
  vigil *v = cast_calloc(sizeof *v);
  int ends[2], rc = CASTING_ENOMEM;
  if (v != NULL) rc = os_child_pipe(ends, true, true);
  if (rc != 0) {
    forget_vigil();
    cast_free(v);
    return rc;
  }
  cast_call_init(&v->call, &vigil_kind);
  v->child = p->child;
  v->pipe = ends[1];
  p->vigil = &v->call.object; /* without it the call would not be made */
  cast_offload_send(&vigils, &v->call);
  if (!cast_event_is_set(&v->call.done) || v->call.result == 0) return ends[0];
  os_close(ends[0]);
  return CASTING_ENOMEM;
}

/* -- starting ------------------------------------------------------------- */

/* It cannot be waited for: it must not go on. Another thread may see its end
   first, if it is listed. */
static int give_up(cast_process *p, int rc) {
  (void)cast_process_kill(p, os_signal_number("KILL"));
  os_child_await(&p->child);
  cast_lock_take(&p->lock);
  if (!p->reaped) (void)os_child_ended(&p->child, true, &p->ending);
  p->ended = p->reaped = true;
  cast_lock_drop(&p->lock);
  return rc;
}

/* What p is waited for with. 0, or a result. */
static int make_file(cast_process *p) {
  int fd = p->child.fd;
  if (fd < 0) {
    atomic_store_explicit(&lacks_descriptors, true, memory_order_relaxed);
    if (!promise_vigil()) return os_child_too_many();
    fd = begin_vigil(p);
  }
  if (fd < 0) return fd;
  p->file = cast_descriptor_new(fd, 0);
  if (p->file != NULL) return 0;
  os_close(fd);
  return CASTING_ENOMEM;
}

/* The first of those that run, which becomes the last, with a reference; NULL:
   there is none. */
static cast_process *rotate(void) {
  cast_process *p = NULL;
  cast_list *l;
  cast_lock_take(&running.lock);
  l = running.ready ? cast_list_shift(&running.list) : NULL;
  if (l != NULL) {
    cast_list_push(&running.list, l);
    p = CAST_CONTAINER(l, cast_process, link);
    cast_ref(&p->object);
  }
  cast_lock_drop(&running.lock);
  return p;
}

static void reap_running(uint32_t n) {
  cast_process *p;
  for (; n > 0 && (p = rotate()) != NULL; n--) {
    (void)cast_process_look(p, NULL);
    cast_unref(&p->object);
  }
}

void cast_processes_reap(void) {
  uint32_t n;
  cast_lock_take(&running.lock);
  n = running.count;
  cast_lock_drop(&running.lock);
  reap_running(n);
}

void cast_processes_end(void) {
  cast_process *p;
  uint32_t n;
  cast_lock_take(&running.lock);
  n = running.count;
  cast_lock_drop(&running.lock);
  for (; n > 0 && (p = rotate()) != NULL; n--) {
    if (p->bound) (void)cast_process_kill(p, os_signal_number("KILL"));
    cast_unref(&p->object);
  }
}

int cast_process_start(
  cast_process *p, const os_program *program, bool pooled) {
  bool many =
    atomic_load_explicit(&nvigils, memory_order_relaxed) >= CAST_VIGILS;
  int rc;
  if ((rc = cast_poller_make()) != 0) return rc;
  reap_orphans(CAST_ORPHANS_SEEN);
  reap_running(CAST_ORPHANS_SEEN);
  if (many && atomic_load_explicit(&lacks_descriptors, memory_order_relaxed))
    return os_child_too_many();
  p->group = program->group;
  if (p->bound && cast_timer_set(&p->timer, OS_FOREVER) != 0)
    return CASTING_ENOMEM;
  rc = os_child_start(program, &p->child);
  if (os_is_shortage(rc)) {
    cast_processes_reap();
    rc = os_child_start(program, &p->child);
  }
  if (rc != 0) return rc;
  rc = make_file(p);
  if (rc != 0) return give_up(p, rc);
  list_running(p);
  rc = cast_descriptor_watch(p->file, &p->watch, pooled);
  if (rc == 0) return 0;
  /* Others look at those that are listed: it may have ended, and been told. */
  if (rc == CASTING_ECLOSED && cast_process_look(p, NULL)) return 0;
  rc = give_up(p, rc);
  unlist(p);
  return rc;
}

/* -- its end -------------------------------------------------------------- */

bool cast_process_look(cast_process *p, cast_session *self) {
  bool ended, first = false;
  cast_lock_take(&p->lock);
  if (!p->ended && !CAST_UNLIKELY(cast_forked)) {
    first = os_child_ended(&p->child, !p->group, &p->ending);
    p->ended = first;
    p->reaped = first && (!p->group || !p->ending.known);
  }
  ended = p->ended;
  cast_lock_drop(&p->lock);
  if (first) {
    cast_descriptor_close(p->file, self);
    unlist(p);
  }
  return ended;
}

int cast_process_wait(cast_process *p, cast_task *t) {
  int rc;
  do {
    cast_descriptor_try(p->file, CAST_READ);
    if (cast_process_look(p, t->session)) return 0;
    rc = cast_descriptor_wait(p->file, CAST_READ, t);
  } while (rc == 0);
  return rc == CASTING_ECLOSED && cast_process_look(p, t->session) ? 0 : rc;
}

void cast_process_told(cast_process *p) {
  os_ending e;
  cast_lock_take(&p->lock);
  if (p->ended && !p->reaped && !CAST_UNLIKELY(cast_forked)) {
    (void)os_child_ended(&p->child, true, &e);
    p->reaped = true;
  }
  cast_lock_drop(&p->lock);
}

int cast_process_kill(cast_process *p, int number) {
  int rc = CASTING_ECLOSED;
  cast_lock_take(&p->lock);
  if (!p->reaped && (p->group || !p->ended) && p->child.process != 0)
    rc = os_child_kill(&p->child, number, p->group);
  cast_lock_drop(&p->lock);
  return rc;
}

int cast_process_stop(cast_process *p, uint64_t grace_ns) {
  uint64_t now = os_now();
  int rc = cast_process_kill(p, os_signal_number("TERM"));
  /* One that is stopped gets TERM when it goes on. */
  (void)cast_process_kill(p, os_signal_number("CONT"));
  if (grace_ns < OS_FOREVER - now)
    (void)cast_timer_set_sooner(&p->timer, now + grace_ns);
  return rc;
}

void cast_process_describe(cast_buffer *b, const cast_process *p) {
  cast_buffer_form(
    b, "process %lld (%s)", (long long)p->child.process, p->command);
}
