/* sleep.pml - workers look for jobs, sleep and are woken.
   SPDX-License-Identifier: MIT

   Models src/sched.c: cores (permits with a run queue and a run-next slot),
   workers (threads), the global queue, spinning, sleeping, stopping; a host's
   thread that submits from outside; the monitor that frees run-next slots.
   What the scheduler's lock covers is one step where at most one thing in it
   (spare, nglobal) is also read without the lock. Race numbers (R20 ..) are
   those of README.md. Some runs of jobs are long: they last until nobody else
   can move. Checked:
   1. Every job runs as often as it was made ready, and never twice at once.
   2. No lost wake-up: a time at which nobody can move has no job waiting.
   3. While only long jobs run, no job waits beside an idle core.
   4. A core belongs to one worker or is idle.
   5. After the stop all workers end and nobody counts as spinning. */

#ifndef CORES
#define CORES 2
#endif
#define WORKERS CORES /* enough: R26 */
#define NONE 255

/* Jobs 0 and 1 come from two hosts. Job 0 makes 2 and 3 ready. */
#define JOBS 4

chan queue[CORES] = [JOBS] of { byte };
byte slot[CORES] = NONE; /* run-next */
chan global = [JOBS] of { byte };
byte nglobal;
bool idle_core[CORES] = true;  /* (lock) */
bool idle_worker[WORKERS];     /* (lock) */
byte spare = CORES;            /* idle cores */
byte nspinning;
byte core[WORKERS] = NONE;
bool spinning[WORKERS];
bool signal[WORKERS];
#ifdef MUTANT_SIGNAL_NO_WORD
bool asleep[WORKERS];
#endif
bool started[WORKERS];
byte nstarted;
bool stopping;                 /* (lock) */
#ifdef FAULT
byte faults = 1; /* threads that fail to start */
#endif

/* What really happens, for the assertions. */
bool waits[JOBS]; /* is in some queue */
bool runs[JOBS];
byte ndone;
bool released; /* the long runs end */
#ifdef RESCUE
byte rescues = 1; /* while others move */
#endif

/* -- under the lock -------------------------------------------------------- */

/* An idle core into c, or NONE. */
inline take_core_locked(c) {
  c = 0;
  do
  :: c < CORES && !idle_core[c] -> c++
  :: else -> break
  od;
  if
  :: c < CORES -> idle_core[c] = false; spare--
  :: else -> c = NONE
  fi
}

inline give_core_locked(c) {
  assert(!idle_core[c]);
  idle_core[c] = true;
  spare++
}

/* -- waking ---------------------------------------------------------------- */

/* In the caller: byte c, i; bool yes. One more worker looks for work, if a
   core is idle and nobody looks yet. */
inline wake() {
  do
  :: spare == 0 -> break
  :: else ->
     d_step {
       yes = (nspinning == 0);
       nspinning = (yes -> 1 : nspinning)
     };
     if
     :: !yes -> break /* R22: who looks will take it, or wake another */
     :: else
     fi;
     choose_core_and_worker();
     if
     :: c == NONE ->
#ifndef MUTANT_NO_UNDO
        nspinning--; /* R23 */
#endif
#ifdef MUTANT_UNDO_SILENTLY
        break
#else
        any_work(); /* R23: somebody may have relied on this one */
        if
        :: yes && !stopping
        :: else -> break
        fi
#endif
     :: c != NONE && i != NONE -> give_signal(i); break
     :: c != NONE && i == NONE ->
        start_worker();
        if
        :: yes
        :: else -> break
        fi
     fi
  od;
  c = 0;
  i = 0;
  yes = false
}

/* Under the lock. c is NONE: no core; i is NONE: no worker sleeps. */
inline choose_core_and_worker() {
  d_step {
    yes = false;
    c = NONE;
    i = NONE;
    if
    :: stopping
    :: else -> take_core_locked(c)
    fi;
    if
    :: c != NONE ->
       i = 0;
       do
       :: i < WORKERS && !idle_worker[i] -> i++
       :: else -> break
       od;
       if
       :: i < WORKERS ->
          assert(core[i] == NONE && !spinning[i]);
          idle_worker[i] = false;
          core[i] = c;
          spinning[i] = true
       :: else -> i = NONE
       fi
    :: else
    fi
  }
}

/* Sets yes if some queue holds a job. One read each, at different times. */
inline any_work() {
  yes = (nglobal > 0);
  i = 0;
  do
  :: !yes && i < CORES -> d_step { yes = len(queue[i]) > 0; i++ }
  :: else -> break
  od;
  i = 0
}

inline give_signal(x) {
#ifdef MUTANT_SIGNAL_NO_WORD
  d_step { signal[x] = asleep[x] } /* R24: wakes only who sleeps already */
#else
  signal[x] = true /* R24 */
#endif
}

