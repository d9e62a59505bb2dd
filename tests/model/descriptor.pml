/* descriptor.pml - tasks wait for a descriptor: events, close, accepting.
   SPDX-License-Identifier: MIT

   Models src/io/descriptor.c with the reading of streams (stream.c) and the
   accepting of connections (net_listener.c): `ready`, which is cleared before
   the system is asked; the queue, under the lock; the set, which is
   edge-triggered and entered with the first wait; threads that look, of which
   one at a time takes an event out of the set, while several may be handing out
   what they have taken. What the lock covers is one step; `ready`, `ended` and
   `users` are read without it. Scenarios: a stream that moves to another
   session (the plain one); CLOSE, in which its place and its number are
   another's afterwards; ACCEPT, a listener with two tasks that accept, one of
   which is cancelled, and one that selects, or, with KEPT, one of which has no
   memory for its connection (R188); LEVEL, three tasks that ask whether
   there is something, and take nothing (net.wait). Race numbers are those of
   README.md. Checked, the first whenever no thread can move:
   1. No task waits for a descriptor that has something for it (R151 to R153,
      R157 to R161), or for one that is closed (R155).
   2. An event reaches the descriptor that it is about only (R154).
   3. The system is asked about an open number, and that of the right file
      (R156).
   4. A stream is read by its owner (R157). */

#if defined(ACCEPT) || defined(LEVEL)
#define TASKS 3
#else
#define TASKS 2
#endif
#define LOOKERS 2
#define NONE 255

/* -- the system: files, numbers, the set ----------------------------------- */

/* Two files, which have the same number one after the other. */
byte number = 0; /* of which file */
byte data[2];    /* bytes to be read, connections to be accepted */
bool eof[2];
bool is_open[2];
bool inside[2];  /* in the set */
bool edge[2];    /* something is to be told about it */

/* Something has happened to file f: an edge, if it is in the set. */
#define changed(f) edge[f] = inside[f]

inline enter_set(f) {
  inside[f] = true;
#ifndef MUTANT_ADD_SILENTLY
  edge[f] = (data[f] > 0 || eof[f]) /* R153: what is there already is told */
#endif
}

/* By number, as the system does it. */
inline remove_number() {
  if
  :: number != NONE -> inside[number] = false; edge[number] = false
  :: else
  fi
}

inline close_number(f) {
  assert(number == f && is_open[f]);
  is_open[f] = false;
  inside[f] = false;
  edge[f] = false;
  number = NONE
}

/* -- descriptors ----------------------------------------------------------- */

/* By place. A descriptor's generation is its file's index. */
byte place[2];
byte generation[2] = NONE; /* (lock) */
bool closing[2];           /* (lock) */
bool added[2];             /* (lock) */
bool ready[2];
bool ended[2];
byte users[2];
bool opened[2]; /* in `users` */
byte refs[2];   /* by file */

/* Waits, by task. */
#define ONE 1
#define MANY 2
#define FIRED 3
chan queue[2] = [TASKS] of { byte }; /* (lock) */
byte state[TASKS];
bool woken[TASKS];
bool told_closed[TASKS];
bool parked[TASKS]; /* for the checks: in its wait */

/* Under the lock: claims waiters and wakes their tasks, all of them, or up to
   the first that accepts. That the wake is in the same step takes nothing away:
   a task that is woken may run at any time later. */
inline claim_locked(p, all, why_closed) {
  do
  :: nempty(queue[p]) ->
     queue[p]?at;
     if
     :: state[at] == ONE || state[at] == MANY ->
        one = (!all && state[at] == ONE);
#ifdef MUTANT_SELECT_COUNTS
        one = !all; /* R160: also one that takes nothing */
#endif
        state[at] = FIRED;
        told_closed[at] = why_closed;
        woken[at] = true;
        if
        :: one -> break
        :: else
        fi
     :: else
     fi
  :: empty(queue[p]) -> break
  od;
  at = 0;
  one = false
}

#ifdef ACCEPT
#define takes_all false
#else
#define takes_all true
#endif

