/* state.h - a Lua state as a session, and what all the libraries share.
   SPDX-License-Identifier: MIT

   One cast_state per Lua universe (lua_newstate): either a *host*, which
   somebody else created and runs, or one of ours, run by the pool. Every
   library function has it as its first upvalue (STATE). All fields belong to
   the session's owner but where said otherwise. Invariants:
   1. `work` is only used for protected calls that end before the next task
      is resumed; nothing lies on it in between.
   2. A library function that may block calls cast_enter before it publishes
      anything: from there on nothing can fail.
   3. Whatever an operation owns while a Lua error may be raised is anchored:
      in the task's waiter.msg, in a rebuild (rebuild.c), in a handle or a box.
   4. Whatever makes Lua values may run a finalizer, in the middle of an
      operation of the task, and that may do operations of the same task. So
      in between nothing lies in waiter.msg, and how the task waits is found
      out afterwards (cast_enter_again). */
#ifndef CAST_STATE_H
#define CAST_STATE_H

#include "../../base.h"
#include "../../fork.h"
#include "../../host.h"
#include "../../list.h"
#include "../../slab.h"
#include "../../timer.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "ltask.h"

#define CAST_HANDLE_CACHE 16u /* see cast_state.handle_cache; a power of two */

/* What the rooms above this one do for a state: one constant table, given to a
   host when it is made and inherited by its sessions. */
typedef struct cast_binding {
  const struct cast_class *const *classes; /* of handles; NULL ends the list */
  const luaL_Reg *functions;               /* of the module, for errors */
  const luaL_Reg *of_handles; /* metamethods of them all: cast_handle_meta */
  lua_CFunction stub;         /* those of `functions` that are written in Lua */
  lua_Hook hook;      /* cast_preempt_hook: whatever computes looks up */
  lua_CFunction open; /* luaopen_casting, for package.preload */
  /* Makes the module and pushes it. Raises. */
  void (*open_module)(lua_State *L);
  /* The packer's: names of own modules, see packer.h. */
  bool (*module)(lua_State *L, const char *name, size_t size);
  /* The main program can never go on: begins to find out why, before its wait
     is over; then raises that, after it. */
  void (*find_deadlock)(lua_State *L, cast_state *S);
  int (*raise_deadlock)(lua_State *L, cast_state *S);
  /* The first finalizer of ours that the lua_close of a host runs. */
  void (*end)(lua_State *L);
} cast_binding;

