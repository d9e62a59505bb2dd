/* offload.pml - calls that block, and the threads that make them.
   SPDX-License-Identifier: MIT

   Models src/offload.c: CALLS calls are sent to one offload; two tasks wait for
   the first one, and each waiter may leave at any time. LIMIT helpers at most
   make the calls, and end when they have had none for a while. -DFAULT: up to FAULTS
   starts of a thread fail. -DSTUCK: the first call that is made never ends.
   -DSTOP: somebody tells free helpers to end, when all who waited have gone.
   What happens under the offload's lock is one step. A helper's sleep ends by
   itself only while no call is in the queue, so that one which sleeps through
   a call is found out. Race numbers are those of README.md. Checked:
   1. A call is touched only while it is not freed (R181).
   2. It is made once at most, and then its waiters are told so; else each of
      them that has not left is told that it was not made (R183, R184).
   3. While a call is in the queue there are helpers, and as many free ones, but
      for the limit and for starts that have failed (R182).
   4. When nobody can move, no call is left in the queue, what was announced to
      the look for deadlocks has been taken back (R185), and helpers are counted
      right; after a stop there are none (R186). */

#define CALLS 2
#define WAITERS 3 /* of calls 0, 0, 1 */
#define LIMIT 2
#ifdef FAULT
#define FAULTS 2
#else
#define FAULTS 0
#endif
#define STARTS 4 /* threads that are ever started, at most */

#define NOT_YET 0
#define MADE 1
#define FAILED 2

chan queue = [CALLS] of { byte };
byte nfree, nhelpers; /* counted under the lock */
byte word;            /* modulo 4: changes with each call */
bool stopping;
byte nthreads; /* that run, really */
byte nstarts;
byte nfaults;
bool stuck; /* a helper is, for ever */

byte refs[CALLS];
bool taken[CALLS];
bool freed[CALLS];
byte runs[CALLS];
byte done[CALLS];
byte expected; /* announcements that hold */
byte gone;     /* waiters that have ended */

byte sleepers; /* helpers asleep in the kernel, ... */
byte wakes;    /* ... and how many of these were woken */

#define covered() \
  (len(queue) <= nfree || nhelpers >= LIMIT || nfaults > 0)

/* With the lock: is one more helper needed, and allowed? */
inline reserve(yes) {
#ifdef MUTANT_RESERVE_IF_NONE
  yes = (nfree == 0 && len(queue) > 0 && nhelpers < LIMIT); /* R182 */
#else
  yes = (len(queue) > nfree && nhelpers < LIMIT);
#endif
  if
  :: yes -> nhelpers++; nfree++
  :: else
  fi
}

/* Futexes: those who sleep and were not woken yet. */
inline wake_one() {
  d_step {
    if
    :: wakes < sleepers -> wakes++
    :: else
    fi
  }
}
inline wake_all() {
  d_step { wakes = sleepers }
}

/* Drops a reference; without one the call ends. */
inline drop(c) {
  d_step {
    assert(refs[c] > 0 && !freed[c]); /* R181 */
    refs[c]--;
    last = (refs[c] == 0)
  };
  if
  :: last ->
     d_step { /* the lock */
       last = taken[c];
#ifndef MUTANT_FREED_IN_QUEUE
       if
       :: queue??[eval(c)] -> queue??eval(c) /* R181 */
       :: else
       fi;
#endif
       if
       :: !last -> assert(expected > 0); expected--
       :: else
       fi
     };
     d_step { freed[c] = true; last = false }
  :: else
  fi
}

/* The call is over: event, announcement, reference, in this order. */
inline finish(c, how) {
#ifdef MUTANT_UNEXPECT_EARLY
  d_step { assert(expected > 0); expected-- }; /* R185 */
#endif
  d_step {
    assert(!freed[c] && done[c] == NOT_YET && expected > 0); /* R185 */
    done[c] = how
  };
#ifndef MUTANT_UNEXPECT_EARLY
  d_step { assert(expected > 0); expected-- };
#endif
  drop(c)
}

/* With the lock: the first call for which somebody waits, with a reference; or
   CALLS. */
inline take(c) {
  c = CALLS;
  do
  :: c == CALLS && len(queue) > 0 ->
     queue?c;
     assert(!freed[c]); /* R181 */
#ifdef MUTANT_TAKEN_BLINDLY
     taken[c] = true;
     refs[c]++
#else
     if
     :: refs[c] > 0 -> taken[c] = true; refs[c]++
     :: else ->
#ifdef MUTANT_PASSED_TWICE
        assert(expected > 0);
        expected--; /* R185 */
#endif
        c = CALLS /* it is about to end */
     fi
#endif
  :: else -> break
  od
}

