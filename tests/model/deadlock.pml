/* deadlock.pml - the look for deadlocks, and who makes sysmon look.
   SPDX-License-Identifier: MIT

   Models src/deadlock.c with what it rests on in host.c, sysmon.c and sched.c:
   hosts that send a job to the pool or not, and wait; workers with a permit and
   one that has lost it (it is in a slice, but not busy); a thread of C that
   has announced itself and may send or not; sysmon, which sleeps for ever
   once it has found the pool idle. (COMER: one who announces itself later; TWO:
   two hosts, one slice of a worker; IO: a task of the pool waits for a
   descriptor; a worker that rests, or the host, sleeps in the poller and is
   told about it, and about one for which no task waits.) What happens under one
   lock is one step.
   Race numbers are those of docs/DESIGN.md. Checked:
   1. A verdict is passed on a dead program only: at the moment of the
      scheduler's quiet nobody can do anything (R90, R163).
   2. A dead program gets its verdict: when all are asleep for good, no main
      program is among them (R91, R164). An invalid end state is a missed
      one. */

#ifdef TWO
#define HOSTS 2
#else
#define HOSTS 1
#endif
#define ROUNDS 1

/* It can do nothing until it is pushed to. */
#define still(h) (gone[h] || (waits[h] && inbox[h] == IDLE))
#define last (HOSTS - 1)

#define EMPTY 0 /* of an inbox */
#define IDLE 1
#define POST 2

#define MAIN 0 /* where a host is */
#define TASKS 1
#define REST 2

byte inbox[HOSTS];
byte rests[HOSTS];   /* odd: at rest */
byte where[HOSTS];
bool due[HOSTS];     /* its timer is set, and may fire at any time */
bool event[HOSTS];
bool verdict[HOSTS]; /* pushed */
bool gone[HOSTS];    /* off the list: its Lua state has been closed */
bool waits[HOSTS];   /* the main program's wait is armed: ghost, too */
byte jobs;           /* in the queue */
byte busy;           /* workers with a permit that are not at rest */
byte awake;          /* workers not on the list of those at rest */
byte expected;       /* how many, now */
byte announced;      /* how often */
bool asleep;         /* sysmon says so */
bool kicked;         /* since sysmon took its ticket */
byte hosts_left = HOSTS;
bool looking;        /* the lock of the list of hosts */
#ifdef IO
bool ready_due = true; /* the descriptor's event will come */
bool other_due = true; /* another one's, or a break */
bool token;
bool awaited = true; /* the task's waiter is queued */
bool in_hand;        /* the task is in neither queue: ghost */
byte dealing;        /* how many deal out what they were told */
byte ndealt;         /* how often that was begun */
#define io_still (!awaited && !in_hand)
#else
#define io_still true
#endif

inline kick() { kicked = true }
inline wake_sysmon() { /* PAIR wake_sysmon */
  if
  :: asleep -> asleep = false; kick()
  :: else
  fi
}

/* Somebody answers, or gives a message to, one of the hosts. */
inline push(h) {
  atomic {
    if
    :: inbox[h] == IDLE -> inbox[h] = POST; event[h] = true
    :: else -> inbox[h] = POST
    fi
  }
}

/* -- a worker: `lost` begins in a slice without a permit ------------------- */

inline answer() {
  if
  :: true -> push(0)
  :: true -> push(last)
  :: true
  fi
}

proctype worker(bool lost) {
  bool permit = !lost;
  if
  :: lost -> goto slice
  :: else -> goto look
  fi;
look:
  atomic { /* the scheduler's lock: the last look */
    if
    :: jobs > 0 -> jobs--; goto slice
    :: else ->
      awake--;
      busy = (permit -> busy - 1 : busy)
    fi
  };
#ifndef MUTANT_REST_SILENTLY
  if
  :: !permit -> wake_sysmon() /* R91 */
  :: else
  fi;
#endif
end:
  atomic { /* woken for a job: it gets a permit */
    jobs > 0;
    jobs--;
    awake++;
    busy++;
    permit = true
  };
  wake_sysmon();
slice:
  answer();
  if
  :: !permit -> /* it has one again, or not: then it rests as soon as it may */
    if
    :: atomic { permit = true; busy++ };
#ifndef MUTANT_REGAIN_SILENTLY
      wake_sysmon() /* R91 */
#endif
    :: true
    fi
  :: else
  fi;
  goto look
}

