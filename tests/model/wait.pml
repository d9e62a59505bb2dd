/* wait.pml - one parking primitive: fire once, whoever claims first.
   SPDX-License-Identifier: MIT

   Models src/wait.c, src/chan.c and src/select.c: TASKS tasks do some
   operations on the channels A and B, alone or as select; each wait may
   have a deadline, which its owner lets pass at any time (a cancellation is
   the same step with another result). -DCLOSE adds somebody who closes A,
   -DBUFFER gives A one slot. What happens under a channel's lock is one step,
   but for the claims of waits, which their owners make without it if
   they stand in several queues. Race
   numbers (R30, R40 ..) are those of README.md. Checked:
   1. A wait has exactly one outcome, and its task is woken once.
   2. A sender is told "sent" if and only if one receiver got its message.
   3. No waiter stands in a queue once its task has moved on.
   4. When nobody can move, every task that is still parked is armed and in
      all its queues, no sender and receiver wait for each other, and no
      receiver waits beside a buffered message or sender beside a free slot. */

#ifdef CLOSE
#define TASKS 2
#define rounds(t) ROUNDS
#else
#define TASKS 3
#define rounds(t) ((t) == 0 -> ROUNDS : 1)
#endif
#define ROUNDS 2

/* Cases, as bits of a set; queue 0 has the waiters of case 0, and so on. */
#define RECV_A 1
#define SEND_A 2
#define RECV_B 4
#define SEND_B 8
#define CASES 4
#define ON_A (RECV_A | SEND_A)
#define ON_B (RECV_B | SEND_B)

#define NONE 0
#define ARMED 1
#define FIRED 2

#define OK 1
#define TIMEOUT 2
#define SHUT 3

#define NOBODY 255

bool lock[2];
chan queue[CASES] = [TASKS] of { byte, byte }; /* task, its round */
bool closed; /* A */
byte slot;   /* A's buffer: 0 or a message */
byte state[TASKS];
byte round[TASKS];
byte cases[TASKS];  /* of the wait */
byte result[TASKS]; /* claimer, then owner */
byte index[TASKS];  /* claimer, then owner */
byte msg[TASKS];    /* to send */
byte got[TASKS];    /* received: claimer, then owner */
bool inbox[TASKS];  /* the task was pushed to its session */

/* What really happens, for the assertions. Message m of task t's round r is
   1 + t + TASKS * r. */
#define MESSAGES (1 + TASKS * ROUNDS)
short owed[MESSAGES]; /* told "sent" minus received */

/* In one queue only: armed as ONE, else as MANY. */
#define single(s) (((s) & ((s) - 1)) == 0)

/* True for the one that ends the wait of p. The result is R40. */
inline claim(p, won) {
#ifdef MUTANT_CLAIM_STORE
  won = (state[p] == ARMED); /* R40: a test and then a store */
  state[p] = FIRED
#else
  if
  :: single(cases[p]) -> /* R40: a test and then a store, under its lock */
     won = (state[p] == ARMED);
     state[p] = (won -> FIRED : state[p])
  :: else ->
     d_step { /* R40: compare-exchange */
       won = (state[p] == ARMED);
       state[p] = (won -> FIRED : state[p])
     }
  fi
#endif
}

inline wake(p) {
  d_step { assert(!inbox[p]); inbox[p] = true } /* R41 */
}

inline lock_all() {
#ifdef MUTANT_LOCK_ORDER
  if
  :: t == 0 && set & ON_B -> d_step { !lock[1] -> lock[1] = true }
  :: else
  fi;
  if
  :: set & ON_A -> d_step { !lock[0] -> lock[0] = true }
  :: else
  fi;
  if
  :: t != 0 && set & ON_B -> d_step { !lock[1] -> lock[1] = true }
  :: else
  fi
#else
  if /* R42: in address order */
  :: set & ON_A -> d_step { !lock[0] -> lock[0] = true }
  :: else
  fi;
  if
  :: set & ON_B -> d_step { !lock[1] -> lock[1] = true }
  :: else
  fi
#endif
}

inline unlock_all() {
  d_step {
    lock[0] = lock[0] && !(set & ON_A);
    lock[1] = lock[1] && !(set & ON_B)
  }
}

/* With the lock of case k: drops waiters whose wait has fired from the head
   of queue x; yes: a live one is there. */
inline first_live(x) {
  yes = false;
  do
  :: len(queue[x]) > 0 && !yes ->
     queue[x]?<p, g>;
     assert(round[p] == g && state[p] != NONE); /* R43 */
     if
     :: state[p] == ARMED -> yes = true
     :: else -> queue[x]?p, g
     fi
  :: else -> break
  od
}

/* Can case k happen? For 0 and 1 the buffer and the close of A matter. */
inline can_happen(k) {
  first_live(k ^ 1);
  yes = yes || (k < 2 && closed);
#ifdef BUFFER
  yes = yes || (k == 0 && slot != 0) || (k == 1 && slot == 0)
#endif
}

