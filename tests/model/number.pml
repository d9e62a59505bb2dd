/* number.pml - tasks wait for the number of a file, which changes hands.
   SPDX-License-Identifier: MIT

   Models what src/io/descriptor.c knows of numbers (borrow, new, enter_set,
   leave_set) under the waits of src/select.c and net_wait.c. The program has a
   number, for which a task waits; it is closed behind our back, and another
   file gets it: one of the program's, for which a second task waits (the plain
   scenario); or one that becomes a stream of ours (STREAM), while both tasks
   may still use the old descriptor. What a lock covers is one step; the set is
   the system's. Race numbers are those of README.md. Checked, the first
   whenever no thread can move:
   1. No task waits for the second file while that has something, be it by the
      number or as a stream (R189, R190).
   2. With a stream, none waits for the first file any more.
   3. No place in a queue outlives its wait, and no descriptor its users.
   Left out are descriptors of ours that are about to close their number, for
   which a borrower waits (os_cede). */

#ifdef STREAM
#define TASKS 3
#define READER 2
#else
#define TASKS 2
#endif
#define PLACES 3
#define NONE 255

/* -- the system ------------------------------------------------------------ */

/* Two files, which have the same number one after the other. */
byte number = 0; /* of which file */
bool data[2];
bool inside[2]; /* in the set */
bool edge[2];   /* something is to be told about it, ... */
byte key[2];    /* ... with this key */

inline enter_set(f, k) {
  inside[f] = true;
  edge[f] = data[f];
  key[f] = k
}

inline leave_set(f) {
  inside[f] = false;
  edge[f] = false
}

/* -- descriptors ----------------------------------------------------------- */

byte noted = NONE; /* (table lock) which place has the number */
byte refs[PLACES];
bool used[PLACES];
bool owned[PLACES]; /* a stream's; else borrowed */
byte generation[PLACES];
bool closing[PLACES]; /* (lock) */
bool added[PLACES];   /* (lock) */
bool ready[PLACES];
byte users[PLACES];
bool opened[PLACES]; /* in `users` */
chan queue[PLACES] = [TASKS] of { byte }; /* (lock) */

#define key_of(p) (PLACES * generation[p] + p)

/* By task. */
#define ARMED 1
#define FIRED 2
byte state[TASKS];
bool shut[TASKS]; /* a close has ended its wait */
bool woken[TASKS];
bool parked[TASKS];
byte joined[TASKS]; /* which file had the number then */

/* Under the lock of place p: all waiters. */
inline claim_all(p, by_close) {
  do
  :: nempty(queue[p]) ->
     queue[p]?at;
     assert(state[at] == ARMED && !woken[at]);
     state[at] = FIRED;
     shut[at] = by_close;
     woken[at] = true
  :: empty(queue[p]) -> break
  od;
  at = 0
}

inline begin(p) {
  d_step {
    yes = opened[p];
    users[p] = (yes -> users[p] + 1 : users[p])
  }
}

/* The last one takes it out of the set, and its number is free (leave_set). */
inline leave(p) {
  d_step {
    assert(users[p] > 0);
    users[p]--;
    yes = (users[p] == 0 && !opened[p])
  };
  if
#ifdef MUTANT_DROP_UNLOCKED
  :: yes ->
     d_step { yes = (noted == p); noted = (yes -> NONE : noted) };
     d_step { /* R156: another one may have entered by now */
       if
       :: yes && added[p] && number != NONE -> leave_set(number)
       :: else
       fi;
       added[p] = false
     }
#else
  :: yes ->
     d_step {
       if
#ifdef MUTANT_DROP_ALWAYS
       :: added[p] && number != NONE -> leave_set(number) /* R189 */
#else
       :: added[p] && number != NONE && noted == p -> leave_set(number)
#endif
       :: else
       fi;
       added[p] = false;
       noted = (noted == p -> NONE : noted)
     }
#endif
  :: else
  fi;
  yes = false
}

inline close(p) {
  d_step {
    yes = !closing[p];
    closing[p] = true;
    claim_all(p, true)
  };
  if
  :: yes -> opened[p] = false; leave(p)
  :: else
  fi
}

inline unref(p) {
  d_step { refs[p]--; last = (refs[p] == 0) };
  if
  :: last && opened[p] -> close(p)
  :: else
  fi;
  if
  :: last ->
     d_step {
       assert(users[p] == 0 && empty(queue[p]));
       used[p] = false;
       last = false
     }
  :: else
  fi
}

inline take_place(p) {
  p = 0;
  do
  :: p < PLACES && used[p] -> p++
  :: else -> break
  od;
  assert(p < PLACES);
  used[p] = true;
  generation[p]++;
  refs[p] = 1;
  closing[p] = false;
  added[p] = false;
  ready[p] = false;
  users[p] = 1;
  opened[p] = true
}

#ifdef MUTANT_LOST_ENTERS
#define may_enter(p) true
#else
#define may_enter(p) (noted == p)
#endif

/* enter_set_locked. yes: the number is closed, so it is ready. The set may have
   the number already, with the key of a descriptor that has lost it, or is
   about to leave. */
