/* state.h - a Lua state as a session, and what all the libraries share.
   SPDX-License-Identifier: MIT

   There is one cast_state in each Lua universe (lua_newstate): either a *host*,
   which somebody else created and runs, or one of ours, run by the pool. Every
   library function has its box as the first upvalue (cast_state_here). All
   fields belong to the session's owner but where said otherwise.
   Invariants:
   1. `work` is used only for protected calls that end before the next task is
      resumed; nothing lies on it in between.
   2. A library function that may block calls cast_enter before it publishes
      anything: from there on nothing can fail.
   3. What an operation owns while a Lua error may be raised is anchored: in the
      task's waiter.msg, in a rebuild (rebuild.c), in a handle or a box
      (cleanup.h).
   4. Code that makes Lua values may run a finalizer, in the middle of an
      operation of the task, and that may do operations of the same task. So
      nothing lies in waiter.msg meanwhile, and how the task waits is found out
      afterwards (cast_enter_again). */
#ifndef CAST_STATE_H
#define CAST_STATE_H

#include "../../base.h"
#include "../../fork.h"
#include "../../host.h"
#include "../../limits.h"
#include "../../list.h"
#include "../../slab.h"
#include "../../timer.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "ltask.h"

/* Functions of no class: those of streams, which are no handles (handle.h), but
   move, and of the parts of the module. */
enum {
  CAST_METHODS_STREAM,
  CAST_METHODS_STREAM_META,
  CAST_METHODS_NET,
  CAST_METHODS_PROCESS,
  CAST_METHODS_FS,
  CAST_METHODS_SOCK_TCP, /* these four: of LuaSocket's classes */
  CAST_METHODS_SOCK_UDP,
  CAST_METHODS_SOCK_UNIX,
  CAST_METHODS_SOCK_DGRAM,
  CAST_METHODS
};

/* What the rooms above this one do for a state, since this one may not call
   them: one constant table, given to a host when it is made and inherited by
   its sessions. */
typedef struct cast_binding {
  const struct cast_class *const *classes; /* of handles; NULL ends the list */
  const luaL_Reg *functions;               /* of the module, for errors */
  const luaL_Reg *methods[CAST_METHODS];   /* of no class */
  const luaL_Reg *of_handles; /* metamethods of them all: cast_handle_meta */
  lua_CFunction stub;         /* calls those that are written in Lua */
  lua_Hook hook; /* cast_preempt_hook: looks whether a task must stop */
  /* 5.4: is the task that runs past its time, and does it not look up? */
  bool (*overdue)(cast_state *S);
  lua_CFunction open;      /* luaopen_casting, for package.preload */
  lua_CFunction open_part; /* the loader of casting's parts, for require */
  /* What a method does that is written in Lua: cast_embed_call. */
  int (*call)(lua_State *L, const char *file, const char *name);
  /* Makes the module and pushes it. Raises. */
  void (*open_module)(lua_State *L);
  /* Is there a module of that name of our own? For the packer (packer.h). */
  bool (*module)(lua_State *L, const char *name, size_t size);
  /* S has found that the cpu time of its sandbox is used up: has the other
     sessions that share it look. */
  void (*cpu_over)(cast_state *S);
  /* The main program can never go on, a deadlock: begins to find out why,
     before its wait is over; and raises that, after it. */
  void (*find_deadlock)(lua_State *L, cast_state *S);
  int (*raise_deadlock)(lua_State *L, cast_state *S);
  /* Called by the first finalizer of ours that lua_close of a host runs: ends
     the host. */
  void (*end)(lua_State *L);
} cast_binding;

/* Where a field is shared with other threads its guard stands in front: (i)
   fixed when the state is made, (a) atomic, (host lock) the lock of family.c.
   The members of one module are a struct, named after it. */