/* With all locks held: which of the cases can happen, into `able`. */
inline look() {
  d_step {
    able = 0;
    c = 0;
    do
    :: c < CASES ->
       if
       :: set & (1 << c) ->
          can_happen(c);
          able = (yes -> able | (1 << c) : able)
       :: else
       fi;
       c++
    :: else -> break
    od;
    c = 0;
    p = 0;
    g = 0;
    yes = false
  }
}

/* Takes waiters of queue x until one is claimed: yes, and p is its task. */
inline claim_one(x) {
  yes = false;
  do
  :: !yes && len(queue[x]) > 0 ->
     d_step {
       queue[x]?p, g;
       assert(p != t); /* R44: it does not meet itself */
       assert(round[p] == g && state[p] != NONE) /* R43 */
     };
#ifdef MUTANT_CLAIM_UNLOCKED
     unlock_all(); /* R43: popped under the lock, claimed after it */
     d_step { assert(round[p] == g) };
     claim(p, yes);
     lock_all()
#else
     claim(p, yes)
#endif
  :: else -> break
  od;
  g = 0
}

/* Case c, if it still can happen: done. peer is to be woken after. */
inline perform() {
  if
#ifdef BUFFER
  :: c == 0 && slot != 0 && !closed ->
     d_step { got[t] = slot; slot = 0 };
     claim_one(1); /* R30: the longest waiting sender takes the slot */
#ifdef MUTANT_NO_REFILL
     if
     :: yes -> state[p] = ARMED; queue[1]!p, round[p]; yes = false
     :: else
     fi;
#endif
     if
     :: yes -> d_step { slot = msg[p]; result[p] = OK; index[p] = 1; peer = p }
     :: else
     fi;
     d_step { result[t] = OK; done = true }
  :: c == 0 && slot != 0 && closed ->
     d_step { got[t] = slot; slot = 0; result[t] = OK; done = true }
#endif
  :: c < 2 && closed && (c == 1 || slot == 0) ->
     d_step { result[t] = SHUT; done = true }
  :: else ->
     claim_one(c ^ 1);
     if
     :: yes ->
#ifdef MUTANT_WAKE_FIRST
        wake(p); /* R41: before the message is there */
#endif
        d_step {
          if
          :: c & 1 -> got[p] = msg[t] /* send: into the receiver's waiter */
          :: else -> got[t] = msg[p]
          fi;
          result[p] = OK;
          index[p] = c ^ 1;
          result[t] = OK;
          done = true
        };
#ifndef MUTANT_WAKE_FIRST
        peer = p
#endif
#ifdef BUFFER
     :: !yes && c == 1 && slot == 0 && !closed ->
        d_step { slot = msg[t]; result[t] = OK; done = true }
#endif
#ifdef MUTANT_NOT_AGAIN
     :: else -> d_step { result[t] = OK; got[t] = 1; done = true } /* R45 */
#else
     :: else /* R45: claimed by somebody else since it was seen */
#endif
     fi
  fi;
  yes = false;
  p = 0
}

/* Puts t into the queues of all its cases. */
inline queue_all() {
  d_step {
    assert(state[t] == NONE);
#ifndef MUTANT_ARM_LATE
    state[t] = ARMED;
#endif
    c = 0;
    do
    :: c < CASES ->
       if
       :: set & (1 << c) -> queue[c]!t, round[t]
       :: else
       fi;
       c++
    :: else -> break
    od;
    c = 0
  }
}

/* Takes t out of the queue of case c, if it stands there. */
inline unlink(c) {
  if
  :: set & (1 << c) ->
     d_step {
       !lock[c / 2] ->
       if
       :: queue[c]??[eval(t), eval(round[t])] ->
          queue[c]??eval(t), eval(round[t])
       :: else
       fi
     }
  :: else
  fi
}

inline unlink_all() {
#ifndef MUTANT_LOSERS_STAY
  if
  :: set == SEND_A && !yes -> skip /* its one waiter was taken off */
  :: else ->
     unlink(0);
     unlink(1);
     unlink(2);
     unlink(3)
  fi;
#endif
  d_step {
    yes = false;
    c = 0;
    do
    :: c < CASES -> assert(!(queue[c]??[eval(t), _])); c++ /* R43 */
    :: else -> break
    od;
    c = 0;
    state[t] = NONE
  }
}

/* Waits for a claim. With a deadline, the owner may claim it itself. */
inline park() {
#ifdef MUTANT_ARM_LATE
  state[t] = ARMED; /* R44 */
#endif
  if
  :: skip
  :: yes = true /* it has a deadline */
  fi;
end:
  if
  :: d_step { inbox[t] -> inbox[t] = false; yes = false }
  :: yes ->
#ifdef MUTANT_TIMEOUT_UNCLAIMED
     d_step { yes = true; state[t] = FIRED };
#else
#ifndef MUTANT_OWNER_UNLOCKED
     if
     :: single(set) -> lock_all() /* R40: its queue's */
     :: else
     fi;
#endif
     claim(t, yes); /* R46 */
#ifndef MUTANT_OWNER_UNLOCKED
     if
     :: single(set) -> unlock_all()
     :: else
     fi;
#endif
#endif
     if
     :: yes -> d_step { result[t] = TIMEOUT }
     :: else -> d_step { inbox[t] -> inbox[t] = false }
     fi
  fi;
  assert(state[t] == FIRED);
  unlink_all()
}