/* Starts one that spins on c. yes: it failed, and there is cause to try again
   since others may have fallen asleep relying on this one (R26). */
inline start_worker() {
  if
#ifdef FAULT
  :: d_step { faults > 0 -> faults-- };
     nspinning--;
     d_step {
       give_core_locked(c);
       yes = false;
       i = 0;
       do
       :: i < WORKERS -> yes = yes || idle_worker[i]; i++
       :: else -> break
       od;
       i = 0
     };
#ifdef MUTANT_FAILED_SILENTLY
     yes = false;
#endif
     if
     :: yes -> any_work()
     :: else
     fi
#endif
  :: d_step {
       assert(nstarted < WORKERS); /* R26 */
       core[nstarted] = c;
       spinning[nstarted] = true;
       started[nstarted] = true;
       nstarted++;
       yes = false
     }
  fi
}

inline submit_global(j) {
#ifdef MUTANT_STORE_LATE
  yes = (spare > 0 && nspinning == 0); /* R20: reads before the store */
  d_step { global!j; nglobal++ };
  if
  :: yes -> wake()
  :: else
  fi;
  yes = false
#else
  d_step { global!j; nglobal++ }; /* R20: the store, then the reads */
  wake()
#endif
}

inline submit_local(j) {
#ifdef MUTANT_STORE_LATE
  yes = (spare > 0 && nspinning == 0);
  queue[own]!j;
  if
  :: yes -> wake()
  :: else
  fi;
  yes = false
#else
  queue[own]!j; /* R20 */
  wake()
#endif
}

/* cast_sched_ready by the worker that has `own`. */
inline ready(j) {
  d_step {
    assert(!waits[j]);
    waits[j] = true;
    old = slot[own]; /* R27: exchange */
    slot[own] = j
  };
  if
#ifdef MUTANT_KICKED_SILENTLY
  :: old != NONE -> queue[own]!old /* R27 */
#else
  :: old != NONE -> submit_local(old) /* R27 */
#endif
  :: else
  fi;
  old = NONE
}

/* -- running --------------------------------------------------------------- */

inline run_job() {
  d_step {
    assert(waits[job] && !runs[job]);
    waits[job] = false;
    runs[job] = true
  };
  if
  :: job == 0 ->
     ready(2);
     ready(3)
#ifdef RESCUE
     ; ready(1)
#endif
  :: else
  fi;
  if
  :: skip
  :: !released -> released /* a long run */
  fi;
  d_step { runs[job] = false; ndone++; job = NONE }
}

/* -- finding work ---------------------------------------------------------- */

inline found() {
  if
  :: spinning[w] ->
     d_step { spinning[w] = false; assert(nspinning > 0); nspinning-- };
#ifndef MUTANT_FOUND_SILENTLY
     any_work();
     if
     :: yes -> wake() /* R22 */
     :: else
     fi
#endif
  :: else
  fi
}

/* The own slot, the own queue, the global queue. One step: what others do
   between these looks could as well come before or after all of them. */
inline pick() {
  d_step {
    own = core[w];
    i = 0;
    do
    :: i < WORKERS -> assert(i == w || core[i] != own); i++ /* R25 */
    :: else -> break
    od;
    assert(!idle_core[own]);
    i = 0;
    job = slot[own];
    slot[own] = NONE; /* R27: exchange */
    if
    :: job == NONE && len(queue[own]) > 0 -> queue[own]?job
    :: job == NONE && len(queue[own]) == 0 && nglobal > 0 ->
       global?job;
       nglobal--
    :: else
    fi
  }
}

/* Looks into the queues of others, once: more rounds find no less. */
inline spin() {
  if
  :: spinning[w] -> yes = true
  :: else ->
     yes = (2 * nspinning < CORES - spare);
     if
     :: yes -> d_step { nspinning++; spinning[w] = true }
     :: else
     fi
  fi;
  if
  :: yes ->
     i = 0;
     do
     :: i < CORES && job == NONE ->
        d_step {
          if
          :: i != own && len(queue[i]) > 0 -> queue[i]?job
          :: else
          fi;
          i++
        }
     :: else -> break
     od;
     i = 0
  :: else
  fi;
  yes = false
}

/* -- sleeping -------------------------------------------------------------- */

inline take_back() {
  d_step { /* R25 */
    yes = false;
#ifdef MUTANT_TAKE_BACK_BLIND
    take_core_locked(c);
#else
    if
    :: core[w] == NONE -> take_core_locked(c)
    :: else -> c = NONE
    fi;
#endif
    if
    :: c != NONE ->
       core[w] = c;
       idle_worker[w] = false;
       nspinning++;
       spinning[w] = true;
       yes = true
    :: else
    fi;
    c = 0
  }
}

