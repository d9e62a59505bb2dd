/* poller.pml - which thread polls, and how threads that sleep in the poller are
   woken.
   SPDX-License-Identifier: MIT

   Models src/io/poller.c with what of sched.c, host.c and sysmon.c belongs to
   it. What descriptor.pml models is one step here: a task looks whether its
   descriptor has something, and if not, queues its waiter. The rest of the
   scheduler is as in sleep.pml, without run-next slots, stealing and lost
   permits; to start a thread is to wake an idle worker. A look takes one event
   at most, so it may leave some. Race numbers are those of README.md.
   Scenarios: two workers, of which one runs a session that waits for a
   descriptor twice, and a job from outside (the plain one); BUSY, one permit,
   and the worker that has it computes until no other thread can move; DEEP, one
   worker, and sysmon falls asleep; HOST, a main program that waits for a
   descriptor, beside a worker in the poller, for a session whose descriptor is
   closed in the end; SHARED, both wait for the same one; NEVER, the main
   program waits, and its other tasks are always ready; LOOKS, a main program
   beside sysmon; TWO, two of them. Sysmon is in BUSY, DEEP and LOOKS only: the
   other scenarios show that no wake hangs on it. Checked:
   1. Whenever no thread can move, no task waits for a descriptor that is ready,
      and no job waits beside a permit. In the end all has been read.
   2. One thread has the token at a time (R165).
   3. A worker that was given a core goes on (R166, R167).
   4. A waker does not touch a host after it may have ended (R170). */

#if defined(SHARED) || defined(NEVER) || defined(LOOKS)
#define HOST
#endif
#ifdef TWO
#define HOSTS 2
#else
#define HOSTS 1
#endif
#if defined(BUSY) || defined(DEEP) || defined(LOOKS)
#define SYSMON
#endif
#if defined(HOST) || defined(TWO)
#define WITH_HOSTS
#endif
#if defined(WITH_HOSTS) || defined(DEEP)
#define WORKERS 1
#define PERMITS 1
#else
#define WORKERS 2
#ifdef BUSY
#define PERMITS 1
#else
#define PERMITS 2
#endif
#endif

#define NONE 255
#define BREAK 9

/* Session 0 of the pool waits for descriptor 0, session 1 computes. Session 2
   draws a worker out of the poller. The hosts' are 3 and 4; the first waits for
   descriptor 2, or in SHARED for 0. */
#define OTHER 2
#define FIRST_HOST 3
#define DESCRIPTORS 3

/* -- the system ------------------------------------------------------------ */

byte data[DESCRIPTORS];
bool added[DESCRIPTORS];
bool edge[DESCRIPTORS];
bool broken; /* os_poller_break was called, and not told yet */

/* -- poller.c -------------------------------------------------------------- */

bool token;
byte looking; /* how many are, in truth */
byte pooled, hosted, away;
byte nhosts;
bool counted[DESCRIPTORS]; /* d->pooled */
bool waits[DESCRIPTORS];   /* its session's task is queued */
#ifdef SHARED
bool host_waits;           /* the host's task, for descriptor 0 */
#endif

/* Reads of `pooled`, and of `away` and `hosted`. */
#define wanted (pooled > 0 || (away > 0 && hosted > 0))
#define wanted_by_host (hosted > 0)

/* -- sched.c --------------------------------------------------------------- */

chan global = [4] of { byte };
byte nglobal;
byte spare = PERMITS;
#define busy (PERMITS - spare)
byte nspinning;
bool core[WORKERS];
bool spinning[WORKERS];
bool idle[WORKERS] = true;
#define GO_ON 1
#define POLLS 2
byte signal[WORKERS]; /* 0: it sleeps on its word, or runs */
bool asleep[WORKERS]; /* on its word, in the kernel */

bool released; /* what computes goes on */
byte left[FIRST_HOST + 2]; /* how often a session is to read yet */

/* -- hosts ----------------------------------------------------------------- */

#define EMPTY 0
#define IDLE 1
#define POST 2
byte inbox[HOSTS];
bool event[HOSTS];
bool woken[HOSTS];
bool hpolls[HOSTS];
bool gone[HOSTS];
byte deadlines[HOSTS];

