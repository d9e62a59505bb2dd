/* subprocess.c - programs that tasks start, and wait for.
   SPDX-License-Identifier: MIT

   See subprocess.h. */
#include "subprocess.h"

#include "../../include/casting.h"
#include "../fork.h"
#include "../limits.h"
#include "../mem.h"
#include "../offload.h"
#include "../types.h"

static struct {
  cast_lock lock;
  bool ready;     /* (lock) the list is initialised */
  cast_list list; /* (lock) a reference each */
} running = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

/* -- its life ------------------------------------------------------------- */

static void list_running(cast_process *p) {
  cast_ref(&p->object);
  cast_lock_take(&running.lock);
  if (!running.ready) cast_list_init(&running.list);
  running.ready = true;
  cast_list_push(&running.list, &p->link);
  cast_lock_drop(&running.lock);
}

static void unlist(cast_process *p) {
  bool listed;
  cast_lock_take(&running.lock);
  listed = !cast_list_is_empty(&p->link);
  cast_list_remove(&p->link);
  cast_lock_drop(&running.lock);
  if (listed) cast_unref(&p->object);
}

void cast_processes_fini(void) {
  for (;;) {
    cast_list *l = NULL;
    cast_lock_take(&running.lock);
    if (running.ready) l = cast_list_shift(&running.list);
    cast_lock_drop(&running.lock);
    if (l == NULL) return;
    cast_unref(&CAST_CONTAINER(l, cast_process, link)->object);
  }
}

static void free_process(cast_object *o) {
  cast_process *p = CAST_CONTAINER(o, cast_process, object);
  if (p->file != NULL) {
    cast_descriptor_close(p->file, NULL); /* the watch is told no more */
    cast_unref(&p->file->object);
  }
  if (p->vigil != NULL) cast_unref(p->vigil);
  cast_process_told(p);
  cast_free(p);
}

const cast_type cast_process_type = {"process", free_process, NULL};

static void tell(cast_watch *w, cast_session *self) {
  (void)cast_process_look(CAST_CONTAINER(w, cast_process, watch), self);
}

cast_process *cast_process_new(void) {
  cast_process *p = cast_calloc(sizeof *p);
  if (p == NULL) return NULL;
  cast_object_init(&p->object, &cast_process_type);
  cast_lock_init(&p->lock, CAST_RANK_LEAF);
  cast_list_init(&p->link);
  p->watch = (cast_watch){&p->object, tell};
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

static void end_vigil(vigil *v) {
  if (v->pipe >= 0) os_close(v->pipe);
  v->pipe = -1;
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

static const cast_call_kind vigil_kind = {keep_vigil, free_vigil};

static cast_offload vigils =
  CAST_OFFLOAD_STATIC(vigils, CAST_VIGILS, "casting/vigil");

/* A descriptor that becomes readable at the end of p's child, or a result. */
static int begin_vigil(cast_process *p) {
  vigil *v = cast_calloc(sizeof *v);
  int ends[2], rc;
  if (v == NULL) return CASTING_ENOMEM;
  rc = os_child_pipe(ends, true, true);
  if (rc != 0) {
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

/* It cannot be waited for: it must not go on. */
static int give_up(cast_process *p, int rc) {
  os_ending e;
  (void)os_child_kill(&p->child, os_signal_number("KILL"), p->group);
  os_child_await(&p->child);
  (void)os_child_ended(&p->child, true, &e);
  p->reaped = true;
  return rc;
}

int cast_process_start(
  cast_process *p, const os_program *program, bool pooled) {
  int rc, fd;
  if ((rc = cast_poller_make()) != 0) return rc;
  p->group = program->group;
  rc = os_child_start(program, &p->child);
  if (rc != 0) return rc;
  fd = p->child.fd >= 0 ? p->child.fd : begin_vigil(p);
  if (fd < 0) return give_up(p, fd);
  p->file = cast_descriptor_new(fd, 0);
  if (p->file == NULL) {
    os_close(fd);
    p->child.fd = -1;
    return give_up(p, CASTING_ENOMEM);
  }
  list_running(p);
  rc = cast_descriptor_watch(p->file, &p->watch, pooled);
  if (rc == 0) return 0;
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