/* An event that was told about file f. */
inline deal(f, with_end) {
  d_step {
    p = place[f];
    if
#ifndef MUTANT_NO_GENERATION
    :: generation[p] == f && !closing[p] ->
#else
    :: generation[p] != NONE && !closing[p] ->
#endif
       assert(generation[p] == f); /* R154 */
       ended[p] = ended[p] || with_end;
#ifdef MUTANT_NOT_STICKY
       ready[p] = empty(queue[p]) && ready[p]; /* R151: only wakes */
#else
       ready[p] = true;
#endif
       claim_locked(p, takes_all, false)
    :: else
    fi;
    p = 0
  }
}

proctype looker() {
  byte f, p, at;
  bool one, with_end;
end:
  do
  :: d_step { edge[0] -> edge[0] = false; f = 0; with_end = eof[0] };
     deal(f, with_end); with_end = false
#ifdef CLOSE
  :: d_step { edge[1] -> edge[1] = false; f = 1; with_end = eof[1] };
     deal(f, with_end); with_end = false; f = 0
#endif
  od
}

/* yes: the file of place p may be used until leave(). */
inline begin(p) {
  d_step {
    yes = opened[p];
    users[p] = (yes -> users[p] + 1 : users[p])
  }
}

/* The last one closes it. */
inline shut(f, p) {
#ifndef MUTANT_REMOVE_LATE
  d_step {
    if
    :: added[p] -> added[p] = false; remove_number()
    :: else
    fi
  };
  d_step { close_number(f) }
#else
  d_step { close_number(f) };
  d_step {
    if
    :: added[p] -> added[p] = false; remove_number() /* R156 */
    :: else
    fi
  }
#endif
}

inline leave(f, p) {
  d_step {
    assert(users[p] > 0);
    users[p]--;
    yes = (users[p] == 0 && !opened[p])
  };
#ifdef MUTANT_CLOSE_IN_USE
  yes = false;
#endif
  if
  :: yes -> shut(f, p)
  :: else
  fi
}

#define OWN_TRY 0  /* what wait_for() says: try again */
#define PARKED 1
#define CLOSED 2
byte nothing;

/* cast_descriptor_join. */
inline wait_for(t, f, p, how) {
  d_step {
    if
#ifndef MUTANT_JOIN_CLOSED
    :: closing[p] -> what = CLOSED /* R155 */
#endif
    :: else ->
       if
       :: !added[p] -> added[p] = true; enter_set(f)
       :: else
       fi;
       if
#ifndef MUTANT_NO_RECHECK
       :: ready[p] -> what = OWN_TRY /* R151 */
#endif
       :: else ->
          state[t] = how;
          woken[t] = false;
          told_closed[t] = false;
          queue[p]!t;
          what = PARKED
       fi
    fi
  }
}

/* -- streams --------------------------------------------------------------- */

#if !defined(ACCEPT) && !defined(LEVEL)

byte owner[2];    /* by file: the task */
bool drained[2];  /* by file */
#define ROOM 2

/* One try: what is PARKED if there is nothing, CLOSED, or OWN_TRY. */
inline try_read(f, p) {
  begin(p);
  if
  :: !yes -> what = CLOSED
  :: else ->
     what = OWN_TRY;
     if
     :: drained[f] && !ready[p] ->
        if
#ifndef MUTANT_END_IGNORED
        :: !ended[p] -> what = PARKED /* R158 */
        :: else
#else
        :: true -> what = PARKED
#endif
        fi
     :: else
     fi;
     if
     :: what == OWN_TRY ->
#ifndef MUTANT_CLEAR_LATE
        ready[p] = false; /* R152: before the system is asked */
#endif
        d_step {
          assert(number == f && is_open[f]); /* R156 */
          assert(owner[f] == t);          /* R157 */
          if
          :: data[f] >= ROOM -> data[f] = data[f] - ROOM; drained[f] = false
          :: data[f] > 0 && data[f] < ROOM -> data[f] = 0; drained[f] = true
          :: data[f] == 0 && eof[f] -> over = true
          :: data[f] == 0 && !eof[f] -> what = PARKED; drained[f] = false
          fi
        }
#ifdef MUTANT_CLEAR_LATE
        ready[p] = false;
#endif
     :: else
     fi;
     leave(f, p)
  fi
}

/* Reads file f to its end. The first task of file 0 may hand the stream to
   another one between two reads. */
