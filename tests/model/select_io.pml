/* select_io.pml - select over a channel and a descriptor.
   SPDX-License-Identifier: MIT

   Models src/select.c (cast_select_files), src/lua/io/net_wait.c and what these
   use of src/io/descriptor.c: a look at the descriptor; then, under the lock of
   the channel, the choice, or a place in its queue; then a place in the queue
   of the descriptor; and after an event the same once more. Descriptors as such
   are in descriptor.pml, waits in wait.pml. What a lock covers is one step.
   Scenarios: a task that selects twice, perhaps with a deadline, beside one
   that reads the same stream (the plain one); CLOSE, the stream is closed, and
   another file gets its number; MOVE, the stream is sent to another session.
   Race numbers are those of README.md. Checked, the first whenever no thread
   can move:
   1. No task waits beside a message, or for a descriptor that has something or
      is closed; and one that waits stands in both queues (R178).
   2. A select that tells of the descriptor has found that it had something
      after the task went on, or was closed (R179).
   3. A message that was taken is the result of a select.
   4. No place in a queue outlives its wait, and no claim comes after it.
   5. What was read of a stream is looked at by the session that has it (R180).
   6. The system is asked about the right file (R156). */

#define TASKS 2
#define SELECTOR 0
#define READER 1
#define ROUNDS 2
#define NONE 255

/* -- the system ------------------------------------------------------------ */

/* File 0 is the stream's. */
byte number = 0; /* of which file */
byte data;
bool eof;
bool is_open = true;
bool inside; /* in the set */
bool edge;   /* something is to be told about it */

#define something (data > 0 || eof)

/* Something has happened to it. */
inline changed() {
  edge = inside;
  was = true
}

/* -- waits ----------------------------------------------------------------- */

#define ARMED 1
#define FIRED 2

/* What ends a wait, or a select. */
#define MESSAGE 1
#define EVENT 2
#define SHUT 3
#define LATE 4 /* the deadline */

/* By task. A place in a queue tells of which wait it is: an odd one? */
byte state[TASKS];
bool odd[TASKS];
byte index[TASKS]; /* what has ended it */
bool woken[TASKS];
bool parked[TASKS];

#define stands_in(q, t) (q??[eval(t), eval(odd[t])])

chan receivers = [1] of { byte, bool }; /* (the channel's lock) */
byte slot;                              /* messages in the channel */
byte sent, taken;

chan waiters = [TASKS] of { byte, bool }; /* (lock) */
bool closing;                             /* (lock) */
bool added;                               /* (lock) */
bool ready;
byte users = 1;
bool opened = true; /* in `users` */

bool ended; /* an event has told of the end */
bool drained;
byte owner;   /* of the stream: which session */
byte selects; /* calls that wait for it */
bool running; /* session 0 runs the selector */
bool was;     /* the stream had something since the selector went on */

/* Under the lock of queue q: claims waiters, all of them or one; yes: the last
   one that was met, was claimed. */
inline claim(q, all, how) {
  yes = false;
  do
  :: (all || !yes) && nempty(q) ->
     q?at, its;
     assert(odd[at] == its && state[at] != 0); /* R43 */
     yes = (state[at] == ARMED);
     if
     :: yes ->
        assert(!woken[at]);
        state[at] = FIRED;
        index[at] = how;
        woken[at] = true
     :: else
     fi
  :: (yes && !all) || empty(q) -> break
  od;
  at = 0;
  its = false
}

/* An event, or what somebody has left of one. */
inline become_ready() {
  d_step {
    ready = true;
    claim(waiters, true, EVENT);
    yes = false
  }
}

/* The owner claims its own wait: yes. */
inline claim_own(t) {
  d_step {
    yes = (state[t] == ARMED);
    state[t] = (yes -> FIRED : state[t])
  }
}

inline leave_queue(q, t) {
  d_step {
    if
    :: stands_in(q, t) -> q??eval(t), eval(odd[t])
    :: else
    fi
  }
}

/* Its wait is over, and t is in no queue. */
inline wait_over(t) {
  d_step {
    assert(state[t] == FIRED && !woken[t]);
    assert(!receivers??[eval(t), _] && !waiters??[eval(t), _]);
    state[t] = 0;
    index[t] = 0
  }
}

/* -- the descriptor -------------------------------------------------------- */

inline begin() {
  d_step {
    yes = opened;
    users = (yes -> users + 1 : users)
  }
}

