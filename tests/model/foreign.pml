/* foreign.pml - a thread outside of the pool waits: the word that it sleeps on.
   SPDX-License-Identifier: MIT

   Models src/foreign.c: a thread waits ROUNDS times, each time with a frame of
   its stack that is gone afterwards. Two others (a sender, a close) would end
   the wait; each wait may have a deadline. What happens under the queue's lock
   is one step. Race numbers are those of README.md. Checked:
   1. The frame is touched while it is whole only (R81).
   2. A wait ends once, and its outcome is there when the thread goes on.
   3. A wait that somebody has claimed ends: no wake is lost (R80). */

#define ROUNDS 2
#define OTHERS 2

#define NONE 0
#define ARMED 1
#define FIRED 2

#define AWAKE 0
#define WOKEN 1
#define ASLEEP 2

#define TIMEOUT 3

bool live;     /* the frame */
byte state;    /* its wait */
byte word;
byte result;
bool queued;   /* its waiter stands in the queue */
bool sleeping; /* in the kernel, on the word's address */
byte claims;   /* of this wait */
bool done;

inline claim(won) {
  d_step {
    assert(live);
    won = (state == ARMED);
    state = (won -> FIRED : state);
    claims = claims + (won -> 1 : 0)
  }
}

proctype other(byte id) {
  bool won;
  byte was;
end:
  do
  :: done -> break
  :: queued ->
    atomic { /* the queue's lock; a claimed waiter is taken out */
      won = false;
      if
      :: queued -> claim(won); queued = (won -> false : queued)
      :: else
      fi
    }
    if
    :: won ->
#ifdef MUTANT_WAKE_FIRST
      d_step { assert(live); was = word; word = WOKEN } /* R82 */
      assert(live);
      result = id;
#else
      d_step { assert(live); result = id }
#ifdef MUTANT_SIGNAL_FIRST
      d_step { was = word; sleeping = false }; /* R80: before the word */
      d_step { assert(live); word = WOKEN; was = AWAKE }
#else
      d_step { assert(live); was = word; word = WOKEN }
#endif
#endif
#ifdef MUTANT_TOUCH_LATE
      assert(live); /* R81 */
#endif
      if
      :: was == ASLEEP -> sleeping = false /* the address is but a key */
      :: else
      fi
    :: else
    fi
  od
}

proctype thread() {
  byte round;
  bool won, limit;
  do
  :: round == ROUNDS -> break
  :: else ->
    d_step {
      live = true; word = AWAKE; result = 0; claims = 0;
      state = ARMED; queued = true
    }
    if :: limit = true :: limit = false fi;
    do
    :: word == WOKEN -> break
    :: else ->
#ifndef MUTANT_ANNOUNCED_NOT
      d_step { word = (word == AWAKE -> ASLEEP : word) }
#endif
      d_step { /* os_wait */
#ifdef MUTANT_SLEEP_BLIND
        sleeping = true /* R80 */
#else
#ifdef MUTANT_ANNOUNCED_NOT
        sleeping = (word == AWAKE)
#else
        sleeping = (word == ASLEEP)
#endif
#endif
      }
      won = false;
      if
      :: !sleeping
      :: sleeping && limit ->
        sleeping = false;
#ifdef MUTANT_TIMEOUT_STORE
        won = true; state = FIRED; claims++; /* R83: no claim */
#else
        claim(won);
#endif
        limit = false;
        if
        :: won -> d_step { result = TIMEOUT; queued = false }; break
#ifdef MUTANT_TIMEOUT_HASTY
        :: else -> break /* R81: while the claimer is on its way */
#else
        :: else
#endif
        fi
      fi
    od;
    assert(result != 0 && claims == 1 && !queued);
    live = false;
    state = NONE;
    round++
  od;
  done = true
}

init {
  byte i;
  atomic {
    run thread();
    i = 1;
    do
    :: i <= OTHERS -> run other(i); i++
    :: else -> break
    od
  }
}
