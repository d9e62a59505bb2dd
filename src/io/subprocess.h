/* subprocess.h - programs that tasks start, and wait for.
   SPDX-License-Identifier: MIT

   A process is shared by all who have a handle of it, as a channel is. It is
   waited for through a descriptor of the system's that becomes readable at its
   end, so no signal handler is needed, and children that other code has started
   are left alone. Where the system has no such descriptors, a thread blocks
   until the end, and closes a pipe then.

   Whoever sees the end first *reaps* the process: the system forgets it, and
   its number may be another one's. Invariants:
   1. While it runs, `running` has a reference to it, and a watch is told of its
      end. So a process for which nobody waits is reaped, too.
   2. No signal is sent after it was reaped; both are done under the lock.
   3. One that leads a group is reaped when somebody has been told of its end,
      or nobody has it any more: the number of the group stays its own until
      then, and what is left of the group can be killed.
   4. After its end its descriptor is closed, which wakes all who wait.
   5. One that is to be *stopped* gets TERM, and KILL when a timer fires, or the
      runtime ends, whatever becomes of the task that has asked for it.
   6. One that still runs when the runtime ends is an *orphan*: it goes on, and
      is reaped when another process is started, or a runtime ends, after its
      end.

   Locks: the process's own (CAST_RANK_LEAF); `running.lock` (CAST_RANK_LEAF)
   for the list. Neither is held while the other is taken. */
#ifndef CAST_SUBPROCESS_H
#define CAST_SUBPROCESS_H

#include "../buffer.h"
#include "../list.h"
#include "../os/child.h"
#include "../timer.h"
#include "descriptor.h"

typedef struct cast_process {
  cast_object object;
  cast_watch watch;
  cast_lock lock;
  cast_timer timer;      /* kills it: 5.; set while it runs if it is bound */
  cast_list link;        /* (running's lock) while it runs, or is an orphan */
  os_child child;        /* (i) `process` 0: it was not started */
  cast_descriptor *file; /* (i) one reference; NULL: it was not started, or is
                            an orphan */
  cast_object *vigil;    /* (i) one reference, or NULL: a call that waits */
  os_ending ending;      /* (i) once `ended` */
  bool ended, reaped;    /* (lock) */
  bool group;            /* (i) it leads one */
  bool bound;            /* (i) it ends with the call that has started it */
  char command[CAST_COMMAND_SIZE]; /* (i) for reports */
} cast_process;

extern const cast_type cast_process_type;

/* One that is not started yet, of the session with that id; NULL: no memory. */
cast_process *cast_process_new(uint64_t session);
/* Starts it. `pooled`: see cast_poller_add. 0, CASTING_ENOMEM, or a result of
   the system's: it was not started, or if what it takes to wait for it could
   not be had afterwards, it has been killed. */
int cast_process_start(cast_process *p, const os_program *program, bool pooled);
/* Has it ended? `self`: the session that the calling thread runs, or NULL. */
bool cast_process_look(cast_process *p, cast_session *self);
/* The owner of t: 0: it has ended; CAST_PARKED; CASTING_ENOMEM,
   CASTING_ECLOSED: its descriptor was closed by other code. */
int cast_process_wait(cast_process *p, cast_task *t);
/* Somebody has been told of its end: see 3. */
void cast_process_told(cast_process *p);
/* Sends a signal, to its group if it leads one. CASTING_ECLOSED: it has ended;
   0, or a result of the system's. */
int cast_process_kill(cast_process *p, int number);
/* Of a bound one: TERM now, and KILL after so many nanoseconds, unless it was
   reaped by then. As cast_process_kill. */
int cast_process_stop(cast_process *p, uint64_t grace_ns);
/* Looks at all that run: those that have ended are reaped, and their
   descriptors are free, even if no thread has looked for events since. */
void cast_processes_reap(void);
/* "process 123 (sort)", for reports. */
void cast_process_describe(cast_buffer *b, const cast_process *p);
/* The last host has ended: bound ones are killed now, even if the runtime
   cannot stop because a task is stuck. */
void cast_processes_end(void);
/* At the end of the runtime: those that run are orphans from now on. */
void cast_processes_fini(void);

#endif
