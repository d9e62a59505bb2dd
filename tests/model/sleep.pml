/* sleep.pml - workers look for jobs, sleep and are woken.
   SPDX-License-Identifier: MIT

   Models src/sched.c and core.c: cores (a run queue and a run-next slot),
   permits, workers (threads), the global queue, spinning, sleeping, stopping; a
   host's thread that submits from outside; sysmon that frees run-next
   slots and takes permits away (RETAKE, with a thread more than permits);
   workers that retire (RETIRE); threads that cannot be started (FAULT), which
   sysmon tries again (RETRY).
   What the scheduler's lock covers is one step where at most one thing in it
   (spare, nglobal) is also read without the lock. Race numbers (R20 ..) are
   those of README.md. Some runs of jobs are long: they last until nobody else
   can move. Checked:
   1. Every job runs as often as it was made ready, and never twice at once.
   2. No lost wake-up: a time at which nobody can move has no job waiting.
   3. While only long jobs run, no job waits beside an idle core.
   4. A core belongs to one worker or is idle. A slot is LOST exactly while its
      core has no permit; there are never more permits in use than there are.
   5. After the stop all workers end and nobody counts as spinning. */

#ifdef RETRY
#define FAULT
#endif
#ifndef PERMITS
#ifdef RETAKE
#define PERMITS 1
#else
#define PERMITS 2
#endif
#endif
#ifdef RETAKE
#define WORKERS (PERMITS + 1)
#else
#define WORKERS PERMITS /* enough: R26 */
#endif
#define CORES WORKERS
#define NONE 255
#define LOST 254 /* in a slot: its core has no permit */

/* Jobs 0 and 1 come from two hosts. Job 0 makes 2 and 3 ready. */
#define JOBS 4
#if defined(RETAKE) || defined(RETRY)
#define ONE_HOST /* with more to go on, that is enough for hours otherwise */
#define RUNS 3
#else
#define RUNS JOBS
#ifdef RESCUE
#define ONE_HOST
#endif
#endif

chan queue[CORES] = [JOBS] of { byte };
byte slot[CORES] = LOST; /* run-next */
chan global = [JOBS] of { byte };
byte nglobal;
bool idle_core[CORES] = true;  /* (lock) */
bool idle_worker[WORKERS];     /* (lock) */
byte spare = PERMITS;          /* permits left */
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
#ifdef RETRY
bool owes; /* (lock) one has failed to start */
#endif

/* What really happens, for the assertions. */
bool waits[JOBS]; /* is in some queue */
bool runs[JOBS];
byte ndone;
bool released; /* the long runs end */
#ifdef RESCUE
byte releases = 1; /* while others move */
#endif
#ifdef RETAKE
byte retakes = 1;
#endif
#ifdef RETIRE
byte nretired; /* (lock) */
#endif

/* -- under the lock -------------------------------------------------------- */

/* Is there a thread that could go on with a permit? */
inline has_thread_locked() {
  yes = (nstarted < WORKERS);
  i = 0;
  do
  :: i < WORKERS -> yes = yes || idle_worker[i]; i++
  :: else -> break
  od;
  i = 0
}

/* An idle core with a permit into c, or NONE. */
inline take_core_locked(c) {
  c = 0;
  do
  :: c < CORES && !idle_core[c] -> c++
  :: else -> break
  od;
  if
  :: c < CORES && spare > 0 ->
     assert(slot[c] == LOST && empty(queue[c]));
     idle_core[c] = false;
     slot[c] = NONE;
     spare--
  :: else -> c = NONE
  fi
}

inline give_core_locked(c) {
  assert(!idle_core[c]);
  idle_core[c] = true;
  if
  :: slot[c] != LOST -> slot[c] = LOST; spare++
  :: else
  fi
}

/* -- waking ---------------------------------------------------------------- */

