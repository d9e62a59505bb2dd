/* inplace.pml - tasks that block in place keep their C stack.
   SPDX-License-Identifier: MIT

   Models src/context.c and the parts of src/task.c, src/slice.c and
   src/worker.c that switch stacks: two workers run two sessions; a task parks
   (returns to the loop) or blocks in place (its context is held, and a fresh
   one runs the worker's loop); a loop that meets a held task abandons its own
   context for the held one. A switch is two steps: the bookkeeping, done on
   the old stack, and the change of stacks itself. The inbox is session.pml's
   matter and one step here. Race numbers (R60 ..) are those of README.md.
   Checked:
   1. A context is executed by one thread at most, and while it is, it is not
      in the pool; one that is continued was saved completely.
   2. A session is run by one worker at a time.
   3. All tasks end, though task 1 can only be woken after task 0 has ended.
   4. After the stop every context is back in the pool. */

#define WORKERS 2
#define SESSIONS 2
#define TASKS 3 /* 0 and 1 in session 0, 2 in session 1 */
#define session_of(t) ((t) / 2)
#define CONTEXTS 8 /* own stacks, one for each worker and task, spares */
#define NONE 255

/* Where a context is. */
#define UNMADE 0
#define POOL 1
#define OWN 2  /* a thread's own stack, left for the loop */
#define AT 3   /* a runner's `at` */
#define HELD 4
#define LEFT 5
#define SPARE 6

byte where[CONTEXTS];
bool saved[CONTEXTS];          /* may be switched to */
byte inside[CONTEXTS] = NONE;  /* the task it goes on with; NONE: fresh */

/* Runners. */
byte at[WORKERS] = NONE;
byte left[WORKERS] = NONE;
byte spare[WORKERS] = NONE;
byte on[WORKERS] = NONE; /* the stack that the thread is really on */

/* Sessions. */
bool idle[SESSIONS] = true;
bool queued[SESSIONS];
bool run_by[SESSIONS];
chan ready[SESSIONS] = [TASKS] of { byte };

/* Tasks. */
byte held[TASKS] = NONE;
byte parks[TASKS] = 1;  /* still to come */
byte blocks[TASKS] = 1;
bool waits[TASKS];      /* armed: a waker may come */
bool ended[TASKS];
#ifdef MUTANT_STALE_RUNNER
byte blocked_by[TASKS];
#endif
#ifdef MUTANT_NESTED_LOOP
byte outer[TASKS];
byte top[SESSIONS] = NONE; /* innermost task on the one stack */
#endif
bool stopping;

/* Adds t to its session, which is queued if it was idle. */
inline push(t) {
  d_step {
    ready[session_of(t)]!t;
    queued[session_of(t)] = queued[session_of(t)] || idle[session_of(t)];
    idle[session_of(t)] = false
  }
}

/* The second half of a switch: registers are saved and loaded. */
inline change(to) {
  d_step {
    assert(!saved[on[w]] && saved[to]); /* R60 */
    saved[on[w]] = true;
    saved[to] = false;
    on[w] = to;
    i = 0;
    do
    :: i < WORKERS -> assert(i == w || on[i] != to); i++
    :: else -> break
    od;
    i = 0
  }
}

/* cast_runner_reserve: from the pool, or a new one. Reset: it is fresh. */
inline reserve() {
  if
  :: spare[w] != NONE
  :: else ->
     d_step {
       i = 0;
       do
       :: i < CONTEXTS && where[i] != POOL -> i++
       :: else -> break
       od;
       if
       :: i == CONTEXTS ->
          i = 0;
          do
          :: where[i] != UNMADE -> i++
          :: else -> break
          od
       :: else
       fi;
       where[i] = SPARE;
       saved[i] = true;
       inside[i] = NONE;
       spare[w] = i;
       i = 0
     }
  fi
}

/* cast_runner_arrived, on runner r: what was left can be used again. */
inline arrived(r) {
  d_step {
    if
    :: left[r] != NONE ->
       assert(where[left[r]] == LEFT);
       i = 0;
       do
       :: i < WORKERS -> assert(on[i] != left[r]); i++ /* R61 */
       :: else -> break
       od;
       i = 0;
       if
       :: spare[r] == NONE ->
          spare[r] = left[r];
          where[left[r]] = SPARE;
          saved[left[r]] = true;
          inside[left[r]] = NONE
       :: else -> where[left[r]] = POOL
       fi;
       left[r] = NONE
    :: else
    fi
  }
}

/* cast_runner_fork; place: where the context is kept. */
inline fork(place) {
  d_step {
    assert(spare[w] != NONE && left[w] == NONE);
    where[at[w]] = place;
    at[w] = spare[w];
    where[at[w]] = AT;
    spare[w] = NONE
  };
#ifdef MUTANT_SESSION_LET_GO
  if
  :: s != NONE -> /* R62: others may run it, but this stack is still used */
     d_step {
       run_by[s] = false;
       queued[s] = len(ready[s]) > 0;
       idle[s] = !queued[s];
       s = NONE
     }
  :: else
  fi;
#endif
  change(at[w])
}

/* cast_runner_jump. */
inline jump(to) {
  d_step {
    assert(left[w] == NONE && to != at[w]);
#ifdef MUTANT_POOLED_EARLY
    where[at[w]] = POOL; /* R61: still executing on it */
#else
    where[at[w]] = LEFT;
    left[w] = at[w];
#endif
    at[w] = to;
    where[to] = AT
  };
  change(to)
}