/* -- sysmon ---------------------------------------------------------------- */

#ifdef SYSMON
bool deep;   /* it says that it sleeps */
bool kicked;
byte looks = 1; /* so many that find nothing */
#endif

inline wake_sysmon() {
#ifdef SYSMON
  if
  :: deep -> d_step { deep = false; kicked = true }
  :: else
  fi
#else
  skip
#endif
}

/* -- waking workers -------------------------------------------------------- */

inline give_signal(x) {
#ifdef MUTANT_SIGNAL_LATE
  yes = (signal[x] == POLLS); /* R166: read before the store */
  signal[x] = GO_ON;
#else
  d_step { yes = (signal[x] == POLLS); signal[x] = GO_ON };
#endif
  if
  :: yes -> broken = true
  :: else -> asleep[x] = false
  fi;
  yes = false
}

/* Under the lock: a worker with a core into c, or NONE. Which one is chosen is
   a hint in the sources. */
inline choose() {
  atomic {
    c = NONE;
    if
    :: spare > 0 && idle[0] -> c = 0
#if WORKERS > 1
    :: spare > 0 && idle[1] -> c = 1
    :: spare == 0 || (!idle[0] && !idle[1])
#else
    :: spare == 0 || !idle[0]
#endif
    fi;
    if
    :: c != NONE ->
       assert(!core[c] && !spinning[c]); /* R167 */
       idle[c] = false;
       core[c] = true;
       spinning[c] = true;
       spare--
    :: else
    fi
  }
}

/* In the caller: byte c; bool yes. */
inline wake() {
  do
  :: spare == 0 -> break
  :: else ->
     d_step {
       yes = (nspinning == 0);
       nspinning = (yes -> 1 : nspinning)
     };
     if
     :: !yes -> break
     :: else
     fi;
     choose();
     if
     :: c != NONE -> wake_sysmon(); give_signal(c); break
     :: else ->
        nspinning--;
        if
        :: nglobal > 0
        :: else -> break
        fi
     fi
  od;
  c = NONE;
  yes = false
}

inline submit(s) {
  d_step { global!s; nglobal++ };
  wake()
}

/* cast_sched_cover: some thread looks, or will when it rests; otherwise wakes a
   worker that will. yes: one does. */
inline cover() {
  if
  :: !wanted || token || busy > 0 -> yes = true
  :: else ->
     nspinning++;
     choose();
     if
     :: c != NONE -> wake_sysmon(); give_signal(c); yes = true
     :: else ->
        nspinning--;
        if
        :: nglobal > 0 -> wake()
        :: else
        fi;
        yes = false
     fi
  fi;
  c = NONE
}

/* -- looking --------------------------------------------------------------- */

/* yes: the token was free, and is the caller's. */
inline take_token() {
  d_step {
#ifdef MUTANT_TAKE_BLIND
    yes = true;
#else
    yes = !token;
#endif
    if
    :: yes -> token = true; assert(looking == 0); looking++ /* R165 */
    :: else
    fi
  }
}

inline give_token() { d_step { looking--; token = false } }

/* What there is to be told, one at a time. */
inline take_event() {
  if
  :: edge[0] -> edge[0] = false; told = 0
  :: edge[1] -> edge[1] = false; told = 1
  :: edge[2] -> edge[2] = false; told = 2
  :: broken -> broken = false; told = BREAK
  :: !edge[0] && !edge[1] && !edge[2] && !broken -> told = NONE
  fi
}
#define something (edge[0] || edge[1] || edge[2] || broken)

/* Claims the waiters: the session into s, or NONE. `host`: also the host. */
inline claim() {
  d_step {
    s = NONE;
    host = false;
    if
    :: told < 2 ->
       if
       :: waits[told] -> waits[told] = false; s = told
       :: else
       fi;
#ifdef SHARED
       host = (told == 0 && host_waits);
       host_waits = (host -> false : host_waits)
#endif
    :: told == 2 ->
       host = waits[2];
       waits[2] = false
    :: else
    fi
  }
}