/* In the caller: byte c, i, old; bool yes. One more worker looks for work, if a
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
     :: c == NONE && old == LOST -> /* R34: all threads are stuck */
        nspinning--;
#ifdef MUTANT_STUCK_SILENTLY
        break
#else
        any_work();
        if
        :: yes && !stopping ->
           d_step { has_thread_locked() };
           if
           :: yes
           :: else -> break
           fi
        :: else -> break
        fi
#endif
     :: c == NONE && old != LOST ->
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
  old = NONE;
  yes = false
}

/* Under the lock. c is NONE: no core; i is NONE: no worker sleeps; old is LOST:
   no thread is to be had. */
inline choose_core_and_worker() {
  d_step {
    has_thread_locked();
    old = (yes -> NONE : LOST);
    c = NONE;
    i = NONE;
    if
    :: stopping || !yes
    :: else -> take_core_locked(c)
    fi;
    yes = false;
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
#ifdef RETRY
       owes = true;
#endif
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
    old = slot[own]; /* R27, R31: compare-exchange */
#ifdef MUTANT_LOST_IGNORED
    slot[own] = j;
    old = (old == LOST -> NONE : old)
#else
    if
    :: old != LOST -> slot[own] = j
    :: else
    fi
#endif
  };
  if
  :: old == LOST -> submit_global(j) /* R31 */
#ifdef MUTANT_KICKED_SILENTLY
  :: old != LOST && old != NONE -> queue[own]!old /* R27 */
#else
  :: old != LOST && old != NONE -> submit_local(old) /* R27 */
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
    if
    :: job == LOST -> job = NONE
    :: else -> slot[own] = NONE /* R27: compare-exchange */
    fi;
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
     yes = (2 * nspinning < PERMITS - spare);
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

inline go_to_sleep() {
  d_step {
    was = spinning[w];
    stop = stopping;
    if
    :: !stop && slot[own] != LOST && nglobal > 0 ->
       global?job; /* saves a wake-up */
       nglobal--
    :: else ->
       assert(empty(queue[own]));
       assert(slot[own] >= LOST);
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
        if
        :: d_step { signal[w] -> signal[w] = false }
#ifdef RETIRE
        :: retire()
#endif
        fi
     :: else
     fi
  :: else
  fi;
  yes = false;
  was = false;
  stop = false
}

#ifdef RETIRE
/* It has slept for long. Where there is one too many it ends, unless it has
   been given a core: then its signal is there or on its way. One is enough, as
   the threads of this model are not started again. */
inline retire() {
  d_step { /* R36 */
#ifdef MUTANT_RETIRE_BLIND
    yes = (nstarted - nretired > 1);
#else
    yes = (core[w] == NONE && !stopping && nstarted - nretired > 1);
#endif
    if
    :: yes ->
       idle_worker[w] = false;
       core[w] = NONE;
       nretired++
    :: else
    fi
  };
  if
  :: yes -> skip
  :: else -> d_step { signal[w] -> signal[w] = false }
  fi
}
#endif

#ifdef RETAKE
/* The permit was taken away during the last slice. yes: it may go on. */
inline regain() {
  d_step { /* R35 */
    own = core[w];
    yes = true;
    if
    :: slot[own] != LOST
#ifndef MUTANT_REGAIN_NOT
    :: slot[own] == LOST && spare > 0 && !stopping ->
       slot[own] = NONE;
       spare--
    :: slot[own] == LOST && (spare == 0 || stopping) -> yes = false
#else
    :: slot[own] == LOST -> slot[own] = NONE
#endif
    fi
  };
  if
  :: !yes ->
     do
     :: d_step { nempty(queue[own]) -> queue[own]?job }; submit_global(job)
     :: empty(queue[own]) -> break
     od;
     job = NONE;
     yes = false
  :: else
  fi
}
#endif

proctype worker(byte w) {
  byte own, job = NONE, old = NONE, c, i;
  bool yes, was, stop;
end:
  started[w];
  do
  :: core[w] == NONE -> break
  :: else ->
#ifdef RETAKE
     regain();
     if
     :: !yes
     :: yes ->
        yes = false;
        pick();
        if
        :: job == NONE -> spin()
        :: else
        fi
     fi;
#else
     pick();
     if
     :: job == NONE -> spin()
     :: else
     fi;
#endif
     if
     :: job == NONE -> go_to_sleep()
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
  byte c, i, old = NONE;
  bool yes;
  submit_global(job)
}

#ifdef RETRY
/* Sysmon, after a thread could not be started: those that run, and would
   come to the job, may be stuck (R26). */
inline retry() {
  owes = false;
  any_work();
  if
  :: yes -> wake()
  :: else
  fi;
  yes = false
}
#endif

/* Sysmon frees a run-next slot: R27. */
inline release_next(x) {
#ifdef MUTANT_RESCUE_STORE
  k = slot[x];
  slot[x] = NONE;
#else
  d_step {
    k = slot[x];
    if
    :: k == LOST -> k = NONE
    :: else -> slot[x] = NONE
    fi
  };
#endif
  if
  :: k != NONE -> submit_global(k)
  :: else
  fi;
  k = 0
}

#ifdef RETAKE
/* Sysmon takes a permit away, at any moment of the worker's (R32), if a
   thread is there to go on with it. */
inline retake(x) {
  retakes--;
  d_step {
    has_thread_locked();
    if
    :: yes && core[x] != NONE && slot[core[x]] != LOST ->
       k = slot[core[x]];
       slot[core[x]] = LOST;
       if
#ifndef MUTANT_RETAKE_LEAVES
       :: k != NONE -> global!k; nglobal++
#endif
       :: else
       fi;
       do
       :: nempty(queue[core[x]]) ->
          queue[core[x]]?k;
          global!k;
          nglobal++
       :: empty(queue[core[x]]) -> break
       od;
       spare++;
       yes = true
    :: else -> yes = false
    fi;
    k = 0
  };
  if
  :: yes -> any_work()
  :: else
  fi;
#ifdef MUTANT_RETAKE_SILENTLY
  yes = false;
#endif
  if
  :: yes -> wake()
  :: else
  fi;
  yes = false
}
#endif

init {
  byte c, i, k, old = NONE;
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
#ifndef ONE_HOST
    waits[1] = true;
#endif
    run host(0);
#ifndef ONE_HOST
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
  :: ndone == RUNS -> break
#ifdef RESCUE
  :: releases > 0 && slot[0] < LOST -> releases--; release_next(0)
#endif
#ifdef RETRY
#ifndef MUTANT_NO_RETRY
  :: owes -> retry()
#endif
#endif
#ifdef RETAKE
  :: retakes > 0 && core[0] != NONE -> retake(0)
  :: retakes > 0 && core[1] != NONE -> retake(1)
#endif
#ifndef MUTANT_NO_RESCUE
  :: timeout && spare > 0 && slot[0] < LOST -> release_next(0)
  :: timeout && spare > 0 && slot[1] < LOST -> release_next(1)
  :: timeout && (spare == 0 || (slot[0] >= LOST && slot[1] >= LOST)) ->
#else
  :: timeout ->
#endif
     d_step {
       assert(!released); /* no lost wake-up */
       has_thread_locked();
       if
#if defined(FAULT) && !defined(RETRY)
       :: spare > 0 && faults > 0 -> /* no permit left beside a waiting job */
#else
       :: spare > 0 && yes ->
#endif
          assert(nglobal == 0 && nspinning == 0);
          i = 0;
          do
          :: i < CORES ->
             assert(empty(queue[i]) && slot[i] >= LOST);
             i++
          :: else -> break
          od;
          i = 0
       :: else
       fi;
       yes = false;
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
  assert(spare == PERMITS && nspinning == 0 && nglobal == 0)
}