/* The last one closes it. */
inline leave() {
  d_step {
    assert(users > 0);
    users--;
    yes = (users == 0 && !opened)
  };
  if
  :: yes ->
     d_step {
       inside = false;
       edge = false;
       is_open = false;
       number = NONE
     }
  :: else
  fi
}

#define QUEUED 1
#define TRY 2
#define OVER 3

/* cast_descriptor_join: what. */
inline join(t) {
  d_step {
    if
#ifdef MUTANT_JOIN_CLOSED
    :: closing && t == READER -> what = OVER
#else
    :: closing -> what = OVER
#endif
    :: else ->
       if
       :: !added -> added = true; inside = true; edge = something
       :: else
       fi;
       if
#ifndef MUTANT_JOIN_BLINDLY
       :: ready -> what = TRY /* R178 */
#endif
       :: else -> waiters!t, odd[t]; what = QUEUED
       fi
    fi
  }
}

proctype looker() {
  byte at;
  bool yes, its, with_end;
end:
  do
  :: d_step { edge -> edge = false; with_end = eof };
     d_step {
       if
       :: !closing ->
          ended = ended || with_end;
          ready = true;
          claim(waiters, true, EVENT);
          yes = false
       :: else
       fi;
       with_end = false
     }
  od
}

/* -- select ---------------------------------------------------------------- */

/* Asks the system: found. */
inline ask() {
  d_step {
    assert(number == 0 && is_open); /* R156 */
    found = (something -> EVENT : 0)
  }
}

/* look() of select.c: found. */
inline look() {
#ifdef MUTANT_LOOK_UNCOUNTED
  yes = opened; /* R156: not one of the users */
#else
  begin();
#endif
  if
  :: !yes -> found = SHUT
  :: else ->
     ask();
     if
     :: found == 0 && ready ->
        ready = false;
#ifndef MUTANT_ASK_ONCE
        ask() /* R178: for what came before the note was wiped out */
#endif
     :: else
     fi;
     if
#ifndef MUTANT_NO_PASS
     :: found != 0 && !ready -> become_ready() /* R160 */
#endif
     :: else
     fi;
#ifndef MUTANT_LOOK_UNCOUNTED
     leave()
#endif
  fi;
  yes = false
}

/* cast_select_done. */
inline leave_all() {
#ifndef MUTANT_LOSERS_STAY
  leave_queue(receivers, SELECTOR); /* R43 */
  leave_queue(waiters, SELECTOR);
#endif
  wait_over(SELECTOR)
}

/* cast_select_files. which: what there is; 0: it waits. */
inline select_files() {
  do
  :: true ->
     look();
     odd[SELECTOR] = !odd[SELECTOR];
     atomic { /* with the lock of the channel */
       if
       :: slot > 0 -> slot--; which = MESSAGE
       :: found != 0 -> which = found
       :: slot == 0 && found == 0 ->
          state[SELECTOR] = ARMED;
          receivers!SELECTOR, odd[SELECTOR];
          which = 0
       fi;
       found = 0
     };
     if
     :: which != 0 || state[SELECTOR] != ARMED -> break
     :: else -> join(SELECTOR)
     fi;
     if
     :: what == QUEUED -> break
     :: else -> claim_own(SELECTOR) /* call_off */
     fi;
#ifdef MUTANT_CALL_OFF_BLINDLY
     yes = true;
     state[SELECTOR] = FIRED;
#endif
     if
     :: !yes -> break /* somebody else was faster */
     :: yes -> leave_all(); yes = false
     fi
  od;
  what = 0
}

/* The selector has the session again. */
inline resume() {
#ifdef MOVE
  d_step { !running -> running = true };
#endif
  d_step {
    parked[SELECTOR] = false;
    was = something
  }
}

/* Until the wait is over: which. */
inline wait() {
  if
  :: late = false
  :: late = true /* it has a deadline */
  fi;
  d_step {
    parked[SELECTOR] = true;
#ifndef MUTANT_UNCOUNTED
    selects = 1; /* R180 */
#endif
    running = false
  };
end_wait:
  if
  :: woken[SELECTOR] -> resume(); woken[SELECTOR] = false
  :: late ->
     resume();
     claim_own(SELECTOR);
     if
     :: yes -> index[SELECTOR] = LATE
     :: else -> woken[SELECTOR] = false
     fi
  fi;
  yes = false;
  late = false;
  which = index[SELECTOR];
  leave_all()
}