struct cast_state {
  cast_session session;
  lua_State *L;    /* main thread; NULL: a 5.1 host's, not known yet */
  lua_State *work; /* for protected calls: see invariant 1 */
  const cast_binding *binding; /* (i) what higher rooms do for the state */
  struct cast_fixed *fixed;    /* what its functions are in, or NULL */
  struct cast_packer *packer;  /* makes messages of values and values of them */
  cast_host *host;             /* the main program's part; NULL: one of ours */
  cast_ltask *main;            /* a host's main program */

  /* How a task that computes is reached: preempt.c says more of each. */
  struct {
    /* The coroutine that executes, and the one on which a preempt request has
       set the hook. Atomic for the signal handler, which runs in the same
       thread; so relaxed. */
    _Atomic(lua_State *) running;
    _Atomic(lua_State *) hooked;
    bool can_preempt; /* the hook in it may yield up to the task's resumer */
    bool preempted;   /* it has, and the resumer has not seen that yet */
    bool ended;       /* as `preempted`: nothing goes on with it */
    bool kept;        /* 5.2, 5.3: its function lies on `work` */
    const cast_ltask *doomed;  /* whose error is in the registry; only compared,
                                 and meant if its bit says so, too */
    _Atomic uint64_t asked_ns; /* when `hooked` was set for a request; for the
                                  signal handler, so relaxed */
    _Atomic bool unserved; /* metered: a request found no task to interrupt */
    bool interpreted;      /* (i) LuaJIT: nothing is compiled in it */
#if CAST_LUAJIT
    /* What a hook of ours stands in for (interrupt.c): the program's hook or
       NULL, its mask, and its count. For the signal handler, so relaxed. */
    _Atomic(lua_Hook) hook;
    _Atomic int mask;
    _Atomic int count;
#endif
  } preempt;

  struct {           /* protected calls between tasks: protect.c */
    uint32_t active; /* such calls under way */
    bool refused;    /* a finalizer wanted to wait in one of them */
    bool final;      /* that counts as any error: it is no finalizer's */
#ifdef CAST_COLLECT
    bool halted; /* the last try of one: no finalizers are called */
#endif
  } protect;

  /* Host: the interpreter's hook for Ctrl-C (interrupt.c): the main thread and
     what its hook was when the main program's wait began. Atomic for
     sysmon, which looks whether the hook has changed. */
  struct {
    _Atomic(lua_State *) main_thread;
    _Atomic(lua_Hook) hook;
    bool main_interrupted; /* LuaJIT: a task has met the error of that hook */
  } interrupt;

  struct {                 /* host: waits of finalizers at its end: last.c */
    const void *first;     /* function on the main thread's stack; NULL */
    const void *finalizer; /* LuaJIT: one there that waits or did; NULL */
    uint64_t since_ns;     /* when the first of these waits began; 0: none */
    bool waits;            /* the main program's latest wait is such a one */
    bool ended;            /* the finalizer that waits so has to end the host */
  } last;

  cast_coroutine aux; /* makes what the next finished wait brings: deliver.c */

  struct { /* messages whose values are being rebuilt: rebuild.c */
    cast_rebuild *spare; /* one to be used next, or NULL */
    cast_rebuild *first; /* the innermost of each task stand first */
  } rebuilds;

  struct {                 /* tasks that have not begun: pending.c */
    cast_startup **all;    /* the stacks; a free place is NULL */
    cast_startup *filling; /* the stack that takes new tasks, or NULL */
    cast_startup *drained; /* a list of empty ones */
    uint32_t room;         /* places in `all` */
    uint32_t ndrained;
  } pending;

  struct { /* coroutines of ended tasks, for new ones: pending.c */
    cast_coroutine *all; /* n of them, in a block with room for more */
    uint32_t n;
    uint32_t room;
  } idle;

  struct { /* calls in a row that need not have waited: turn.h */
    const cast_ltask *task; /* whose; only compared */
    uint32_t ncalls;
    bool owed; /* a select of that task was due, and could not take a turn: the
                  next one does so */
  } streak;

  bool raises; /* the wait that has just ended has no outcome, but an error:
                  complete.c */
  uint32_t nfileops; /* operations on files that tasks wait for: fs_call.c */

