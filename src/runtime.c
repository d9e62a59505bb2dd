/* runtime.c - start, stop, and the process-wide names of channels.
   SPDX-License-Identifier: MIT

   Locks: CAST_RANK_RUNTIME for the number of hosts, the limits of the pool and
   the names. It is held while the runtime starts and stops, which wait for
   threads: a host that comes meanwhile must wait for that anyway. */
#include "runtime.h"

#include "../include/casting.h"
#include "big.h"
#include "errand.h"
#include "fork.h"
#include "host.h"
#include "io/descriptor.h"
#include "io/signals.h"
#include "io/subprocess.h"
#include "limits.h"
#include "offload.h"
#include "region.h"
#include "sched.h"
#include "sysmon.h"
#include "worker.h"

/* A channel with a name. */
typedef struct named {
  struct named *next; /* (lock) the next one in the list */
  cast_chan *chan;    /* (i) one reference, until it is found closed */
  size_t size;        /* (i) the bytes of the name */
  char name[];        /* (i) */
} named;

static struct {
  cast_lock lock;
  uint32_t hosts; /* (lock) the number of hosts */
  bool started;   /* (lock) it has started, and not stopped since */
  bool watched;   /* (lock) forks are watched (fork.h), for ever */
  bool stuck;     /* (lock) a session could not be closed: it never stops */
  uint32_t min;   /* (lock) workers that stay when they are idle */
  uint32_t max;   /* (lock) workers there may be */
  named *names;   /* (lock) all channels with names */
} runtime = {.lock = CAST_LOCK_STATIC(CAST_RANK_RUNTIME),
  .min = CAST_THREADS_MIN,
  .max = CAST_THREADS_MAX};

/* The number of permits: one for each processor, but not more than workers. */
static uint32_t cores(void) {
  uint32_t n = os_cpu_count();
  if (n > runtime.max) n = runtime.max;
  return n > CAST_WORKERS_MAX ? CAST_WORKERS_MAX : n;
}

/* Starts sysmon first, which has to watch the workers. */
static int start_worker(cast_core *core) {
  int rc = cast_sysmon_start();
  return rc == 0 ? cast_worker_start(core) : rc;
}

/* In the child of a fork. */
static void in_child(void) {
  cast_hosts_forked();
  cast_sleepers_unlock();
  cast_workers_forked();
  if (cast_forked) cast_sysmon_forked();
  cast_signals_forked();
  cast_poller_forked();
}

/* Initialises everything; threads are started later, when one is needed. */
static int start_locked(void) {
  if (!runtime.watched) {
    if (cast_fork_watch(cast_sleepers_lock, cast_sleepers_unlock, in_child) !=
        0)
      return CASTING_ENOMEM;
    os_pin((const void *)(uintptr_t)start_locked);
    os_malloc_learn(CAST_BIG_SHOWN); /* for the cache frees no large block */
  }
  runtime.watched = true;
  cast_contexts_init();
  cast_timers_init();
  cast_workers_init();
  cast_poller_init(cast_descriptors_dispatch);
  cast_sched_init(cores(), start_worker, cast_sysmon_wake);
  cast_sched_bounds(runtime.min, runtime.max);
  runtime.started = true;
  return 0;
}

static void drop_names_locked(void) {
  while (runtime.names != NULL) {
    named *n = runtime.names;
    runtime.names = n->next;
    cast_unref(&n->chan->object);
    cast_free(n);
  }
}

int cast_runtime_ref(void) {
  int rc = 0;
  if (CAST_UNLIKELY(cast_forked)) return CASTING_EFORKED;
  cast_fork_note();
  cast_lock_take(&runtime.lock);
  if (!runtime.started) rc = start_locked();
  if (rc == 0) runtime.hosts++;
  cast_lock_drop(&runtime.lock);
  return rc;
}

/* False: a helper is in the middle of a call that takes long. Then the runtime
   goes on, and the next host that ends last tries again. */
