/* keeper.pml - the thread of a session that has one of its own.
   SPDX-License-Identifier: MIT

   Models src/keeper.c with what it uses of session.c and worker.c: a keeper,
   which rests, is woken, runs its session, and ends with it; pushers, one of
   which asks the session to close; sysmon, which takes a keeper for stuck,
   falls asleep and looks for a deadlock. What the scheduler's lock covers is one
   step. Race numbers (R210 ..) are those of README.md. Checked:
   1. Every post is served once, by the keeper: no wake is lost, and none comes
      twice.
   2. Nobody touches keeper or session when these may have been freed.
   3. A look for a deadlock says that the keeper is at rest only if it is, and
      nothing is left to do.
   4. When nobody can move any more, sysmon sleeps, and has found everything at
      rest: it was woken for its last look. */

#define PUSHERS 2

mtype = { IDLE, OPEN, CLOSED };
mtype inbox = IDLE;
byte posts;      /* in the inbox, or the ready list */
bool closing;    /* one of them asks the session to close */

bool signal;     /* cast_worker.signal is GO_ON */
#ifdef MUTANT_SIGNAL_NO_WORD
bool sleeping;
#endif
byte awake;      /* (lock) cast_worker.awake */
bool counted;    /* (lock) cast_worker.counted */
byte nawake;     /* (lock) */
byte nkeeping;   /* (lock), read without it */

bool asleep;     /* sysmon has announced its deep sleep */
byte kicks;      /* ends its sleep */

/* What really happens. */
bool runs;       /* the keeper is in its session */
bool freed;      /* keeper and session may be gone */
byte pushed, served, refused, ended;
byte npushers = PUSHERS; /* those that may still push: nothing is at rest */
bool found;      /* the latest look has found everything at rest */

inline wake_sysmon() {
  if
  :: asleep -> d_step { asleep = false; kicks = 1 }
  :: else
  fi
}

/* Under the lock. */
inline count() {
  awake++;
  nawake++;
  if
  :: !counted -> counted = true; nkeeping++
  :: else
  fi
}

/* Sets unnoticed. */
inline settle() {
  unnoticed = !counted;
  assert(awake > 0);
  awake--;
  nawake--;
  if
#ifdef MUTANT_SETTLE_BLIND
  :: counted -> counted = false; nkeeping-- /* although it was woken again */
#else
  :: awake == 0 && counted -> counted = false; nkeeping--
#endif
  :: else
  fi
}

inline give_signal() {
  d_step {
    assert(!freed); /* R211 */
    assert(!signal); /* R210 */
#ifdef MUTANT_SIGNAL_NO_WORD
    signal = sleeping
#else
    signal = true
#endif
  }
}

proctype pusher(bool asks) {
  bool won, unnoticed;
  /* The compare-exchange: one of three outcomes. */
  d_step {
    won = false;
    pushed++;
    if
    :: inbox == IDLE -> inbox = OPEN; won = true; posts++
    :: inbox == OPEN -> posts++
    :: inbox == CLOSED -> refused++
    fi;
    closing = closing || asks
  }
  if
  :: won ->
#ifdef MUTANT_COUNT_LATE
    give_signal();
    d_step { assert(!freed); count() };
    wake_sysmon()
#else
    d_step { assert(!freed); count() };
    wake_sysmon();
    give_signal()
#endif
  :: else
  fi;
  /* It goes to sleep, as a host does. Sysmon is made to look by its watch. */
  d_step { npushers-- };
  wake_sysmon()
}

/* Runs the session: serves what has come, and goes idle, or ends. */
proctype keeper() {
  bool unnoticed, idle, over;
  do
  ::
#ifdef MUTANT_REST_EARLY
    /* R212: see below */
    skip;
#else
    d_step { settle() };
#ifndef MUTANT_REST_SILENTLY
    if
    :: unnoticed -> wake_sysmon()
    :: else
    fi;
#endif
#endif
#ifdef MUTANT_SIGNAL_NO_WORD
    d_step { sleeping = true };
#endif
end_rest:
    signal;
    d_step {
      signal = false;
#ifdef MUTANT_SIGNAL_NO_WORD
      sleeping = false;
#endif
      assert(inbox == OPEN && !runs && counted); /* R213 */
      runs = true
    };
    idle = false;
    over = false;
    do
    :: idle || over -> break
    :: else ->
      if
      :: d_step { posts > 0 -> posts--; served++ }
      :: d_step { posts == 0 && closing && inbox == OPEN -> /* shut */
           inbox = CLOSED; over = true }
#ifdef MUTANT_REST_EARLY
      :: posts == 0 && !closing ->
         d_step { settle() };
         if
         :: unnoticed -> wake_sysmon()
         :: else
         fi;
         d_step {
           if
           :: posts == 0 && !closing -> inbox = IDLE; idle = true; runs = false
           :: else -> count()
           fi
         }
#else
      :: d_step { posts == 0 && !closing -> /* go_idle */
           inbox = IDLE; idle = true; runs = false }
#endif
      /* Between two slices. */
      :: d_step { posts > 0 && !counted && awake > 0 ->
           counted = true; nkeeping++ };
         wake_sysmon()
      fi
    od;
    if
    :: over -> break
    :: else
    fi
  od;
  skip;
  d_step { runs = false; settle() };
  if
  :: unnoticed -> wake_sysmon()
  :: else
  fi;
  d_step { freed = true; ended++ }
}

/* A tick at which a keeper counts changes nothing, and is left out. */
proctype sysmon() {
  bool quiet, stuck = true;
  byte busy;
end_ticks:
  do
  :: d_step { stuck && runs && awake > 0 && counted -> /* R213 */
       counted = false; nkeeping--; stuck = false }
  :: nkeeping == 0 ->
#ifdef MUTANT_ASLEEP_LATE
    busy = nkeeping;
    asleep = true;
#else
    asleep = true;
    busy = nkeeping;
#endif
    if
    :: busy != 0 -> asleep = false
    :: else ->
       d_step { /* the look */
#ifdef MUTANT_LOOK_COUNTED
         quiet = (nkeeping == 0 && npushers == 0);
#else
         quiet = (nawake == 0 && npushers == 0);
#endif
         found = quiet;
         assert(!quiet || (!runs && posts == 0 && inbox != OPEN)) /* R212 */
       };
end_sleep:
       kicks > 0;
       kicks = 0;
       asleep = false
    fi
  od
}

/* Nobody can move: everything has come to its end, and was found to be so. */
proctype judge() {
  timeout;
  assert(served + refused == pushed && posts == 0);
  assert(inbox != OPEN && !signal);
  assert(found && nawake == 0 && nkeeping == 0);
  assert(inbox != CLOSED || ended == 1)
}

init {
  atomic {
    /* As its maker leaves it: at work until its first rest. */
    awake = 1;
    nawake = 1;
    counted = true;
    nkeeping = 1;
    run keeper();
    run pusher(false);
#ifdef STAYS
    run pusher(false);
#else
    run pusher(true);
#endif
#if PUSHERS > 2
    run pusher(false);
#endif
    run sysmon();
    run judge()
  }
}