/* cast_session_push to host h. */
inline ring(h) {
  d_step {
    yes = (inbox[h] == IDLE);
    inbox[h] = POST
  };
  if
  :: yes ->
     assert(!gone[h]);
#ifdef MUTANT_WOKEN_LATE
     yes = hpolls[h]; /* R169 */
     woken[h] = true;
#else
     woken[h] = true;
#ifdef MUTANT_EVENT_FIRST
     event[h] = true; /* R170 */
     assert(!gone[h]);
     yes = hpolls[h];
#else
     yes = hpolls[h];
#endif
#endif
     if
     :: yes -> broken = true
     :: else
     fi;
     assert(!gone[h]);
     event[h] = true
  :: else
  fi;
  yes = false
}

/* What was told, for a worker with a core, or for none: the session into s. */
inline deal() {
  claim();
  if
  :: host -> ring(0)
  :: else
  fi;
  host = false;
  told = NONE
}

/* A worker with a core. */
inline look() {
  atomic {
    take_token();
    if
    :: yes -> take_event()
    :: else
    fi
  };
  if
  :: yes ->
     give_token();
     deal();
     job = s;
     s = NONE
  :: else
  fi;
  yes = false
}

/* -- workers --------------------------------------------------------------- */

/* Session j on a worker: reads, and waits again or ends. */
inline run_session(j) {
  if
#ifdef BUSY
  :: !released && j == 1 -> released
#endif
  :: true
  fi;
  do
  :: true ->
     d_step {
       if
       :: j == OTHER -> yes = false
       :: j != OTHER && data[j] > 0 && left[j] > 0 ->
          data[j]--;
          left[j]--;
          yes = true
       :: j != OTHER && left[j] == 0 -> /* closed */
#ifndef SHARED
          if
          :: added[j] ->
             added[j] = false;
             edge[j] = false;
             pooled = pooled - counted[j];
             hosted = hosted - !counted[j]
          :: else
          fi;
#endif
          yes = false
       :: else ->
          if
          :: !added[j] ->
             added[j] = true;
             pooled++;
             counted[j] = true
          :: added[j] && !counted[j] -> pooled++; hosted--; counted[j] = true
          :: else
          fi;
          waits[j] = true;
          yes = false
       fi
     };
     if
     :: !yes -> break
     :: else
     fi
  od
}

/* w is the caller's; own is true if it has taken a core itself. */
inline sleep_in_poller() {
  own = false;
  do
  :: own || signal[w] == GO_ON -> break
  :: else ->
#ifdef MUTANT_POLLS_LATE
     yes = (signal[w] == GO_ON); /* R166: looked at before it is said */
     signal[w] = (yes -> GO_ON : POLLS);
#else
     d_step {
       yes = (signal[w] == GO_ON);
       signal[w] = (yes -> GO_ON : POLLS)
     };
#endif
     if
     :: !yes ->
end_poller:
        atomic { something -> take_event() }
     :: else
     fi;
#ifdef MUTANT_BACK_BLIND
     signal[w] = 0; /* R166: whatever is there by now */
#else
     d_step { signal[w] = (signal[w] == GO_ON -> GO_ON : 0) };
#endif
     deal();
     if
     :: s != NONE ->
        d_step { /* gets_core: R167 */
#ifdef MUTANT_CORE_BLIND
          own = (spare > 0);
#else
          own = (!core[w] && spare > 0);
#endif
          if
          :: own ->
             spare--;
             assert(!core[w]);
             core[w] = true;
#ifndef MUTANT_STAYS_IDLE
             idle[w] = false
#endif
          :: else
          fi
        };
        if
        :: own ->
           give_token();
           wake_sysmon();
           job = s
        :: else ->
#ifdef MUTANT_PUSH_SILENTLY
           d_step { global!s; nglobal++ } /* R168 */
#else
           submit(s)
#endif
        fi;
        s = NONE
     :: else
     fi
  od;
  if
  :: !own ->
#ifndef MUTANT_KEEPS_TOKEN
     give_token()
#else
     looking-- /* R165 */
#endif
  :: else
  fi;
  yes = false
}

