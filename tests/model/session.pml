/* session.pml - the inbox word of a session: push, run, idle, close, free.
   SPDX-License-Identifier: MIT

   Models src/session.c, src/slice.c and the start of a task in src/task.c: one word that
   is IDLE, EMPTY, CLOSED or the last of a LIFO chain of posts. Two workers
   run the one session; a waker for each task wakes it without holding any
   reference; two users of the session's handle post to it, start a task in
   it and drop the handle. Race numbers (R1 ..) are those of README.md.
   -DALARM has the timer's alarm instead of the second task; -DREVIVE adds a
   handle that a running task makes of its own session; -DHOST has a host
   (src/host.c) that runs its session itself and sleeps while it is idle.
   Checked:
   1. At most one worker runs the session; it is queued at most once and not
      while it runs.
   2. Every post is delivered once or rejected once, one sender's in order.
   3. Nobody touches the session after it was freed.
   4. Once nobody can move, every task has ended and the session is freed: no
      wake-up was lost. */

#define IDLE 0
#define EMPTY 1
#define CLOSED 2
#define FIRST 3 /* FIRST + n: post n is the last of the chain */

/* Posts: 0 and 1 are tasks to resume, the others functions to call. */
#define NTASKS 2
#define ASK 2    /* closes the session, as session:close() does */
#define ORPHAN 3 /* sent when the last handle goes */
#define BELL 4   /* sent by the alarm */
#define NPOSTS 5

byte inbox = IDLE;
byte next[NPOSTS]; /* 0, or FIRST + n */
byte holds = 3;    /* task 0, the handles together, being open */
#ifdef ALARM
byte refs = 1;
#else
byte refs = 2;     /* handles */
#endif
bool queued;       /* the session is in a run queue */
byte ntasks = 1;   /* (lock) unfinished */
bool closing;      /* (lock) takes no new tasks */
bool orphan_posted;
#ifdef HOST
bool event;    /* what the host sleeps on, freed with the session */
byte naps = 1; /* times that it wakes by itself */
#endif
#ifdef ALARM
bool alarm_posted;
bool alarm_set = true; /* (timer lock) */
#endif

/* Owner only. */
chan ready = [NPOSTS] of { byte };
bool close_wanted;
bool orphaned;
byte parks[NTASKS]; /* times that it still parks before it ends */

/* What really happens, for the assertions. */
bool running;
bool freed;
bool parked[NTASKS];
bool started1;
bool inside[NPOSTS]; /* pushed, not yet delivered */
byte delivered[NPOSTS];
byte rejected[NPOSTS];
bool ask_first; /* ORPHAN was sent by the sender of ASK */

#define touch() assert(!freed)

inline drop_hold() {
  d_step {
    touch();
    assert(holds > 0);
    holds--;
    if
    :: holds == 0 -> assert(inbox == CLOSED && !running); freed = true
    :: else
    fi
  }
}

inline enqueue() {
  d_step {
    touch();
#ifdef HOST
#ifndef MUTANT_HOST_HASTY
    assert(!event && !running); /* R53 */
#endif
    event = true
#else
    assert(!queued && !running); /* R2 */
    queued = true
#endif
  }
}

/* Who has replaced IDLE owns the session until it queues it, and puts its
   post into the ready list; but a host's thread is always there. */
inline hand_over(n) {
#ifdef HOST
  skip
#else
  if
  :: ok && old == IDLE ->
     d_step { touch(); assert(!running); ready!n } /* R12 */
  :: else
  fi
#endif
}

/* cast_session_push. Load and compare-exchange are all that others can see.
   A post must not be pushed again before it was delivered. */
inline push(n) {
  do
  :: d_step {
       touch();
       old = inbox;
       next[n] = (old < FIRST -> 0 : old)
     };
     if
     :: old == CLOSED -> ok = false; break
     :: else
     fi;
     d_step {
       touch();
       ok = (inbox == old);
       if
       :: ok ->
#ifdef HOST
          inbox = FIRST + n;
#else
          inbox = (old == IDLE -> EMPTY : FIRST + n);
#endif
          assert(!inside[n]);
          inside[n] = true
       :: else /* R3: somebody was faster, try again */
       fi
     };
     if
     :: ok -> break
     :: else
     fi
  od;
#ifndef MUTANT_READY_LATE
  hand_over(n);
#endif
  if
#ifdef MUTANT_ENQUEUE_ALWAYS
  :: ok -> enqueue() /* R2 */
#else
  :: ok && old == IDLE -> enqueue() /* R2: exactly one saw IDLE */
#endif
#ifdef MUTANT_TOUCH_AFTER_PUSH
  :: ok && old != IDLE -> touch() /* R1 */
#endif
  :: else
  fi;
#ifdef MUTANT_READY_LATE
  hand_over(n); /* R12: somebody may run it already */
#endif
  old = 0
}

/* Whoever fires the wait of a task. Holds nothing: an unfinished task keeps
   its session open, and open means allocated. */
proctype waker(byte t) {
  byte old;
  bool ok;
end:
  do
  :: d_step { parked[t] -> parked[t] = false };
     push(t);
     assert(ok); /* R4 */
     ok = false
  od
}