proctype reader(byte t; byte f; bool hands_on) {
  byte p, what;
  bool yes, over;
end_owner:
  owner[f] == t;
  p = place[f];
  do
  :: over -> break
#ifndef CLOSE
  :: hands_on && !over ->
     d_step {
#ifdef MUTANT_MOVE_FORGETS
       ready[p] = false; /* R157 */
#endif
       owner[f] = 1
     };
     break
#endif
  :: !over ->
     try_read(f, p);
     if
     :: what == CLOSED -> break
     :: what == PARKED && !over ->
        wait_for(t, f, p, ONE);
        if
        :: what == CLOSED -> break
        :: what == OWN_TRY
        :: what == PARKED ->
           parked[t] = true;
end:
           woken[t];
           d_step { parked[t] = false; state[t] = 0 };
           if
           :: told_closed[t] -> break
           :: else
           fi
        fi
     :: else
     fi
  od;
  p = 0;
  d_step { what = 0; yes = false; refs[f]-- }
}

#ifdef MUTANT_MOVE_WAITING
/* Another task of the first one's session gives the stream away, while that one
   waits to read from it: R157. */
proctype mover() {
end:
  d_step { parked[0] && !woken[0] && owner[0] == 0 -> owner[0] = 1 }
}
#endif

/* The other side: bytes, and the end. */
proctype peer(byte f; byte n) {
  do
  :: is_open[f] && n > 0 ->
     d_step {
       if
       :: is_open[f] -> data[f]++; changed(f)
       :: else
       fi;
       n--
     }
  :: n == 0 || !is_open[f] -> break
  od;
  n = 0;
  if
  :: d_step { is_open[f] -> eof[f] = true; changed(f) }
  :: true
  fi
}

proctype closer(byte f) {
  byte p, at;
  bool yes, one;
  p = place[f];
  d_step { /* R155 */
    closing[p] = true;
#ifndef MUTANT_CLOSE_UNCLAIMED
    claim_locked(p, true, true)
#endif
  };
  opened[p] = false;
#ifdef MUTANT_CLOSE_IN_USE
  shut(f, p); /* R156 */
#endif
  leave(f, p);
  d_step { yes = false; p = 0; refs[f]-- }
}

inline make(f, p) {
  place[f] = p;
  generation[p] = f;
  closing[p] = false;
  added[p] = false;
  ready[p] = false;
  ended[p] = false;
  users[p] = 1;
  opened[p] = true
}

/* As soon as the number is free another file gets it, and a descriptor, in the
   same place if that is free as well. */
proctype opener() {
  byte p;
  d_step { number == NONE -> number = 1; is_open[1] = true };
  d_step {
    p = (refs[0] == 0 -> 0 : 1);
    make(1, p);
    p = 0;
    refs[1] = 1
  };
  owner[1] = 1
}

init {
  byte t;
  atomic {
    is_open[0] = true;
    make(0, 0);
    owner[1] = NONE;
    run looker();
    run looker();
#ifdef CLOSE
    refs[0] = 2;
    run reader(0, 0, false);
    run reader(1, 1, false);
    run closer(0);
    run opener();
    run peer(0, 1);
    run peer(1, 1);
#else
    refs[0] = 2;
    run reader(0, 0, true);
    run reader(1, 0, false);
    run peer(0, 3);
#ifdef MUTANT_MOVE_WAITING
    run mover();
#endif
#endif
  };
  timeout;
  t = 0;
  do
  :: t < TASKS ->
     if
     :: parked[t] ->
#ifdef CLOSE
        assert(!closing[place[t]] || generation[place[t]] != t); /* R155 */
        assert(data[t] == 0 && !eof[t])
#else
        assert(data[0] == 0 && !eof[0])
#endif
     :: else
     fi;
     t++
  :: else -> break
  od
}

#else

/* -- a listener ------------------------------------------------------------ */

#define CONNECTIONS 2
bool cancelled[TASKS];
bool timer;       /* of a shortage */
bool kept;        /* a connection that was accepted, and has no stream */
#ifdef KEPT
byte shortages;
byte lacks = 1;   /* so often there is no memory for one */
#else
byte shortages = 1;
byte lacks;
#endif

/* cast_descriptor_pass. */
inline pass() {
  d_step {
    ready[0] = true;
#ifdef MUTANT_PASS_ONE
    claim_locked(0, false, false) /* R160: not all of them */
#else
    claim_locked(0, takes_all, false)
#endif
  }
}