proctype worker(byte w; byte job) {
  byte s = NONE, c = NONE, told = NONE;
  bool yes, own, was, host;
#ifdef MUTANT_WANTED_EARLY
  bool want;
#endif
  if
  :: asleep[w] -> goto on_its_word
  :: job == NONE && !asleep[w] -> goto await
  :: job != NONE -> goto has_job
  fi;
find:
  assert(core[w]);
  d_step {
    assert(job == NONE);
    if
    :: nglobal > 0 -> global?job; nglobal--
    :: else
    fi
  };
  if
  :: job == NONE && wanted && (busy > 1 || spinning[w] || token) -> look()
  :: else
  fi;
  if
  :: job != NONE ->
has_job:
#ifdef MUTANT_WANTED_EARLY
     want = wanted;
#endif
     if
     :: spinning[w] ->
        spinning[w] = false;
        nspinning--;
        if
        :: nglobal > 0 -> wake()
        :: else
        fi
     :: else
     fi;
     run_session(job);
     job = NONE;
     goto find
  :: else
  fi;
  d_step { /* go_to_sleep */
    if
    :: nglobal > 0 -> global?job; nglobal--
    :: else ->
       was = spinning[w];
       spinning[w] = false;
       core[w] = false;
       spare++;
       idle[w] = true
    fi
  };
  if
  :: job != NONE -> goto has_job
  :: else
  fi;
  if
  :: was -> nspinning--; was = false
  :: else
  fi;
  if
  :: nglobal > 0 ->
     d_step {
       yes = (!core[w] && spare > 0);
       if
       :: yes ->
          core[w] = true;
          spare--;
          idle[w] = false;
          nspinning++;
          spinning[w] = true
       :: else
       fi
     };
     if
     :: yes -> yes = false; goto find
     :: else
     fi
  :: else
  fi;
await:
  do
  :: signal[w] == GO_ON -> signal[w] = 0; goto find
  :: else ->
     yes = false;
     if
#ifdef MUTANT_WANTED_EARLY
     :: want -> take_token()
#else
     :: wanted -> take_token() /* R173: after it has run what has waited */
#endif
     :: else
     fi;
     if
     :: yes ->
        sleep_in_poller();
        if
        :: own -> own = false; goto has_job
        :: else
        fi
     :: else ->
        asleep[w] = (signal[w] == 0); /* os_wait */
on_its_word:
end_word:
        !asleep[w]
     fi
  od
}

/* -- a host ---------------------------------------------------------------- */

#ifdef WITH_HOSTS

/* From idle to running again. */
inline reclaim(h) {
  d_step {
    yes = (inbox[h] == IDLE);
    inbox[h] = (yes -> EMPTY : inbox[h])
  };
#ifndef MUTANT_HOST_HASTY
  if
  :: !yes -> event[h]; event[h] = false; woken[h] = false /* R170 */
  :: else
  fi;
#else
  if
  :: !yes -> event[h] = false; woken[h] = false
  :: else
  fi;
#endif
  yes = false
}

/* The deadline of its wait has come; it may wait again. */
#define alarm(h) (deadlines[h] > 0)

/* With the token. */
inline host_sleep_in_poller(h) {
#ifdef MUTANT_HOST_POLLS_LATE
  yes = woken[h]; /* R169 */
  hpolls[h] = true;
#else
  hpolls[h] = true;
  yes = woken[h];
#endif
  if
  :: !yes ->
     if
     :: atomic { something -> take_event() }
     :: atomic { alarm(h) -> deadlines[h]--; late = true }
     fi
  :: else
  fi;
  hpolls[h] = false;
#ifdef MUTANT_COVER_EARLY
  early = (busy == 0); /* R171: read before the token is given up */
#endif
  give_token();
  reclaim(h);
  host_deal(h);
  leave_covered()
}

/* A host has given up the token, and nothing makes it look again. */
inline leave_covered() {
#if defined(MUTANT_COVER_EARLY)
  if
  :: early -> cover()
  :: else
  fi;
#elif !defined(MUTANT_LEAVES_SILENTLY)
  cover(); /* R171 */
#endif
  yes = false
}

/* What it was told: its own session is running. */
inline host_deal(h) {
  claim();
  if
  :: host && h == 0 -> served = true
  :: host && h != 0 -> ring(0)
  :: else
  fi;
  host = false;
  told = NONE;
  if
  :: s != NONE -> submit(s); s = NONE
  :: else
  fi
}