/* A handle goes; the last one tells the session. All are one weak reference. */
inline unref(asked) {
  d_step { assert(refs > 0); refs--; old = refs };
  if
  :: old == 0 ->
#ifdef MUTANT_HOLD_DROPPED_EARLY
     drop_hold(); /* R6 */
#endif
     d_step {
       touch();
#ifdef MUTANT_ORPHAN_TWICE
       ok = false; /* R9 */
#else
       ok = orphan_posted; /* R9: exchange */
#endif
       orphan_posted = true
     };
     if
     :: ok
     :: else ->
        ask_first = asked;
        push(ORPHAN);
        if
        :: !ok -> rejected[ORPHAN]++ /* R5 */
        :: else
        fi
     fi;
#ifndef MUTANT_HOLD_DROPPED_EARLY
     drop_hold() /* R6: the handles' hold has covered the push */
#endif
  :: else
  fi;
  old = 0;
  ok = false
}

proctype poster() {
  byte old;
  bool ok;
  push(ASK);
  if
  :: !ok -> rejected[ASK]++ /* R5: the sender is told */
  :: else
  fi;
  unref(true)
}

/* cast_task_start: counted under the lock first, pushed then. */
proctype spawner() {
  byte old;
  bool ok;
  d_step { /* R7 */
    touch();
    ok = !closing;
    if
    :: ok ->
       holds++;
       started1 = true;
#ifndef MUTANT_START_UNCOUNTED
       ntasks++
#endif
    :: else
    fi
  };
  if
  :: ok ->
     push(1);
     assert(ok); /* R7: counted, so it cannot have closed */
#ifdef MUTANT_START_UNCOUNTED
     ntasks++
#endif
  :: else
  fi;
  unref(false)
}

#ifdef ALARM
/* Sysmon thread: fires under the timer lock, which the closer takes to
   remove the alarm; and tells the session after it, which it holds for that. */
bool timer_lock;
proctype timer() {
  byte old;
  bool ok;
  byte rings = 2;
end:
  do
  :: d_step { rings > 0 && !timer_lock && alarm_set -> timer_lock = true };
     rings--;
     d_step { touch(); ok = alarm_posted; alarm_posted = true }; /* R9 */
#ifdef MUTANT_BELL_TWICE
     ok = false;
#endif
#ifndef MUTANT_ALARM_UNHELD
     if
     :: ok
     :: else -> d_step { touch(); holds++ } /* R10 */
     fi;
#endif
     timer_lock = false;
     if
     :: ok
     :: else ->
        push(BELL); /* or it has closed meanwhile */
#ifndef MUTANT_ALARM_UNHELD
        drop_hold()
#endif
     fi;
     ok = false
  od
}
#endif

#ifdef REVIVE
/* Whoever got the handle that task 0 made of its own session. */
bool revived;
proctype borrower() {
  byte old;
  bool ok;
end:
  revived;
  unref(false)
}
#endif

/* Puts a taken chain, last post first, into the ready list in order. */
inline unchain() {
  d_step {
    n = 0;
    do
    :: w >= FIRST -> stack[n] = w - FIRST; n++; w = next[w - FIRST]
    :: else -> break
    od;
#ifdef MUTANT_NO_REVERSE
    i = 0;
    do
    :: i < n -> ready!stack[i]; stack[i] = 0; i++ /* R8 */
    :: else -> break
    od;
#else
    do
    :: n > 0 -> n--; ready!stack[n]; stack[n] = 0 /* R8 */
    :: else -> break
    od;
#endif
    i = 0;
    n = 0;
    w = 0
  }
}

/* Does the first ready thing. A task parks until its waker comes, or ends. */
inline step() {
  d_step {
    ready?n ->
    touch();
    assert(inside[n] && running);
    inside[n] = false;
    if
    :: n < NTASKS && parks[n] > 0 -> parks[n]--; parked[n] = true
    :: n < NTASKS && parks[n] == 0 ->
       delivered[n]++;
       assert(ntasks > 0);
       ntasks--; /* under the lock */
#ifdef REVIVE
       if
       :: n == 0 -> /* cast_session_handle, under the lock: R11 */
          holds = (refs == 0 -> holds + 1 : holds);
          refs++;
          revived = true
       :: else
       fi;
#endif
       assert(holds > 1);
       holds-- /* the task's; the session is still open */
    :: n == ASK ->
       delivered[ASK]++;
#ifndef REVIVE /* there, only the last handle closes it */
       close_wanted = true
#endif
    :: n == ORPHAN ->
       delivered[ORPHAN]++;
#ifndef MUTANT_ORPHAN_CLEARED_LATE
       orphan_posted = false; /* R9: before refs are read */
#endif
       orphaned = true;
       assert(!ask_first || delivered[ASK]) /* R8 */
#ifdef ALARM
    :: n == BELL -> delivered[BELL]++; alarm_posted = false
#endif
    fi;
    n = 0
  }
}