/* what: OWN_TRY: has got one; PARKED: there was none. */
inline accept_one() {
#ifdef MUTANT_KEPT_FIRST
  d_step { yes = kept; kept = false }; /* R188 */
#endif
  ready[0] = false; /* R152 */
#if defined(KEPT) && !defined(MUTANT_KEPT_FIRST)
  d_step { yes = kept; kept = false };
#endif
  if
#ifdef KEPT
  :: yes -> yes = false; what = OWN_TRY; pass()
  :: d_step { !yes && data[0] > 0 && lacks > 0 ->
       data[0]--;
       lacks--;
       kept = true
     };
     pass(); /* R188 */
     what = CLOSED /* it raises an error */
#endif
  :: d_step { !yes && data[0] > 0 -> data[0]--; what = OWN_TRY };
#ifndef MUTANT_NO_PASS
     pass() /* R159 */
#endif
  :: d_step { !yes && data[0] > 0 && shortages > 0 ->
       shortages--;
       what = PARKED
     };
#ifndef MUTANT_SHORT_SILENTLY
     timer = true /* R161 */
#endif
  :: d_step { !yes && data[0] == 0 -> what = PARKED }
  fi
}

proctype acceptor(byte t) {
  byte what, at;
  bool one, yes;
  do
  :: true ->
     accept_one();
     if
     :: what == CLOSED -> break
     :: what == OWN_TRY && cancelled[t] -> break /* at its next call */
     :: what == OWN_TRY && !cancelled[t]
     :: what == PARKED ->
        wait_for(t, 0, 0, ONE);
        if
        :: what == PARKED ->
           parked[t] = true;
end:
           if
           :: woken[t]
           :: cancelled[t] ->
              d_step { /* the owner claims it, if no event has */
                if
                :: state[t] == ONE ->
                   state[t] = 0;
                   if
                   :: queue[0]??[eval(t)] -> queue[0]??eval(t)
                   :: else
                   fi;
                   what = CLOSED
                :: else
                fi
              }
           fi;
           d_step { parked[t] = false; state[t] = 0 };
           if
           :: what == CLOSED -> break
#ifdef MUTANT_CANCEL_TAKES
           :: what != CLOSED && cancelled[t] -> break /* R159 */
           :: what != CLOSED && !cancelled[t]
#else
           :: what != CLOSED
#endif
           fi
        :: else
        fi
     fi
  od;
  what = 0;
  at = 0
}

#ifdef MUTANT_KEPT_UNSEEN
#define waits_for_it (data[0] > 0) /* R188 */
#else
#define waits_for_it (data[0] > 0 || kept)
#endif

/* select, net.wait: is there something? It takes none, or perhaps one. */
proctype watcher(byte t; byte how) {
  byte what, at;
  bool one, yes;
  do
  :: true ->
     ready[0] = false;
     if
     :: waits_for_it ->
#ifndef MUTANT_NO_RESTORE
#ifdef MUTANT_RESTORE_SILENTLY
        ready[0] = true; /* R160 */
#else
        pass(); /* R160 */
#endif
#endif
        break
     :: else ->
        wait_for(t, 0, 0, how);
        if
        :: what == PARKED ->
           parked[t] = true;
end:
           woken[t];
           d_step { parked[t] = false; state[t] = 0 };
           break
        :: else
        fi
     fi
  od;
#ifdef ACCEPT
  if
  :: true -> accept_one()
  :: true
  fi;
#endif
  what = 0;
  at = 0
}

proctype clients() {
  byte n = CONNECTIONS;
  do
  :: n > 0 -> d_step { data[0]++; changed(0); n-- }
  :: n == 0 -> break
  od
}

proctype canceller() { cancelled[1] = true }

proctype clock() {
  byte at;
  bool one;
end:
  do
  :: timer -> timer = false; pass()
  od
}

init {
  atomic {
    is_open[0] = true;
    generation[0] = 0;
    opened[0] = true;
    users[0] = 1;
    run looker();
    run looker();
    run clients();
#ifdef ACCEPT
    run acceptor(0);
    run acceptor(1);
    run watcher(2, MANY);
#ifndef KEPT
    run canceller();
#endif
    run clock()
#else
    added[0] = true;
    inside[0] = true;
    run watcher(0, ONE);
    run watcher(1, ONE);
    run watcher(2, ONE)
#endif
  };
  timeout;
  assert((data[0] == 0 && !kept) ||
         (!parked[0] && !parked[1] && !parked[TASKS - 1]))
}

#endif