#ifdef MUTANT_WOKEN_DIRECTLY
byte direct = NONE;
#endif

inline fire(t) {
#ifdef MUTANT_WOKEN_DIRECTLY
  if
  :: held[t] != NONE -> direct = t /* R63: not by way of its session */
  :: else -> push(t)
  fi
#else
  push(t) /* R63 */
#endif
}
/* jump(i), whose parameter must outlive the loops that use i. */
inline jump_held(x) {
  byte to;
  to = x;
  i = 0;
  jump(to);
  to = 0
}

/* Any thread; the waits of tasks are over at any time. */
proctype waker() {
end:
  do
  :: d_step { waits[0] -> waits[0] = false }; fire(0)
  :: d_step { waits[1] && ended[0] -> waits[1] = false }; fire(1)
  :: d_step { waits[2] -> waits[2] = false }; fire(2)
  od
}

#ifdef MUTANT_NESTED_LOOP
/* The stack unwinds from its top only. */
#define can_run(t) (held[t] == NONE || top[session_of(t)] == t)
#endif

proctype worker(byte w) {
  byte s = NONE, t = NONE, i;
  /* Starts on its own stack. */
  d_step { at[w] = w; on[w] = w; where[w] = AT; saved[w] = false };
  reserve();
  fork(OWN);
  arrived(w);
loop: /* of a worker; a fresh context begins here */
  if
  :: s == NONE ->
end:
     if
     :: d_step { queued[0] -> queued[0] = false; s = 0 };
        d_step { assert(!run_by[0]); run_by[0] = true } /* R62 */
     :: d_step { queued[1] -> queued[1] = false; s = 1 };
        d_step { assert(!run_by[1]); run_by[1] = true }
#ifdef MUTANT_WOKEN_DIRECTLY
     :: d_step { direct != NONE -> t = direct; direct = NONE };
        s = session_of(t);
        d_step { assert(!run_by[s]); run_by[s] = true };
        goto resume
#endif
     :: stopping -> goto stop
     fi
  :: else
  fi;
slice:
  if
  :: len(ready[s]) > 0 ->
#ifdef MUTANT_NESTED_LOOP
     if /* R64: others must wait for the inner ones to end */
     :: d_step { ready[s]??[0] && can_run(0) -> ready[s]??0; t = 0 }
     :: d_step { ready[s]??[1] && can_run(1) -> ready[s]??1; t = 1 }
     :: d_step { ready[s]??[2] && can_run(2) -> ready[s]??2; t = 2 }
     fi;
#else
     d_step { ready[s]?t; assert(run_by[s] && !ended[t]) };
#endif
     goto resume
  :: len(ready[s]) > 0 -> /* slice used up */
     d_step { run_by[s] = false; queued[s] = true; s = NONE };
     goto loop
  :: d_step {
       len(ready[s]) == 0 -> idle[s] = true; run_by[s] = false; s = NONE
     };
     goto loop
  fi;
resume:
  if
#ifdef MUTANT_NESTED_LOOP
  :: held[t] != NONE -> held[t] = NONE; top[s] = outer[t]
#else
  :: held[t] != NONE ->
     d_step { i = held[t]; held[t] = NONE };
     d_step { assert(where[i] == HELD && inside[i] == t) };
     jump_held(i);
#ifdef MUTANT_STALE_RUNNER
     arrived(blocked_by[t]) /* R65 */
#else
     arrived(w) /* R65: the runner of now */
#endif
#endif
  :: else
  fi;
  if /* the task runs */
  :: parks[t] > 0 -> d_step { parks[t]--; waits[t] = true; t = NONE };
     goto slice
  :: blocks[t] > 0 ->
     reserve();
     d_step { blocks[t]--; waits[t] = true }; /* R63: armed before it leaves */
#ifdef MUTANT_NESTED_LOOP
     d_step { outer[t] = top[s]; top[s] = t; held[t] = at[w]; t = NONE };
     goto slice;
#endif
#ifdef MUTANT_STALE_RUNNER
     blocked_by[t] = w;
#endif
     d_step { held[t] = at[w]; inside[at[w]] = t; t = NONE };
     fork(HELD);
     arrived(w);
     goto loop
  :: parks[t] == 0 && blocks[t] == 0 -> d_step { ended[t] = true; t = NONE };
     goto slice
  fi;
stop:
  jump(w);
  arrived(w);
  d_step {
    if
    :: spare[w] != NONE -> where[spare[w]] = POOL; spare[w] = NONE
    :: else
    fi;
    where[w] = OWN;
    at[w] = NONE;
    on[w] = NONE
  }
}

init {
  byte i;
  atomic {
    run worker(0);
    run worker(1);
    run waker();
    where[0] = OWN;
    where[1] = OWN;
    push(0);
    push(1);
    push(2)
  };
  timeout;
  assert(ended[0] && ended[1] && ended[2]);
  stopping = true;
  timeout;
  d_step {
    do
    :: i < CONTEXTS ->
       assert(where[i] == (i < WORKERS -> OWN : POOL) ||
              where[i] == UNMADE);
       i++
    :: else -> break
    od
  }
}