struct cast_state {
  cast_session session;
  lua_State *L; /* main thread; NULL: a 5.1 host's, not known yet */
  lua_State *work;
  const cast_binding *binding; /* (i) */
  struct cast_fixed *fixed;    /* what its functions are in, or NULL */
  struct cast_packer *packer;
  cast_host *host;  /* NULL: one of ours */
  cast_ltask *main; /* host: its main program */
  /* What a preempt signal makes look up: the coroutine that runs (preempt.c).
     Atomic for the handler, in the same thread; so relaxed. */
  _Atomic(lua_State *) running;
  _Atomic(lua_State *) hooked; /* see preempt.c */
  bool can_preempt;      /* a hook in it may yield up to the task's resumer */
  bool preempted;        /* it has */
  bool main_interrupted; /* host: a task met the main program's hook */
  bool refused;     /* a finalizer was to wait between tasks: cast_protect */
  uint32_t between; /* such calls under way */
  /* Host: the main thread and what its hook was when the main program's wait
     began. Atomic for sysmon, which looks whether it has changed. */
  _Atomic(lua_State *) main_thread;
  _Atomic(lua_Hook) hook;
  struct {                 /* host: waits of finalizers at its end: last.c */
    const void *first;     /* function on the main thread's stack; NULL */
    const void *finalizer; /* LuaJIT: one there that waits or did; NULL */
    uint64_t since_ns;     /* when the first of these waits began; 0: none */
    bool waits;            /* the main program's latest wait is such a one */
    bool ended;            /* whoever waits so is to end everything */
  } last;
  cast_coroutine aux;           /* what finishes the next wait: deliver.c */
  cast_rebuild *rebuild;        /* one that is free, or NULL */
  cast_startup **startups;      /* of tasks that have not begun: pending.c */
  cast_startup *filling;        /* what takes new ones, or NULL */
  cast_startup *drained;        /* these are empty */
  cast_rebuild *rebuilds;       /* the innermost of each task first */
  struct cast_load *loads;      /* modules that tasks are loading: load.c */
  uint64_t nloads;              /* loads of modules that have begun */
  struct cast_lineage *lineage; /* (i) one reference, or NULL */
  bool counted;                 /* it counts there until it has closed */
  cast_coroutine *idle;         /* finished coroutines, to be used again */
  uint32_t nidle;
  uint32_t idle_room;
  uint32_t startups_room;
  uint32_t ndrained;
  int anchors_used, anchors_room, anchors_free; /* anchor.c */
  struct cast_random *random;   /* mathlib.c; NULL: nothing drawn yet */
  struct cast_signals *signals; /* (i) a root's: program.c */
  cast_state *root;    /* (i) the host whose end closes this one; may be self */
  cast_timer watchdog; /* has tasks looked at that compute on (preempt.c) */
  _Atomic uint64_t watchdog_ns; /* (a) hint: when */
  _Atomic int32_t ncancelling;  /* (a) tasks that somebody has cancelled */
  cast_post close_post;
  _Atomic bool close_posted;         /* (a) set once */
  cast_post scan_post;               /* tasks are to be cancelled: cancel.c */
  _Atomic bool scan_posted;          /* (a) it is in the inbox */
  _Atomic(cast_post *) all_requests; /* (a) cancel.c */
  cast_list children; /* host: (host lock) its sessions' states */
  cast_list sibling;  /* (host lock) */
  /* Addresses of handles that live: cast_handle_at need not ask what the
     userdata is. An entry goes with its handle. */
  const void *handle_cache[CAST_HANDLE_CACHE];
  cast_list cleanups;    /* what operations hold: cleanup.h */
  _Atomic bool preempt_missed; /* metered: a signal found no task */
  size_t gc_debt;        /* bytes the collector is to be told of: handle.c */
  cast_slabs slabs;      /* memory of the Lua state; not a host's */
  size_t memory_max;     /* (i) 0: no limit; slabs.max is another at times */
#if CAST_LUA < 502
  size_t collect_at; /* with a limit: bytes from which on it is starved */
  bool starved;      /* all garbage is to be collected: memory.c */
#endif
  uint64_t cpu_max;     /* (i) 0: cpu is not measured */
  uint64_t cpu_from;    /* its thread's when the slice began */
  _Atomic uint64_t cpu; /* (a) used in slices that have ended */
  _Atomic bool over;    /* (a) it was more than cpu_max: all tasks fail */
  _Atomic bool ending;  /* (a) host: everything is being unwound */
  bool opened;          /* its module has been made */
  bool closing;         /* its Lua state is being closed: no new handles */
#ifdef CAST_COLLECT
  uint32_t collecting; /* finalizers of collect.c's that wait */
  uint32_t chance;     /* what is drawn for them */
  bool halted;         /* the last try of a protected call: none */
#endif
  size_t name_size; /* (i) */
  char name[];      /* (i) may have zero bytes, and one at its end */
};

/* The first upvalue is a box, a userdata that holds the pointer: it lives as
   long as the Lua state, and is empty once casting has closed in it. */
_Noreturn void cast_raise_closed(lua_State *L);
static inline cast_state *cast_state_here(lua_State *L) {
  cast_state **box = lua_touserdata(L, lua_upvalueindex(1));
  if (CAST_UNLIKELY(*box == NULL || cast_forked)) cast_raise_closed(L);
  return *box;
}
/* For what goes on working in the child of a fork, too: NULL if closed. */
static inline cast_state *cast_state_boxed(lua_State *L) {
  cast_state **box = lua_touserdata(L, lua_upvalueindex(1));
  return *box;
}
/* In a session of ours the extra space of each coroutine (5.3 and later; a
   host program may have its own use for it) holds the state, too: found
   without a call. */
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
/* Pushes the name whole. */
static inline void cast_state_push_name(lua_State *L, const cast_state *S) {
  lua_pushlstring(L, S->name, S->name_size);
}

/* The state's cast_state, or NULL if casting was not opened in it. */
cast_state *cast_state_find(lua_State *L);
/* A host needs threads of ours from now on, if it did not before. Raises. */
void cast_state_prepare(lua_State *L, cast_state *S);
/* The box of a state, anchored in the registry, empty so far. A host's is also
   the guard whose finalizer, gc, ends everything. Raises. */
cast_state **cast_state_push_box(lua_State *L, lua_CFunction gc);
/* Keeps the box on the top of the stack for the state's library functions. */
void cast_state_keep_box(lua_State *L);
/* Is the latest wait of the main program one of a finalizer while its state
   closes (last.h)? */
static inline bool cast_last_is_waiting(const cast_state *S) {
  return CAST_UNLIKELY(S->last.waits);
}
/* In a finalizer: has the collector called it in a task, while such a wait is
   under way? It calls what lua_close has put aside, which may be in use. */
static inline bool cast_last_is_stray(const cast_state *S) {
  return cast_last_is_waiting(S) && S->session.current != &S->main->base;
}

#endif