/* A helper was reserved: starts it, or gives it up. `lost` is a set. */
inline start() {
  if
  :: d_step { nthreads++; nstarts++; assert(nstarts <= STARTS) }; run helper()
  :: d_step { nfaults < FAULTS -> nfaults++ };
     d_step { /* the lock */
       nhelpers--;
       nfree--;
       lost = 0;
       do
       :: nhelpers == 0 && len(queue) > 0 ->
          take(k);
#ifdef MUTANT_LOST_SILENTLY
          skip /* R184 */
#else
          lost = (k < CALLS -> lost | (1 << k) : lost)
#endif
       :: else -> break
       od;
       k = 0
     };
     do
     :: k < CALLS ->
        if
        :: lost & (1 << k) -> finish(k, FAILED)
        :: else
        fi;
        k++
     :: else -> break
     od;
     k = 0;
     lost = 0
  fi
}

proctype helper() {
  byte c, seen, lost, k;
  bool late, more, last, end;
  do
  :: d_step { /* the lock */
#ifdef MUTANT_ENDS_BLINDLY
       if
       :: late -> c = CALLS /* R183 */
       :: else -> take(c)
       fi;
#else
       take(c);
#endif
       more = false;
       if
       :: c < CALLS ->
          nfree--;
          reserve(more)
       :: else ->
          end = (late || stopping);
          if
          :: end -> nfree--; nhelpers--
          :: else
          fi
       fi;
       seen = word
     };
     if
     :: more -> start()
     :: else
     fi;
     if
     :: c < CALLS ->
        d_step {
          assert(!freed[c] && runs[c] == 0);
          runs[c]++;
          late = false
        };
#ifdef STUCK
        if
        :: d_step { !stuck -> stuck = true }; break
        :: else
        fi;
#endif
        d_step { nfree++ };
        finish(c, MADE)
     :: c == CALLS && end -> break
     :: else ->
#ifdef MUTANT_WORD_LATE
        seen = word; /* R183 */
#endif
        if
        :: d_step { word != seen -> skip } /* it does not sleep */
        :: d_step { word == seen -> sleepers++ };
end_asleep:
           if
           :: d_step { wakes > 0 -> wakes--; sleepers-- }
#ifndef STOP
           :: d_step { wakes < sleepers && len(queue) == 0 ->
                sleepers--;
                late = true
              }
#endif
           fi
        fi
     fi
  od;
  if
  :: c < CALLS -> skip /* stuck in it */
  :: else -> nthreads--
  fi
}

/* Somebody who waits for call c; `first` sends it. */
proctype waiter(byte c; bool first) {
  byte lost, k;
  bool more, last;
  if
  :: first ->
     expected++;
     d_step { /* the lock */
       queue!c;
       reserve(more);
       word = (word + 1) % 4;
       assert(covered()) /* R182 */
     };
     if
     :: more -> start()
     :: else ->
#ifndef MUTANT_SENT_SILENTLY
        wake_one() /* R183 */
#else
        skip
#endif
     fi
  :: else
  fi;
  if
  :: skip /* it leaves */
  :: skip ->
end_wait:
     d_step {
       done[c] != NOT_YET;
       assert(!freed[c]);
       assert((done[c] == MADE) == (runs[c] == 1));
       assert(done[c] == MADE || nfaults > 0)
     }
  fi;
  drop(c);
  gone++
}

#ifdef STOP
proctype stopper() {
  gone == WAITERS;
  d_step {
    stopping = true;
#ifndef MUTANT_STOP_SILENTLY
    word = (word + 1) % 4 /* R186 */
#endif
  };
  wake_all()
}
#endif

init {
  byte i, n;
  atomic {
    refs[0] = 2;
    refs[1] = 1;
    run waiter(0, true);
    run waiter(0, false);
    run waiter(1, true);
#ifdef STOP
    run stopper()
#endif
  };
  timeout;
  d_step {
    assert(len(queue) == 0);
    assert(nthreads == nhelpers);
#ifdef STUCK
    assert(expected == 1 || !stuck);
    assert(nfree == nhelpers - expected);
#else
    assert(gone == WAITERS && expected == 0 && nfree == nhelpers);
    assert(nhelpers == 0); /* R186 */
#endif
    do
    :: i < CALLS ->
       n = n + (refs[i] > 0 -> 1 : 0);
       assert(freed[i] == (refs[i] == 0));
       i++
    :: else -> break
    od;
    assert(n == (stuck -> 1 : 0))
  }
}