static bool stop_helpers(void) {
  uint64_t now = os_now();
  return cast_offloads_stop(
    now + CAST_OFFLOAD_STOP_NS, now + (uint64_t)10 * CAST_POOL_STOP_NS);
}

void cast_runtime_unref(bool all_closed) {
  if (CAST_UNLIKELY(cast_forked)) return;
  cast_lock_take(&runtime.lock);
  if (!all_closed) {
    runtime.stuck = true;
    (void)cast_workers_join(0); /* joins those that have ended already */
  }
  if (--runtime.hosts == 0) cast_processes_end();
  if (runtime.hosts == 0 && !runtime.stuck) {
    drop_names_locked();
    /* An errand that writes a report which nobody reads may be stuck like a
       session. */
    runtime.stuck = !cast_errands_wait(os_now() + CAST_POOL_STOP_NS / 2);
  }
  if (runtime.hosts == 0 && !runtime.stuck && stop_helpers()) {
    cast_sched_stop();
    CAST_ALWAYS(cast_workers_join(os_now() + (uint64_t)10 * CAST_POOL_STOP_NS));
    cast_sysmon_stop();
    (void)cast_errands_stop(os_now() + (uint64_t)10 * CAST_POOL_STOP_NS);
    cast_sched_fini();
    cast_signals_fini();
    cast_processes_fini();
    cast_poller_fini();
    cast_descriptors_fini();
    cast_timers_fini();
    cast_contexts_fini();
    cast_big_flush();
    cast_region_flush();
    runtime.started = false;
    cast_fork_forget();
  }
  cast_lock_drop(&runtime.lock);
}

void cast_runtime_threads(uint32_t *min, uint32_t *max) {
  cast_lock_take(&runtime.lock);
  if (*min != 0) runtime.min = *min;
  if (*max != 0) runtime.max = *max;
  if (runtime.min > runtime.max) {
    if (*max != 0)
      runtime.min = runtime.max;
    else
      runtime.max = runtime.min;
  }
  *min = runtime.min;
  *max = runtime.max;
  if (runtime.started) {
    cast_sched_bounds(runtime.min, runtime.max);
    cast_sched_limit(cores());
  }
  cast_lock_drop(&runtime.lock);
}

uint32_t cast_runtime_cores(void) {
  uint32_t n;
  cast_lock_take(&runtime.lock);
  n = cores();
  cast_lock_drop(&runtime.lock);
  return n;
}

/* Finds the channel with that name. Names of channels that were closed are
   dropped on the way. */
static cast_chan *find_locked(const char *name, size_t size) {
  for (named **p = &runtime.names; *p != NULL;) {
    named *n = *p;
    if (cast_chan_is_closed(n->chan)) {
      *p = n->next;
      cast_unref(&n->chan->object);
      cast_free(n);
    } else if (n->size == size && memcmp(n->name, name, size) == 0) {
      return n->chan;
    } else {
      p = &n->next;
    }
  }
  return NULL;
}

static cast_chan *make_locked(const char *name, size_t size, size_t capacity) {
  named *n = cast_alloc(sizeof *n + size);
  cast_chan *c = n != NULL ? cast_chan_new(capacity) : NULL;
  if (c == NULL) {
    cast_free(n);
    return NULL;
  }
  n->chan = c;
  n->size = size;
  memcpy(n->name, name, size);
  n->next = runtime.names;
  runtime.names = n;
  return c;
}

cast_chan *cast_runtime_named(
  const char *name, size_t size, const size_t *capacity, int *rc) {
  cast_chan *c;
  *rc = 0;
  cast_lock_take(&runtime.lock);
  c = find_locked(name, size);
  if (c == NULL) {
    c = make_locked(name, size, capacity != NULL ? *capacity : 0);
    if (c == NULL) *rc = CASTING_ENOMEM;
  } else if (capacity != NULL && *capacity != c->capacity) {
    *rc = CASTING_EINVAL;
    c = NULL;
  }
  if (c != NULL) cast_ref(&c->object);
  cast_lock_drop(&runtime.lock);
  return c;
}