inline enter(p) {
  yes = false;
  if
  :: number == NONE -> yes = true
#ifndef MUTANT_LOST_ENTERS
  :: number != NONE && noted != p -> yes = true /* R190: it will be closed */
#endif
  :: number != NONE && may_enter(p) && !added[p] ->
     added[p] = true;
#ifdef MUTANT_EXISTS_KEPT
     if
     :: !inside[number] -> enter_set(number, key_of(p))
     :: else
     fi
#else
     enter_set(number, key_of(p))
#endif
#ifndef MUTANT_NO_RENEW
  :: number != NONE && may_enter(p) && added[p] && !owned[p] &&
       !inside[number] ->
     enter_set(number, key_of(p)) /* R189 */
#endif
  :: else
  fi
}

/* cast_descriptor_join; yes: t waits. */
inline join(t, p) {
  d_step {
    if
    :: closing[p] -> yes = true
    :: else -> enter(p)
    fi;
    yes = !(yes || ready[p]);
    if
    :: yes ->
       joined[t] = number;
       state[t] = ARMED;
       shut[t] = false;
       queue[p]!t
    :: else
    fi
  }
}

inline wait_over(t) {
  d_step {
    assert(state[t] == FIRED && !woken[t]);
    state[t] = 0;
    shut[t] = false;
    joined[t] = 0
  }
}

/* An event with the key k. */
inline deal() {
  d_step {
    if
    :: generation[k % PLACES] == k / PLACES && !closing[k % PLACES] ->
       ready[k % PLACES] = true;
       claim_all(k % PLACES, false)
    :: else
    fi;
    k = 0
  }
}

proctype looker() {
  byte at, k;
end:
  do
  :: d_step { edge[0] -> edge[0] = false; k = key[0] };
     deal()
  :: d_step { edge[1] -> edge[1] = false; k = key[1] };
     deal()
  od
}

/* -- tasks ----------------------------------------------------------------- */

/* Asks the system; what is not open is ready. */
inline ask() { found = (number == NONE || data[number]) }

/* net.wait, perhaps with a deadline; the second task's begins when the number
   is the second file's. */
proctype waiter(byte t) {
  byte p, at;
  bool yes, found, last, late;
end_begin:
  d_step { /* cast_descriptor_borrow */
    number == t ->
    if
    :: noted != NONE && refs[noted] > 0 -> p = noted; refs[p]++
    :: else -> take_place(p); owned[p] = false; noted = p
    fi
  };
  do
  :: true ->
     begin(p);
     if
     :: !yes -> break
     :: else
     fi;
     ask();
     if
     :: !found && ready[p] -> ready[p] = false; ask()
     :: else
     fi;
     if
     :: found && data[1] && !ready[p] -> /* R160 */
        d_step { ready[p] = true; claim_all(p, false) }
     :: else
     fi;
     leave(p);
     if
     :: found -> break
     :: !found -> join(t, p)
     fi;
     if
     :: yes ->
        if
        :: late = false
        :: late = true
        fi;
        parked[t] = true;
end:
        if
        :: woken[t]
        :: late ->
           d_step { /* it claims its own wait, and leaves the queue */
             if
             :: state[t] == ARMED -> state[t] = FIRED; queue[p]??eval(t)
             :: else -> late = false
             fi
           }
        fi;
        d_step { parked[t] = false; woken[t] = false };
        yes = shut[t] || late;
        wait_over(t);
        if
        :: yes -> break
        :: else
        fi
     :: else
     fi
  od;
  unref(p);
  d_step { p = 0; found = false; yes = false; late = false }
}

/* The program closes its number; epoll forgets the file. */
proctype program() {
  d_step { number = NONE; leave_set(0) };
  number = 1
}

proctype peer() { d_step { data[1] = true; edge[1] = inside[1] } }

#ifdef STREAM
/* The second file is a stream's, from which a task reads. */
proctype stream() {
  byte p, before, at;
  bool yes, last;
end_begin:
  d_step { /* cast_descriptor_new */
    number == 1 -> take_place(p);
    owned[p] = true;
    before = noted;
    noted = p;
    if
    :: before != NONE && refs[before] > 0 -> refs[before]++
    :: else -> before = NONE
    fi
  };
  if
#ifdef MUTANT_OLD_STAYS
  :: true /* R189 */
#else
  :: before != NONE -> close(before); unref(before)
  :: before == NONE
#endif
  fi;
  do
  :: true ->
     ready[p] = false;
     if
     :: d_step { data[1] -> data[1] = false }; break
     :: else -> join(READER, p)
     fi;
     if
     :: yes ->
        parked[READER] = true;
end:
        woken[READER];
        d_step { parked[READER] = false; woken[READER] = false };
        wait_over(READER)
     :: else
     fi
  od;
  yes = false;
  before = 0
}
#endif

init {
  byte i;
  atomic {
    run looker();
    run waiter(0);
    run waiter(1);
    run program();
    run peer();
#ifdef STREAM
    run stream();
#endif
  };
  timeout;
  do
  :: i < TASKS ->
     assert(!parked[i] || joined[i] == 0 || !data[1]); /* R189 */
#ifdef STREAM
     assert(!parked[i] || joined[i] != 0);
#endif
     i++
  :: else -> break
  od
}