  struct {                   /* modules that tasks are loading: load.c */
    struct cast_load *first; /* the newest */
    uint64_t begun;          /* how many there ever were */
  } loads;

  struct {    /* what C keeps from the collector, before 5.4: anchor.c */
    int used; /* places that have been in use; 5.4: 1 once there was one */
    int room; /* places in the table */
    int free; /* the first place of the free list, or 0 */
  } anchors;

  struct { /* a timer that has computing tasks looked at: watchdog.c */
    cast_timer timer;
    _Atomic uint64_t at_ns; /* (a) hint: what it is set to */
  } watchdog;

  /* Tasks to be cancelled: cancel.c. */
  struct {
    _Atomic int32_t ncancelling;       /* (a) tasks that were asked to end */
    _Atomic(cast_post *) all_requests; /* (a) requests that all tasks end */
    cast_post post;                    /* has the owner look at all its tasks */
    _Atomic bool posted;               /* (a) it is in the inbox */
  } cancel;

  struct { /* the session is to close: newsession.c */
    cast_post post;
    _Atomic bool posted; /* (a) set once */
  } close;

  struct {                /* what the session may use, and has used: budget.c */
    uint64_t cpu_max;     /* (i) nanoseconds; 0: not measured */
    uint64_t cpu_from;    /* the thread's time when the slice began */
    _Atomic uint64_t cpu; /* (a) used in slices that have ended */
    _Atomic bool over;    /* (a) it was more than cpu_max: all tasks fail */
    _Atomic uint64_t look_ns; /* (a) from then on the slice that runs is to be
                                 looked at; OS_FOREVER: none runs */
  } budget;

  struct {            /* memory.c */
    cast_slabs slabs; /* memory of the Lua state; not a host's */
    size_t max;       /* (i) the lowest limit that holds for it, 0: no limit;
                   slabs.max is another at times */
    _Atomic size_t granted; /* (a) of slabs.max: what the session's account is
                           charged; 0: it has none that limits memory */
#if CAST_LUA < 502
    size_t collect_at; /* with a limit: more bytes than these starve it */
    bool starved;      /* all garbage has to be collected */
#endif
  } memory;

  struct { /* handle.c */
    /* A cache: addresses of handles that live, so that cast_handle_at need not
       ask what the userdata is. An entry goes with its handle. */
    const void *cache[CAST_HANDLE_CACHE];
    size_t gc_debt; /* bytes of which the collector has not been told */
  } handles;

  struct {                      /* casting.require: loader.c */
    struct cast_loading *first; /* its calls that call require now */
    uint64_t awaited; /* (i) the turn whose end waits for its init, or 0 */
    uint32_t init;    /* (i) the task that runs its init, or 0 */
  } turns;

  cast_list cleanups;           /* what operations hold: cleanup.h */
  bool cleaned;                 /* that was given up */
  struct cast_lineage *lineage; /* (i) one reference, or NULL */
  struct cast_sandbox *sandbox; /* (i) one reference; NULL: it is trusted */
  bool counted;                 /* it counts there until it has closed */
  struct cast_random *random;   /* mathlib.c; NULL: nothing drawn yet */
  struct cast_signals *signals; /* (i) a root's: program.c */
  cast_state *root;    /* (i) the host whose end closes this one; may be self */
  cast_list children;  /* host: (host lock) its sessions' states */
  cast_list sibling;   /* (host lock) */
  _Atomic bool ending; /* (a) host: everything is being unwound */
  bool opened;         /* its module has been made */
  bool closing;        /* its Lua state is being closed: no new handles */
  _Atomic bool gone;   /* (a) that is done; only read in sandboxes */
#ifdef CAST_COLLECT
  uint32_t collecting; /* finalizers of collect.c that wait */
  uint32_t chance;     /* what is drawn for them */
#endif
  size_t name_size; /* (i) */
  char name[];      /* (i) may have zero bytes, and one at its end */
};

/* Raises that casting has closed in this state, or is not there after a
   fork. */