inline event_wait(h) {
  if
  :: event[h]
  :: atomic { alarm(h) -> deadlines[h]--; late = true }
  fi
}

inline sleep_until_ready(h) {
#ifdef MUTANT_TORN
  own = pooled; /* R172: all of them, less those of the pool */
  own = pooled + hosted - own;
#else
  own = hosted;
#endif
  if
  :: inbox[h] == POST -> reclaim(h) /* spin() has seen it */
  :: inbox[h] != POST && own > 0 ->
     take_token();
#ifndef MUTANT_RELIES
     if
     :: !yes ->
        away++; /* R172: then it is looked again whether the token is free */
#ifndef MUTANT_AWAY_BLIND
        take_token()
#else
        skip
#endif
        ;
        if
        :: yes -> away--
        :: else
        fi
     :: else
     fi;
#endif
     if
     :: yes -> host_sleep_in_poller(h)
     :: else ->
        event_wait(h);
#ifndef MUTANT_RELIES
        away--;
#endif
        reclaim(h)
     fi
  :: else ->
#ifndef MUTANT_FIRST_SILENTLY
     cover(); /* R173 */
     yes = false;
#endif
     event_wait(h);
     reclaim(h)
  fi
}

/* The owner takes its waiter off the queue. */
inline withdraw() {
#ifdef SHARED
  host_waits = false
#else
  if
  :: d != NONE -> waits[d] = false
  :: else
  fi
#endif
}

/* d: its task's descriptor, or NONE. */
proctype thread(byte h; byte d) {
  byte s = NONE, c = NONE, told = NONE, own;
  bool yes, host, served, late;
#ifdef MUTANT_COVER_EARLY
  bool early;
#endif
  nhosts++;
  do
  :: left[FIRST_HOST + h] == 0 -> break
  :: else ->
     if
#ifdef SHARED
     :: !released && !host_waits -> released /* the main program computes */
#endif
     :: true
     fi;
     if
     :: d != NONE ->
        d_step {
          if
          :: data[d] > 0 ->
             data[d]--;
             left[FIRST_HOST + h]--;
             served = true
          :: else ->
             served = false;
             if
             :: !added[d] ->
                added[d] = true;
                counted[d] = (nhosts > 1);
                pooled = pooled + counted[d];
                hosted = hosted + !counted[d]
             :: added[d] && !counted[d] && nhosts > 1 ->
                counted[d] = true;
                pooled++;
                hosted--
#ifdef MUTANT_FLIPS
             :: added[d] && counted[d] && nhosts == 1 -> /* R174 */
#else
             :: added[d] && counted[d] && nhosts == 1 && !waits[d] ->
#endif
                counted[d] = false;
                hosted++;
                pooled--
             :: else
             fi;
#ifdef SHARED
             host_waits = true
#else
             waits[d] = true
#endif
          fi
        }
     :: else -> left[FIRST_HOST + h]-- /* it waits once, for a deadline */
     fi;
#ifdef NEVER
     /* Other tasks are always ready: it never sleeps, but looks at times. */
     do
     :: served -> break
     :: inbox[h] == POST -> inbox[h] = EMPTY; served = true
#ifndef MUTANT_NEVER_LOOKS
     :: !served && wanted_by_host && !token && something -> /* R175 */
        atomic {
          take_token();
          if
          :: yes -> take_event()
          :: else
          fi
        };
        if
        :: yes ->
           give_token();
           yes = false;
           host_deal(h);
           leave_covered()
        :: else
        fi
#endif
     od
#else
     if
     :: !served ->
        d_step {
          yes = (inbox[h] == EMPTY);
          inbox[h] = (yes -> IDLE : EMPTY)
        };
        if
        :: yes -> yes = false; sleep_until_ready(h)
        :: else
        fi;
        inbox[h] = EMPTY; /* it serves what was pushed */
        if
        :: late -> late = false; withdraw()
        :: else
        fi
     :: else
     fi
#endif
  od;
  served = false;
#ifndef SHARED
  d_step {
    if
    :: d != NONE && added[d] ->
       added[d] = false;
       edge[d] = false;
       waits[d] = false;
       pooled = pooled - counted[d];
       hosted = hosted - !counted[d];
       counted[d] = false
    :: else
    fi
  };
#endif
  d_step { gone[h] = true; nhosts-- }
}