/* One that has lost its permit ends its slice, and that was all. */
proctype slice() {
  answer();
  awake--;
  wake_sysmon()
}

#ifdef IO
/* -- threads that sleep in the poller -------------------------------------- */

/* Tells one event: is it the one that the task waits for? */
inline be_told() {
  if
  :: d_step { ready_due -> ready_due = false; real = true }
  :: d_step { other_due -> other_due = false; real = false }
  fi
}

inline begin_deal() {
#ifdef MUTANT_DEAL_LATE
  if
  :: real -> d_step { awaited = false; in_hand = true } /* R163 */
  :: else
  fi;
  d_step { dealing++; ndealt++ }
#else
  d_step { dealing++; ndealt++ }; /* PAIR deal: before the claim */
  if
  :: real -> d_step { awaited = false; in_hand = true }
  :: else
  fi
#endif
}

/* A worker that rests, and is in the list of idle ones. It goes on with what it
   has got, if there is a permit, or leaves it to others. */
proctype sleeper() {
  bool real, permit;
end:
  do
  :: d_step { !token && (ready_due || other_due) -> token = true };
    be_told();
    begin_deal();
#ifdef MUTANT_DEALT_EARLY
    dealing--; /* R163 */
#endif
    if
    :: real ->
      if
      :: d_step { in_hand = false; awake++; busy++; permit = true };
        token = false;
        wake_sysmon()
      :: d_step { in_hand = false; jobs++ }
      fi
    :: else
    fi;
#ifndef MUTANT_DEALT_EARLY
    dealing--; /* PAIR deal: it is where it can be seen */
#endif
    if
    :: permit ->
      answer();
      d_step { awake--; busy--; permit = false }
    :: else -> token = false
    fi;
    real = false
  od
}

/* The host at rest, which wakes as it is told something. */
inline host_is_told(h) {
  d_step { !token && (ready_due || other_due) -> token = true };
  be_told();
  token = false;
  if /* reclaim */
  :: d_step { inbox[h] == IDLE -> inbox[h] = EMPTY }
  :: event[h]
  fi;
  begin_deal();
  if
  :: real -> d_step { in_hand = false; jobs++ }
  :: else
  fi;
  dealing--;
  real = false
}
#endif

/* -- a thread of C that has said that it may come -------------------------- */

proctype outside() {
  answer();
  atomic { /* PAIR expect */
    expected--;
    if
    :: expected == 0 ->
#ifndef MUTANT_UNEXPECT_SILENTLY
      wake_sysmon()
#else
      skip
#endif
    :: else
    fi
  }
}

/* Announces itself now and then, always before it sends. */
proctype comer() {
  if
  :: d_step { expected++; announced++ } -> run outside()
  :: skip
  fi
}

/* -- a host ---------------------------------------------------------------- */

proctype host(byte h) {
  byte round;
#ifdef IO
  bool real;
#endif
  do
  :: round == ROUNDS -> break
  :: else ->
    round++;
#if !defined(TWO) && !defined(IO)
    if /* somebody is to answer, perhaps */
    :: atomic { jobs++ }
    :: skip
    fi;
#endif
    waits[h] = true;
    /* It runs its tasks, of which none can go on (enter_tasks). */
    where[h] = TASKS;
    atomic {
      if
#ifdef MUTANT_NO_WATCH
      :: true
#else
      :: !due[h] -> due[h] = true; kick()
#endif
      :: due[h]
      fi
    };
again:
    atomic { /* go_idle, or what was pushed is served */
      if
      :: inbox[h] == EMPTY -> inbox[h] = IDLE
      :: inbox[h] == POST -> inbox[h] = EMPTY; goto served
      fi
    };
#ifdef MUTANT_WHERE_FIRST
    where[h] = REST;
    rests[h]++;
#else
    rests[h]++;
    where[h] = REST;
#endif
#ifdef IO
    if
    :: event[h]
    :: host_is_told(h)
    fi;
#else
    event[h];
#endif
    rests[h]++;
    event[h] = false;
    where[h] = TASKS;
    atomic {
      if
      :: !due[h] -> due[h] = true; kick()
      :: due[h]
      fi
    };
    goto again;
served:
    waits[h] = false;
    where[h] = MAIN;
    if
    :: verdict[h] -> break /* it gives up */
    :: else
    fi
  od;
  atomic { !looking -> gone[h] = true; hosts_left-- };
#ifndef MUTANT_DELIST_SILENTLY
  wake_sysmon()
#else
  skip
#endif
}