inline rest() {
  d_step {
    was = spinning[w];
    stop = stopping;
    if
    :: !stop && nglobal > 0 -> global?job; nglobal-- /* saves a wake-up */
    :: else ->
       assert(empty(queue[own]) && slot[own] == NONE);
       give_core_locked(own);
       core[w] = NONE;
       spinning[w] = false;
#ifndef MUTANT_IDLE_LATE
       idle_worker[w] = !stop /* R26: in the same critical section */
#endif
    fi
  };
  if
  :: job == NONE ->
     yes = false;
#ifdef MUTANT_RECHECK_EARLY
     if
     :: !stop -> any_work() /* R21: reads before the store */
     :: else
     fi;
     if
     :: was -> d_step { assert(nspinning > 0); nspinning-- }
     :: else
     fi;
#else
     if
     :: was -> d_step { assert(nspinning > 0); nspinning-- } /* R21 */
     :: else
     fi;
     if
#ifdef MUTANT_SPINNERS_ONLY
     :: !stop && was -> any_work()
#else
     :: !stop -> any_work() /* R21: also who did not spin, R28 */
#endif
     :: else
     fi;
#endif
#ifdef MUTANT_NO_RECHECK
     yes = false;
#endif
     if
     :: yes -> take_back()
     :: else
     fi;
#ifdef MUTANT_IDLE_LATE
     idle_worker[w] = !stop && !yes;
#endif
     if
     :: !yes && !stop ->
#ifdef MUTANT_SIGNAL_NO_WORD
        asleep[w] = true;
#endif
        d_step { signal[w] -> signal[w] = false }
     :: else
     fi
  :: else
  fi;
  yes = false;
  was = false;
  stop = false
}

proctype worker(byte w) {
  byte own, job = NONE, old = NONE, c, i;
  bool yes, was, stop;
end:
  started[w];
  do
  :: core[w] == NONE -> break
  :: else ->
     pick();
     if
     :: job == NONE -> spin()
     :: else
     fi;
     if
     :: job == NONE -> rest()
     :: else
     fi;
     if
     :: job != NONE -> found(); run_job()
     :: else
     fi
  od;
  own = 0
}

/* -- from outside ---------------------------------------------------------- */

proctype host(byte job) {
  byte c, i;
  bool yes;
  submit_global(job)
}

/* The monitor frees a run-next slot: R27. */
inline rescue(x) {
#ifdef MUTANT_RESCUE_STORE
  k = slot[x];
  slot[x] = NONE;
#else
  d_step { k = slot[x]; slot[x] = NONE };
#endif
  if
  :: k != NONE -> submit_global(k)
  :: else
  fi;
  k = 0
}

init {
  byte c, i, k;
  bool yes;
  atomic { /* cast_sched_first: one worker, which spins */
    take_core_locked(c);
    core[0] = c;
    spinning[0] = true;
    nspinning = 1;
    nstarted = 1;
    started[0] = true;
    c = 0
  };
  atomic {
    waits[0] = true;
#ifndef RESCUE
    waits[1] = true;
#endif
    run host(0);
#ifndef RESCUE
    run host(1);
#endif
    i = 0;
    do
    :: i < WORKERS -> run worker(i); i++
    :: else -> break
    od;
    i = 0
  };
  do
  :: ndone == JOBS -> break
#ifdef RESCUE
  :: rescues > 0 && slot[0] != NONE -> rescues--; rescue(0)
#endif
#ifndef MUTANT_NO_RESCUE
  :: timeout && spare > 0 && slot[0] != NONE -> rescue(0)
  :: timeout && spare > 0 && slot[1] != NONE -> rescue(1)
  :: timeout && (spare == 0 || (slot[0] == NONE && slot[1] == NONE)) ->
#else
  :: timeout ->
#endif
     d_step {
       assert(!released); /* no lost wake-up */
       if
#ifdef FAULT
       :: spare > 0 && faults > 0 -> /* no idle core beside a waiting job */
#else
       :: spare > 0 ->
#endif
          assert(nglobal == 0 && nspinning == 0);
          i = 0;
          do
          :: i < CORES ->
             assert(empty(queue[i]) && slot[i] == NONE);
             i++
          :: else -> break
          od;
          i = 0
       :: else
       fi;
       released = true
     }
  od;
  /* Stop, wherever the workers are on their way. */
  atomic {
    stopping = true;
    i = 0;
    do
    :: i < WORKERS && idle_worker[i] ->
       idle_worker[i] = false;
#ifndef MUTANT_STOP_SILENTLY
       signal[i] = true; /* R29 */
#endif
       i++
    :: i < WORKERS && !idle_worker[i] -> i++
    :: else -> break
    od;
    i = 0
  };
  timeout;
  assert(spare == CORES && nspinning == 0 && nglobal == 0)
}