/* The slice is used up and others wait: to the back of a run queue. */
inline requeue() {
#ifdef MUTANT_REQUEUE_BEFORE_END
  d_step { touch(); assert(!queued); queued = true };
  running = false /* R2: still at work after it was queued */
#else
  d_step { running = false; touch(); assert(!queued); queued = true }
#endif
}

inline go_idle() {
#ifdef MUTANT_IDLE_STORE
  ok = (inbox == EMPTY); /* R3: a test and then a store */
  if
  :: ok -> d_step { inbox = IDLE; running = false }
  :: else
  fi;
#else
  d_step { /* R3: compare-exchange EMPTY -> IDLE */
    touch();
    ok = (inbox == EMPTY);
    if
    :: ok -> inbox = IDLE; running = false
    :: else
    fi
  };
#endif
#ifdef MUTANT_TOUCH_AFTER_IDLE
  if
  :: ok -> touch() /* R1 */
  :: else
  fi;
#endif
}

/* Nothing is ready. May the session close? Decided under the lock. */
inline may_close() {
#ifdef MUTANT_ORPHAN_CLEARED_LATE
  bool late = orphaned;
#endif
  d_step {
    touch();
#ifndef MUTANT_REVIVED_IGNORED
    orphaned = orphaned && refs == 0; /* R11 */
#endif
#ifdef MUTANT_CLOSE_WITH_TASKS
    ok = close_wanted || orphaned; /* R4 */
#else
    ok = ntasks == 0 && (close_wanted || orphaned); /* R4 */
#endif
    assert(!ok || close_wanted || refs == 0); /* R11 */
    closing = closing || ok /* R7 */
  };
#ifdef MUTANT_ORPHAN_CLEARED_LATE
  if
  :: late -> orphan_posted = false; late = false
  :: else
  fi
#endif
}

inline close() {
#ifdef ALARM
#ifdef MUTANT_ALARM_KEPT
  skip;
#else
  d_step { !timer_lock -> alarm_set = false }; /* R10 */
#endif
#endif
#ifdef MUTANT_CLOSE_STORE
  w = inbox;
  inbox = CLOSED;
#else
  d_step { touch(); w = inbox; inbox = CLOSED }; /* R5: exchange */
#endif
  d_step {
    do
    :: w >= FIRST ->
       n = w - FIRST;
       assert(n >= NTASKS); /* R4: never a task */
       assert(inside[n]);
       inside[n] = false;
       rejected[n]++;
       w = next[n]
    :: else -> break
    od;
    w = 0;
    n = 0;
    running = false
  };
  drop_hold()
}

#ifdef HOST
/* Until it is woken, sees a post by itself, or a deadline has passed. */
inline host_sleep() {
  if
  :: event
  :: inbox != IDLE
  :: d_step { naps > 0 -> naps-- }
  fi;
  d_step { /* R53: compare-exchange IDLE -> EMPTY */
    ok = (inbox == IDLE);
    inbox = (ok -> EMPTY : inbox);
    running = ok
  };
#ifdef MUTANT_HOST_HASTY
  d_step { event = false; running = true }
#else
  if
  :: !ok -> d_step { event -> event = false; running = true } /* R53 */
  :: else
  fi
#endif
}
#endif

proctype worker() {
  byte stack[NPOSTS];
  byte w, n, i;
  bool ok;
end:
  do
  :: d_step {
       queued -> queued = false;
       touch();
       assert(!running);
       running = true
     };
take:
#ifdef MUTANT_TAKE_STORE
     w = inbox;
     inbox = EMPTY; /* R3: a load and then a store */
#else
     atomic { /* R3: exchange, all posts at once */
       touch();
       w = inbox;
       assert(w != IDLE && w != CLOSED);
       inbox = EMPTY
     };
#endif
     unchain();
     do
     :: nempty(ready) -> step()
#ifndef HOST
     :: nempty(ready) -> requeue(); break
#endif
     :: empty(ready) ->
        may_close();
        if
        :: ok -> close(); break
        :: else
        fi;
        go_idle();
#ifdef HOST
        if
        :: ok -> host_sleep()
        :: else
        fi;
        goto take
#else
        if
        :: ok -> break
        :: else -> goto take
        fi
#endif
     od;
     ok = false
  od
}

init {
  atomic {
    parks[0] = 1; /* and waits for something from the start */
    parked[0] = true;
    parks[1] = 1;
#ifdef HOST
    d_step { inbox = EMPTY; queued = true };
#else
    run worker();
#endif
    run worker();
    run waker(0);
    run waker(1);
    run poster();
#ifdef ALARM
    run timer();
#else
    run spawner();
#endif
#ifdef REVIVE
    run borrower();
#endif
  };
  timeout; /* nobody can move any more */
  d_step {
    assert(freed && inbox == CLOSED && !queued && !running);
    assert(ntasks == 0 && refs == 0 && empty(ready));
    assert(delivered[0] == 1 && parks[0] == 0);
    assert(!started1 || (delivered[1] == 1 && parks[1] == 0));
    assert(delivered[ASK] + rejected[ASK] == 1);
    assert(delivered[ORPHAN] + rejected[ORPHAN] >= 1);
    assert(!inside[ASK] && !inside[ORPHAN] && !inside[BELL])
  }
}
