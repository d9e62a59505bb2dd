/* deadlock.pml - the look for deadlocks, and who makes sysmon look.
   SPDX-License-Identifier: MIT

   Models src/deadlock.c with what it rests on in host.c, sysmon.c and sched.c:
   hosts that send a job to the pool or not, and wait; workers with a permit and
   one that has lost it (it is in a slice, but not busy); a thread of C that
   has announced itself and may send or not; sysmon, which sleeps for ever
   once it has found the pool idle. (COMER: one who announces itself later; TWO:
   two hosts, one slice of a worker.) What happens under one lock is one step.
   Race numbers are those of docs/DESIGN.md. Checked:
   1. A verdict is passed on a dead program only: at the moment of the
      scheduler's quiet nobody can do anything (R90).
   2. A dead program gets its verdict: when all are asleep for good, no main
      program is among them (R91). An invalid end state is a missed one. */

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

/* -- a worker: `lost` begins in a slice without a permit ------------------ */

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

/* -- a thread of C that has said that it may come ------------------------- */

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

/* -- a host --------------------------------------------------------------- */

proctype host(byte h) {
  byte round;
  do
  :: round == ROUNDS -> break
  :: else ->
    round++;
#ifndef TWO
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
    event[h];
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

/* -- sysmon ---------------------------------------------------------- */

inline judge(h) {
  if
  :: !gone[h] && !verdict[h] -> verdict[h] = true; push(h)
  :: else
  fi
}

inline look() {
  saw = announced;
  ok = (expected == 0);
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
              still(last))
    };
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
  byte seen[HOSTS];
  bool ok, dead, deep;
  do
  :: hosts_left == 0 -> break
  :: else ->
    kicked = false;
    asleep = true; /* PAIR wake_sysmon */
    if
    :: busy == 0 && jobs == 0 -> deep = true;
      looking = true;
      look();
      looking = false
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