/* -- sysmon ---------------------------------------------------------------- */

inline judge(h) {
  if
  :: !gone[h] && !verdict[h] -> verdict[h] = true; push(h)
  :: else
  fi
}

inline look() {
  saw = announced;
  ok = (expected == 0);
#ifdef IO
  d_step { ok = ok && dealing == 0; saw_dealt = ndealt };
#endif
  seen[0] = rests[0];
  seen[last] = rests[last];
  ok = ok && (gone[0] || seen[0] % 2 == 1);
  ok = ok && (gone[last] || seen[last] % 2 == 1);
  if
  :: ok ->
    d_step {
#ifdef MUTANT_BUSY_ONLY
      ok = (busy == 0 && jobs == 0);
#else
      ok = (awake == 0 && jobs == 0); /* under the scheduler's lock: m */
#endif
      dead = (jobs == 0 && awake == 0 && expected == 0 && still(0) &&
              still(last) && io_still)
    };
#if defined(IO) && !defined(MUTANT_AWAITED_IGNORED)
    ok = ok && !awaited; /* R162 */
#endif
#ifndef MUTANT_NO_SECOND_LOOK
    /* Each in a step of its own. */
    ok = ok && (gone[0] || (inbox[0] == IDLE && rests[0] == seen[0]));
    ok = ok &&
         (gone[last] || (inbox[last] == IDLE && rests[last] == seen[last]));
#endif
#ifdef MUTANT_COUNT_ONLY
    ok = ok && expected == 0;
#else
    ok = ok && expected == 0 && announced == saw;
#endif
#if defined(IO) && !defined(MUTANT_DEAL_ONCE)
#ifdef MUTANT_DEAL_NOW
    ok = ok && dealing == 0; /* R163: it may have ended meanwhile */
#else
    ok = ok && dealing == 0 && ndealt == saw_dealt;
#endif
#endif
    if
    :: ok ->
      assert(dead);
      judge(0);
      judge(last)
    :: else
    fi
  :: else
  fi
}

proctype monitor() {
  byte saw;
#ifdef IO
  byte saw_dealt, before;
#endif
  byte seen[HOSTS];
  bool ok, dead, deep;
  do
  :: hosts_left == 0 -> break
  :: else ->
    kicked = false;
    asleep = true; /* PAIR wake_sysmon */
    if
    :: busy == 0 && jobs == 0 -> deep = true;
#ifdef IO
again:
      before = 0;
      d_step { dealing == 0 -> before = ndealt };
#endif
      looking = true;
      look();
      looking = false;
#if defined(IO) && !defined(MUTANT_LOOK_ONCE)
      if
      :: ndealt != before -> goto again /* R164 */
      :: else
      fi
#endif
    :: else -> asleep = false; deep = false
    fi;
    if
    :: deep ->
end:
      if
      :: kicked
      :: due[0]
      :: due[last]
      :: hosts_left == 0
      fi;
      asleep = false
    :: else -> /* it ticks while somebody is busy, and sees them end */
      if
      :: busy == 0 && jobs == 0
      :: kicked
      :: due[0]
      :: due[last]
      fi
    fi;
    /* What is due. */
    if
    :: due[0] -> due[0] = false;
      if
      :: where[0] == TASKS -> due[0] = true
      :: else
      fi
    :: else
    fi;
#ifdef TWO
    if
    :: due[1] -> due[1] = false;
      if
      :: where[1] == TASKS -> due[1] = true
      :: else
      fi
    :: else
    fi
#endif
  od
}

init {
  atomic {
    busy = 1;
#if defined(COMER)
    awake = 1;
    run worker(false);
    run comer();
#elif defined(IO)
    awake = 1;
    run worker(false);
    run sleeper();
#elif defined(TWO)
    awake = 1;
    busy = 0;
    run slice();
#else
    awake = 2;
    expected = 1;
    announced = 1;
    run worker(false);
    run worker(true);
    run outside();
#endif
    run host(0);
#ifdef TWO
    run host(1);
#endif
    run monitor()
  }
}