/* A post comes for which the main program does not wait. */
proctype sender() {
  bool yes;
  if
  :: !gone[0] -> ring(0)
  :: true
  fi
}
#endif

/* -- sysmon ---------------------------------------------------------------- */

#ifdef SYSMON
inline look_and_submit() {
  look();
  if
  :: job != NONE -> submit(job); job = NONE
  :: else
  fi
}

proctype sysmon() {
  byte job = NONE, s = NONE, c = NONE, told = NONE;
  bool yes, host;
  do
#ifndef MUTANT_NO_TICK
  :: wanted && !token && something -> look_and_submit() /* R177 */
#endif
  :: looks > 0 && wanted && !token -> looks--; look_and_submit()
  :: busy == 0 && nglobal == 0 ->
     kicked = false;
     deep = true;
     if
     :: busy == 0 && nglobal == 0 ->
#ifndef MUTANT_SLEEPS_UNCOVERED
        cover(); /* R176 */
#else
        yes = true;
#endif
     :: else -> yes = false
     fi;
     if
     :: yes ->
        yes = false;
end:
        kicked;
        deep = false
     :: else -> deep = false
     fi
  od
}
#endif

/* -- the world ------------------------------------------------------------- */

proctype peer(byte d; byte n) {
  do
  :: n > 0 && data[d] == 0 ->
     d_step { data[d]++; edge[d] = added[d]; n-- }
  :: n == 0 -> break
  od
}

/* Session j's task has found nothing, and waits. */
inline already_waits(j) {
  added[j] = true;
  pooled++;
  counted[j] = true;
  waits[j] = true
}

/* Worker w begins in session j. */
inline is_running(w, j) {
  core[w] = true;
  idle[w] = false;
  spare--;
  run worker(w, j)
}

proctype spawner(byte j) {
  byte c = NONE;
  bool yes;
  submit(j)
}

init {
  byte i;
  atomic {
#ifdef WITH_HOSTS
    left[FIRST_HOST] = 1;
#ifdef SHARED
    deadlines[0] = 1;
    left[0] = 1;
    already_waits(0);
    run worker(0, NONE);
    run thread(0, 0);
    run spawner(OTHER);
    run peer(0, 2);
#else
    run thread(0, 2);
    run peer(2, 1);
#ifndef LOOKS
    deadlines[0] = 1;
#endif
#ifdef TWO
    left[FIRST_HOST + 1] = 1;
    deadlines[1] = 1;
    run worker(0, NONE);
    run thread(1, NONE);
#else
    already_waits(0);
    run worker(0, NONE);
#ifndef LOOKS
    left[0] = 1;
    run peer(0, 1);
#ifndef NEVER
    run sender();
#endif
#endif
#endif
#endif
#else
    left[0] = 1;
#ifdef BUSY
    already_waits(0);
    is_running(0, 1);
    if
    :: asleep[1] = true /* it has rested before session 0 has waited */
    :: true
    fi;
    run worker(1, NONE);
    run peer(0, 1);
#else
    left[0] = 2;
    is_running(0, 0);
    run peer(0, 2);
#ifndef DEEP
    run worker(1, NONE);
    run spawner(OTHER);
#endif
#endif
#endif
#ifdef SYSMON
    run sysmon();
#endif
  };
again:
  timeout;
  d_step {
    assert(nglobal == 0 || spare == 0); /* R168 */
    assert(nspinning == 0);
    i = 0;
    do
    :: i < DESCRIPTORS -> assert(!waits[i] || data[i] == 0); i++
    :: else -> break
    od;
#ifdef SHARED
    assert(!host_waits || data[0] == 0);
#endif
    i = 0;
    do
    :: i < WORKERS -> assert(signal[i] != GO_ON); i++ /* R166 */
    :: else -> break
    od;
    i = 0
  };
  if
  :: !released -> released = true; goto again
  :: else
  fi;
  assert(left[0] == 0 && left[1] == 0 && left[FIRST_HOST] == 0 &&
         left[FIRST_HOST + 1] == 0)
}