_Noreturn void cast_raise_closed(lua_State *L);
#if CAST_LUAJIT
/* Raises "C stack overflow" if little is left of it: LuaJIT does not count
   nested calls of C functions (../session/nestlib.c). */
void cast_state_check_depth(lua_State *L, const cast_state *S);
#endif

/* In a library function. Its first upvalue is a box, a userdata that holds the
   pointer: it lives as long as the Lua state, and is empty once casting has
   closed in that. Raises then. */
static inline cast_state *cast_state_here(lua_State *L) {
  cast_state **box = lua_touserdata(L, lua_upvalueindex(1));
  if (CAST_UNLIKELY(*box == NULL || cast_forked)) cast_raise_closed(L);
#if CAST_LUAJIT
  if (CAST_UNLIKELY((*box)->sandbox != NULL)) cast_state_check_depth(L, *box);
#endif
  return *box;
}
/* The same for functions that go on working in the child of a fork; NULL:
   casting has closed. */
static inline cast_state *cast_state_boxed(lua_State *L) {
  cast_state **box = lua_touserdata(L, lua_upvalueindex(1));
  return *box;
}
/* The same in a session of ours, from 5.3 on, where the extra space of each
   coroutine holds the state: found without a call of Lua's. (The extra space of
   a host's may be in use by the host program.) */
#if CAST_LUA >= 503
#define CAST_HAS_OURS 1
static inline cast_state *cast_state_ours(lua_State *L) {
  cast_state *S;
  memcpy(&S, lua_getextraspace(L), sizeof S);
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
  return S;
}
#else
#define CAST_HAS_OURS 0
#endif
/* Pushes the box, for functions to be made. */
void cast_state_box(lua_State *L);
/* Casting has closed in L, but functions that are in use there go on with what
   it had: has all that been kept? */
bool cast_state_is_kept(lua_State *L);
/* It is to be kept. */
void cast_state_keep(lua_State *L);

/* The calling task. NULL: the main program of a host. */
static inline cast_ltask *cast_current(cast_state *S) {
  cast_task *t = S->session.current;
  return t == NULL || (S->main != NULL && t == &S->main->base)
           ? NULL
           : CAST_CONTAINER(t, cast_ltask, base);
}
static inline cast_ltask *cast_ltask_of(cast_task *t) {
  return CAST_CONTAINER(t, cast_ltask, base);
}
static inline cast_state *cast_state_of(cast_session *s) {
  return CAST_CONTAINER(s, cast_state, session);
}
/* Pushes the name whole: it may have zero bytes. */
static inline void cast_state_push_name(lua_State *L, const cast_state *S) {
  lua_pushlstring(L, S->name, S->name_size);
}

/* The cast_state of the Lua state that L is in; NULL: casting was not opened in
   it, or has closed. */
cast_state *cast_state_find(lua_State *L);
/* The same in a hook, where there is room on the stack, and nothing may be
   raised. (Before 5.2 no room is given above 8000 values of one function, even
   if there is some.) */
cast_state *cast_state_find_in_hook(lua_State *L);
/* A host needs threads of ours from now on: prepares it, unless that was done.
   A process that has only loaded casting has no threads, and may fork.
   Raises. */
void cast_state_prepare(lua_State *L, cast_state *S);
/* Pushes a box, empty so far. gc: its finalizer, or NULL; that of a host's box
   ends the host. Raises when out of memory. */
cast_state **cast_state_push_box(lua_State *L, lua_CFunction gc);
/* Keeps the box on the top of the stack for the state's library functions. */
void cast_state_keep_box(lua_State *L);
/* Is the latest wait of the main program one of a finalizer while its state
   closes (last.h)? */
static inline bool cast_last_is_waiting(const cast_state *S) {
  return CAST_UNLIKELY(S->last.waits);
}
/* In a finalizer of ours: has the collector called it in a task, while such a
   wait is under way? The collector calls all that lua_close has put aside for
   finalizers then, which may still be in use. */
static inline bool cast_last_is_stray(const cast_state *S) {
  return cast_last_is_waiting(S) && S->session.current != &S->main->base;
}

#endif