proctype selector() {
  byte found, what, which, at, n;
  bool yes, its, late;
  do
  :: n == ROUNDS -> break
  :: n < ROUNDS ->
#ifdef MOVE
     d_step { !running -> running = true };
     if
     :: owner != 0 -> break /* it raises an error */
     :: else
     fi;
#endif
     was = something;
     do
     :: true ->
        assert(owner == 0); /* R180: it looks at what is left over */
        select_files();
        if
        :: which == 0 -> wait()
        :: else -> break
        fi;
        if
#ifndef MUTANT_NO_AGAIN
        :: which == EVENT /* R179: once more */
        :: which != EVENT -> break
#else
        :: true -> break
#endif
        fi
     od;
     yes = false;
     d_step {
       assert(which != EVENT || was);     /* R179 */
       assert(which != SHUT || closing);
       assert(state[SELECTOR] == 0 && empty(receivers));
       taken = (which == MESSAGE -> taken + 1 : taken);
       selects = 0;
       running = false;
       which = 0;
       n++
     }
  od;
  running = false;
  n = 0
}

/* -- others ---------------------------------------------------------------- */

/* Reads the stream, and may stop at any time: cast_stream_try, and a wait as
   ONE. */
proctype reader() {
  byte what, at;
  bool yes, its, over;
#ifdef MOVE
end_owner:
  owner == 1;
#endif
  do
  :: true -> break
  :: !over ->
     what = 0;
     begin();
     if
     :: !yes -> over = true
     :: yes && drained && !ready && !ended -> what = TRY; leave()
     :: else ->
        ready = false;
        d_step {
          assert(number == 0 && is_open); /* R156 */
          drained = (data == 1);
          if
          :: data > 0 -> data = (data == 1 -> 0 : data - 2)
          :: data == 0 && eof -> over = true
          :: data == 0 && !eof -> what = TRY
          fi
        };
        if
#ifdef MUTANT_ENDED_SILENTLY
        :: what != TRY && !drained -> become_ready()
#else
        :: what != TRY && (!drained || ended) -> become_ready() /* R160 */
#endif
        :: else
        fi;
        leave()
     fi;
     if
     :: what == TRY ->
        d_step { state[READER] = ARMED; odd[READER] = !odd[READER] };
        join(READER);
        if
        :: what == QUEUED ->
           parked[READER] = true;
end:
           woken[READER];
           d_step {
             parked[READER] = false;
             woken[READER] = false;
             over = (index[READER] == SHUT)
           };
           wait_over(READER)
        :: what != QUEUED ->
           d_step { state[READER] = 0; over = (what == OVER) }
        fi
     :: else
     fi
  od;
  over = false;
  d_step { yes = false; what = 0 }
}

/* cast_chan_send, into a channel that has room. */
proctype sender() {
  byte at;
  bool yes, its;
  if
  :: d_step {
       sent++;
       claim(receivers, false, MESSAGE);
       slot = (yes -> slot : slot + 1);
       yes = false
     }
#ifdef CLOSE
  :: true
#endif
  fi
}

/* The other side: bytes, and the end. */
proctype peer(byte n) {
  do
  :: n > 0 && is_open ->
     d_step {
       if
       :: is_open -> data++; changed()
       :: else
       fi;
       n--
     }
  :: n == 0 || !is_open -> break
  od;
  n = 0;
  if
  :: d_step { is_open -> eof = true; changed() }
  :: true
  fi
}

#ifdef CLOSE
proctype closer() {
  byte at;
  bool yes, its;
  d_step {
    closing = true;
    claim(waiters, true, SHUT);
    yes = false
  };
  opened = false;
  leave();
  yes = false
}

/* As soon as the number is free another file gets it. */
proctype opener() { d_step { number == NONE -> number = 1 } }
#endif

#ifdef MOVE
/* A task of the same session sends the stream away, if nothing waits for it. */
proctype mover() {
end:
  d_step {
    !running && owner == 0 && selects == 0 && empty(waiters) -> owner = 1
  }
}
#endif

init {
  atomic {
    run looker();
    run selector();
    run sender();
#ifdef CLOSE
    run peer(1);
    run closer();
    run opener();
#else
    run peer(2);
    run reader();
#endif
#ifdef MOVE
    run mover();
#endif
  };
  timeout;
  assert(!parked[SELECTOR] || (slot == 0 && !something && !closing)); /* R178 */
  assert(!parked[SELECTOR] ||
         (state[SELECTOR] == ARMED && stands_in(receivers, SELECTOR) &&
          stands_in(waiters, SELECTOR)));
  assert(!parked[READER] || (!something && !closing)); /* R160 */
  assert(slot + taken == sent)
}