/* What the operation tells its caller. */
inline conclude() {
  d_step {
    assert(result[t] != 0);
    if
    :: result[t] == OK && (c & 1) -> owed[1 + t + TASKS * round[t]]++
    :: result[t] == OK && !(c & 1) ->
       assert(got[t] != 0);
       owed[got[t]]--
    :: else
    fi;
    result[t] = 0;
    index[t] = 0;
    msg[t] = 0;
    got[t] = 0;
    cases[t] = 0;
    c = 0;
    set = 0;
    done = false;
    round[t]++
  }
}

inline operation() {
  do
  :: lock_all();
     look();
     if
     :: able == 0 ->
#ifdef MUTANT_QUEUE_LATE
        unlock_all(); /* R44: others may have come in between */
        lock_all();
#endif
        queue_all();
        unlock_all();
        park();
        c = index[t];
        break
     :: else ->
        if
        :: able & RECV_A -> c = 0
        :: able & SEND_A -> c = 1
        :: able & RECV_B -> c = 2
        :: able & SEND_B -> c = 3
        fi;
        able = 0;
        perform();
        unlock_all();
        if
        :: peer != NOBODY -> wake(peer); peer = NOBODY
        :: else
        fi;
        if
        :: done -> break
        :: else
        fi
     fi
  od
}

proctype task(byte t) {
  byte set, able, c, p, g, peer = NOBODY;
  bool yes, done;
  do
  :: round[t] == rounds(t) -> break
  :: round[t] < rounds(t) ->
     if
     :: set = SEND_A | RECV_B
     :: set = RECV_A | SEND_B
     :: t < 2 -> set = SEND_A | RECV_A
     :: t < 2 -> set = SEND_A
     fi;
     d_step { cases[t] = set; msg[t] = 1 + t + TASKS * round[t] };
     operation();
     conclude()
  od
}

#ifdef CLOSE
/* cast_chan_close: collects under the lock, wakes after it. */
proctype closer() {
  byte t = NOBODY, set = ON_A, c, p, g, n;
  byte fired[TASKS];
  bool yes;
  lock_all();
  closed = true;
  do
  :: len(queue[0]) > 0 || len(queue[1]) > 0 ->
     if
#ifdef MUTANT_CLOSE_UNCLAIMED
     :: len(queue[0]) > 0 ->
        d_step { queue[0]?p, g; yes = true; c = 0; state[p] = FIRED }
     :: else -> d_step { queue[1]?p, g; yes = true; c = 1; state[p] = FIRED }
#else
     :: len(queue[0]) > 0 -> claim_one(0); c = 0 /* R40 */
     :: else -> claim_one(1); c = 1
#endif
     fi;
     if
     :: yes ->
        d_step {
          result[p] = SHUT;
          index[p] = c;
          fired[n] = p;
          n++;
          yes = false
        }
     :: else
     fi
  :: else -> break
  od;
  unlock_all();
  do
  :: n > 0 -> n--; wake(fired[n])
  :: else -> break
  od
}
#endif

#define stuck(a, x, b, y) \
  (state[a] == ARMED && (cases[a] & x) && state[b] == ARMED && (cases[b] & y))

init {
  byte i, k;
  atomic {
    do
    :: i < TASKS -> run task(i); i++
    :: else -> break
    od;
#ifdef CLOSE
    run closer();
#endif
    i = 0
  };
  timeout;
  atomic {
    assert(!lock[0] && !lock[1]);
    do
    :: i < TASKS ->
       assert(round[i] == rounds(i) || state[i] == ARMED); /* R41 */
       assert(state[i] != ARMED || !(cases[i] & ON_A) || !closed);
#ifdef BUFFER
       assert(state[i] != ARMED || !(cases[i] & RECV_A) || slot == 0);
       assert(state[i] != ARMED || !(cases[i] & SEND_A) || slot != 0);
#endif
       k = 0;
       do
       :: k < CASES ->
          assert(state[i] != ARMED || !(cases[i] & (1 << k)) ||
                 queue[k]??[eval(i), eval(round[i])]);
          k++
       :: else -> break
       od;
       k = 0;
       do
       :: k < TASKS ->
          assert(i == k || !stuck(i, SEND_A, k, RECV_A)); /* R44 */
          assert(i == k || !stuck(i, SEND_B, k, RECV_B));
          k++
       :: else -> break
       od;
       i++
    :: else -> break
    od;
    i = 1;
    do
    :: i < MESSAGES ->
       assert(owed[i] == (slot == i -> 1 : 0)); /* R40 */
       i++
    :: else -> break
    od
  }
}
