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
      in the task's waiter.msg, in a rebuild (park.c), or in a handle or a box.
   4. Whatever makes Lua values may run a finalizer, in the middle of an
      operation of the task, and that may do operations of the same task. So
      in between nothing lies in waiter.msg, and how the task waits is found
      out afterwards (cast_enter_again). */
#ifndef CAST_STATE_H
#define CAST_STATE_H

#include "../chan.h"
#include "../fork.h"
#include "../host.h"
#include "../slab.h"
#include "../slice.h"
#include "compat.h"
#include "fixed.h"
#include "handle.h"
#include "lib.h"
#include "ltask.h"
#include "pack.h"
#include "single.h"

#define CAST_SURE 16u /* see cast_state.sure; a power of two */

/* What the rooms above this one do for a state: one constant table, given to a
   host when it is made and inherited by its sessions. */
typedef struct cast_binding {
  const cast_class *const *classes; /* of handles; NULL ends the list */
  const luaL_Reg *functions;        /* of the module, for errors */
  lua_CFunction open;               /* luaopen_casting, for package.preload */
  /* Makes the module and pushes it. Raises. */
  void (*open_module)(lua_State *L);
  /* The first finalizer of ours that the lua_close of a host runs. */
  void (*end)(lua_State *L);
} cast_binding;

struct cast_state {
  cast_session session;
  lua_State *L; /* main thread; NULL: a 5.1 host's, not known yet */
  lua_State *work;
  const cast_binding *binding; /* (i) */
  cast_fixed *fixed;           /* what its functions are in, or NULL */
  cast_packer *packer;
  cast_host *host;  /* NULL: one of ours */
  cast_ltask *main; /* host: its main program */
  /* What a poke makes look up: the coroutine that runs (hook.c). Atomic for
     the handler, in the same thread; so relaxed. */
  _Atomic(lua_State *) running;
  _Atomic(lua_State *) poked; /* see hook.c */
  bool through;   /* a hook in it may yield up to the task's resumer */
  bool preempted; /* it has */
  bool struck;    /* host: a task has met what was meant for its main program */
  bool refused;   /* a finalizer was to wait between tasks: cast_protect */
  uint32_t between; /* such calls under way */
  /* Host: the main thread and what its hook was when the main program's wait
     began. Atomic for the monitor, which looks whether it has changed. */
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
  cast_startup **startups;      /* of tasks that have not begun: starting.c */
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
  struct cast_random *random;   /* lib_math.c; NULL: nothing drawn yet */
  struct cast_signals *signals; /* (i) a root's: program.c */
  cast_state *root; /* (i) the host whose end closes this one; may be self */
  cast_timer nag;   /* has tasks looked at that compute on (stop.c) */
  _Atomic uint64_t nag_ns; /* (a) hint: when */
  _Atomic int32_t wanted;  /* (a) tasks that somebody has cancelled */
  cast_post close_post;
  _Atomic bool close_posted;   /* (a) set once */
  cast_post search_post;       /* tasks are to be cancelled: cancel.c */
  _Atomic bool search_posted;  /* (a) it is in the inbox */
  _Atomic(cast_post *) sweeps; /* (a) wishes that all tasks end: cancel.c */
  cast_list children;          /* host: (host lock) its sessions' states */
  cast_list sibling;           /* (host lock) */
  /* Addresses of handles that live: cast_handle_at need not ask what the
     userdata is. An entry goes with its handle. */
  const void *sure[CAST_SURE];
  cast_list held;      /* what operations hold: held.h */
  _Atomic bool missed; /* metered: a poke found no task to look up */
  size_t unseen;       /* bytes the collector is to be told of: handle.c */
  cast_slabs slabs;    /* memory of the Lua state; not a host's */
  size_t memory_max;   /* (i) 0: no limit; slabs.max is another at times */
#if CAST_LUA < 502
  size_t collect_at; /* with a limit: bytes from which on it is starved */
  bool starved;      /* all garbage is to be collected: newstate.c */
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
  return t == NULL || (S->main != NULL && t == &S->main->core)
           ? NULL
           : CAST_CONTAINER(t, cast_ltask, core);
}
static inline cast_ltask *cast_ltask_of(cast_task *t) {
  return CAST_CONTAINER(t, cast_ltask, core);
}
static inline cast_state *cast_state_of(cast_session *s) {
  return CAST_CONTAINER(s, cast_state, session);
}

/* The slot of `sure` for a handle at that address. */
static inline uint32_t cast_sure_slot(const void *p) {
  uintptr_t at = (uintptr_t)p;
  return (uint32_t)(at >> 4 ^ at >> 8) & (CAST_SURE - 1);
}
/* cast_handle_check, quick for handles that were used lately. That the tag is
   looked at is a precaution: a debug.setmetatable may have made the collector
   forget the handle without __gc. */
static inline cast_object *cast_handle_quick(
  lua_State *L, cast_state *S, int idx, const cast_type *type) {
  const cast_handle *h = lua_touserdata(L, idx);
  if (CAST_LIKELY(h != NULL && S->sure[cast_sure_slot(h)] == h &&
                  h->tag == &cast_handle_tag && h->object != NULL &&
                  h->object->type == type))
    return h->object;
  return cast_handle_sure(L, S, idx, type);
}

/* cast_handle_test, with the same short cut. */
static inline cast_object *cast_handle_known(
  lua_State *L, cast_state *S, int idx) {
  cast_handle *h = lua_touserdata(L, idx);
  if (h == NULL) return NULL;
  if (CAST_LIKELY(
        S->sure[cast_sure_slot(h)] == h && h->tag == &cast_handle_tag))
    return h->object;
  h = cast_handle_at(L, idx);
  if (h == NULL) return NULL;
  S->sure[cast_sure_slot(h)] = h;
  return h->object;
}

/* -- state.c -------------------------------------------------------------- */

/* Pushes the name whole. */
static inline void cast_state_push_name(lua_State *L, const cast_state *S) {
  lua_pushlstring(L, S->name, S->name_size);
}

/* The state's cast_state, or NULL if casting was not opened in it. */
cast_state *cast_state_find(lua_State *L);
/* A host needs threads of ours from now on, if it did not before. Raises. */
void cast_state_prepare(lua_State *L, cast_state *S);
/* Makes L a host. Raises. */
cast_state *cast_state_host(lua_State *L, const cast_binding *binding);
/* What the options of casting.session say. */
typedef struct cast_options {
  cast_chars name;    /* none: one is made up */
  uint32_t libs;      /* as for cast_libs_open */
  size_t memory_max;  /* 0: no limit */
  uint64_t cpu_max;   /* nanoseconds; 0: not measured, OS_FOREVER: no limit */
  uint32_t tasks_max; /* 0: no limit */
} cast_options;
/* What casting needs in L (again, if that failed half way), but for the module
   and the classes of handles, which are made when first needed. Raises. */
void cast_state_furnish(lua_State *L, cast_state *S);
/* Calls fn(L) with `arg` as light userdata, protected; on an error its
   message is on the stack. */
int cast_protect_on(lua_State *L, lua_CFunction fn, void *arg);
/* The root of sessions that C makes: it has no Lua state and is no session.
   NULL: out of memory. */
cast_state *cast_state_root(const cast_binding *binding);
/* A new session below `root`; its first handle is the caller's, who also owns
   the session until cast_session_release. */
cast_state *cast_state_make(cast_state *root, const cast_options *o);
/* The session below root that comes after `after`, or the first, with a hold;
   NULL: there is none. */
cast_state *cast_state_child(cast_state *root, cast_state *after);
/* Into all[]: root, if it is a host, and its sessions, with a hold each; no
   more than `room`. How many. */
uint32_t cast_state_family(cast_state *root, cast_state **all, uint32_t room);
/* Asks all of them to close. */
void cast_state_close_children(cast_state *root, cast_session *self);
/* A new session, its handle pushed on L; *to is set as soon as it is there, and
   is to be released. Raises. */
void cast_state_new(
  lua_State *L, cast_state *S, const cast_options *o, cast_state **to);
/* Owner, in the child of a fork, between tasks: who has forked has ended (`ok`:
   without an error). In a session of ours the process ends; of a host the main
   program goes on. Returns if that is what runs. */
void cast_state_forked(cast_state *S, bool ok);
/* Ends a host: lua_close has begun. Does nothing the second time, and in a
   session of ours. */
void cast_state_end(lua_State *L);
/* Asks the session to cancel everything and close; any thread. */
void cast_state_close(cast_state *S, cast_session *self);
/* Calls fn(work) with `arg` as light userdata, protected: LUA_OK or an error
   status; the error message is dropped. No task runs meanwhile: finalizers may
   not wait. One that tries raises an error, which fn meets before 5.4; then fn
   is called again, so it must not mind that it had begun, and if it catches an
   error while `refused` is set, it is to raise it. */
int cast_protect(cast_state *S, lua_CFunction fn, void *arg);

/* -- task.c --------------------------------------------------------------- */

extern const cast_type cast_task_type;
extern const cast_session_ops cast_pool_ops;
extern const cast_session_ops cast_host_ops;

/* A task of session `home`, not started, with a reference for the caller; NULL:
   out of memory. `own`: the caller is the session's owner. */
cast_ltask *cast_ltask_make(cast_state *home, bool own);
/* The same with its handle pushed on L instead. Raises. */
cast_ltask *cast_ltask_new(lua_State *L, cast_state *home, bool own);
/* t->extra, made if it was not there; NULL: out of memory. */
cast_extra *cast_extra_make(cast_ltask *t);
/* ops->resume. */
cast_session *cast_ltask_resume(cast_session *s, cast_task *t, cast_runner **r);
/* The task whose handle is argument i. Raises. */
cast_ltask *cast_ltask_check(lua_State *L, int i);
/* -- cancel.c ------------------------------------------------------------- */

/* Pushes a cancellation error; `reason` may be NULL. */
void cast_cancel_push(lua_State *L, cast_chars reason);
/* What t meets: its cancellation, or that its session's budget is used up. */
void cast_cancel_push_of(lua_State *L, cast_ltask *t);
bool cast_cancel_test(lua_State *L, int i);
/* Asks t's session to cancel it; any thread. Out of memory, without the
   reason: this never fails. */
void cast_ltask_cancel(cast_ltask *t, cast_session *self, cast_chars reason);
/* The same for all tasks that it has when it comes to it. 0, CASTING_ENOMEM. */
int cast_state_cancel(cast_state *S, cast_session *self, cast_chars reason);
/* Are there such wishes that nobody has come to? */
bool cast_cancel_sweeps(cast_state *S);
/* Drops these; nobody has the session any more. */
void cast_cancel_fini(cast_state *S);
/* Owner: cancels all for good; no more tasks are taken. */
void cast_cancel_close(cast_session *s);
/* Owner: its tasks never go on: they leave all queues. */
void cast_cancel_abandon(cast_state *S);
/* Has somebody asked for it? Any thread. */
bool cast_cancel_wanted(cast_ltask *t);
cast_chars cast_cancel_reason(cast_ltask *t);
/* Owner: t is cancelled, if that was asked for but not yet served. */
void cast_cancel_note(cast_ltask *t);
/* Owner: the task ends; from now on it is too late to ask. */
void cast_cancel_end(cast_ltask *t);
/* A cancellation that is asked for later, when nothing may be allocated.
   NULL: out of memory. */
typedef struct cast_request cast_request;
cast_request *cast_cancel_prepare(void);
#define CAST_REASON_MAX 240              /* bytes of its reason */
char *cast_cancel_text(cast_request *q); /* to be written before it is asked */
/* Gives it away. */
void cast_cancel_ask(cast_request *q, cast_ltask *t, cast_session *self);
void cast_cancel_drop(cast_request *q); /* NULL does nothing */
/* The task is being freed. */
void cast_cancel_forget(cast_ltask *t);

/* -- guard.c -------------------------------------------------------------- */

/* Is t past its time at now_ns, or a guard that t->at is in? Raises then. */
void cast_guard_check(lua_State *L, cast_ltask *t, uint64_t now_ns);
/* The same for a task that computes (stop.c): returns when to look again, or 0:
   it is to be raised, as it is known since *late_ns to compute nevertheless. */
uint64_t cast_guard_late(cast_ltask *t, uint64_t now_ns, uint64_t *late_ns);
/* Raises it. */
void cast_guard_raise(lua_State *L, cast_ltask *t, uint64_t now_ns);
/* When a wait that begins now must end for that reason; OS_FOREVER. */
uint64_t cast_guard_next(cast_ltask *t, uint64_t now_ns);
/* t is about to go on in L: what has come meanwhile counts from now on. Returns
   the earliest of these and of its deadlines, in force or not. */
uint64_t cast_guard_meet(cast_ltask *t, lua_State *L, uint64_t now_ns);
/* ops->spared: see types.h. */
uint64_t cast_guard_spared(cast_task *t, uint64_t now_ns);
/* The task ends: its guards, if there are still some, forget it. */
void cast_guard_leave(cast_ltask *t);
/* Has t anything to check? */
static inline bool cast_guarded(const cast_ltask *t) {
#if CAST_LUAJIT
  /* No hook tells a loop of calls that never wait. Relaxed: or the next one
     sees it. */
  const cast_state *S = cast_state_of(t->core.session);
  if (atomic_load_explicit(&t->reason, memory_order_relaxed) != NULL ||
      atomic_load_explicit(&S->close_posted, memory_order_relaxed) ||
      atomic_load_explicit(&S->sweeps, memory_order_relaxed) != NULL)
    return true;
#endif
  return t->core.cancelled || cast_guards(t) != NULL;
}
/* Where the functions written in Lua are said to be, among the library's own
   (CAST_OWN_SOURCE). */
#define CAST_GUARD_SOURCE "=casting/guard.lua"
/* Finishes the module on the top of the stack. */
void cast_open_guard(lua_State *L);

/* -- stop.c --------------------------------------------------------------- */

int cast_nag_init(cast_state *S); /* 0, CASTING_ENOMEM */
/* Has the task that runs at at_ns looked at, or sooner. Any thread. */
void cast_nag_at(cast_state *S, uint64_t at_ns, uint64_t now_ns);
/* Monitor: is it time to have a host's task looked at? */
bool cast_stop_due(cast_state *S);
/* Owner, as in a signal handler: is there anything to look at? */
bool cast_stop_wanted(cast_state *S);
/* In a hook: raises if t is past its time. */
void cast_stop_look(lua_State *L, cast_state *S, cast_ltask *t);
/* LuaJIT: a hook that is set now is seen at the next instruction of L, if that
   can be done. */
void cast_stop_interpret(lua_State *L);
/* Has the hook called after `count` instructions of L. */
void cast_stop_hook(lua_State *L, int count);
/* A host begins to end: hooks are to work although it is in a finalizer. */
void cast_stop_allow(cast_state *S);
/* From now on each instruction of t raises. */
void cast_stop_insist(lua_State *L, cast_ltask *t);
/* Are a host's tasks to have a hook, whoever wants something of them? */
static inline bool cast_stop_stands(cast_state *S) {
  /* Relaxed: it is set by this state's owner. */
  if (S->host == NULL) return false;
  return S->last.waits ||
         atomic_load_explicit(&S->ending, memory_order_relaxed);
}
/* t is about to go on in L: sees to it that it is stopped in time. */
void cast_stop_watch(cast_state *S, cast_ltask *t, lua_State *L);

/* -- hook.c --------------------------------------------------------------- */

/* The hook: whatever computes looks up. */
void cast_hook(lua_State *L, lua_Debug *ar);
/* ops->poke: as in a signal handler. The task that computes will look up. */
void cast_hook_poke(cast_session *s);
#if CAST_LUA < 502
/* The state is starved: the task that runs will look up at its next
   instruction, if it can. Called by the allocator. */
void cast_hook_starved(cast_state *S);
#endif
/* Host: the main program's wait begins, in L. */
void cast_hook_note(cast_state *S, lua_State *L);
/* Has a signal handler set that one since? Not what debug.sethook sets. */
bool cast_hook_is_news(cast_state *S, lua_Hook hook);
/* Is such a one there? Monitor, too. */
bool cast_hook_changed(cast_state *S);
/* No hook in L any more. */
void cast_hook_clear(lua_State *L);
/* LuaJIT, a host: a task is about to go on in L. */
void cast_hook_mark(lua_State *L);
/* LuaJIT, a host: has a task met a signal handler's hook, whose error is on the
   top of L (NULL: it has failed where a hook only can have been)? The main
   program will raise the error; true until then. */
bool cast_hook_struck(cast_state *S, lua_State *L);
/* ops->urgent of a host. */
bool cast_hook_urgent(cast_session *s);

/* -- newstate.c ----------------------------------------------------------- */

/* Without libraries, closed by lua_close. NULL: out of memory, or over the
   session's limit. */
lua_State *cast_state_lua(cast_state *S);
/* lua_close. */
void cast_state_unlua(cast_state *S);
#if CAST_LUA < 502
/* Owner: collects all garbage, whatever the limit. Finalizers may not wait, as
   between tasks. */
void cast_state_collect(cast_state *S);
#endif

/* -- anchor.c ------------------------------------------------------------- */

/* Keeps the value on the top of L, which it takes, until the number that it
   returns is given back. Raises. */
int cast_anchor(lua_State *L, cast_state *S);
/* Pushes it, without taking memory. */
void cast_anchor_push(lua_State *L, cast_state *S, int at);
void cast_anchor_free(cast_state *S, int at);

/* -- park.c --------------------------------------------------------------- */

/* The task that is about to block, with what blocking needs reserved. Raises:
   where nothing can block, when cancelled, when out of memory. `deadline_ns`
   other than OS_FOREVER makes room for it. */
cast_ltask *cast_enter(lua_State *L, cast_state *S, uint64_t deadline_ns);
/* Once more what blocking needs, with a deadline, after Lua may have run
   anything in between (invariant 4): it runs nothing itself, and does not end a
   cancelled task. False: there was no memory. */
bool cast_enter_anew(lua_State *L, cast_state *S, cast_ltask *t);
/* The same for a task with something packed, which goes back then. Raises. */
void cast_enter_again(lua_State *L, cast_state *S, cast_ltask *t);
#if CAST_HAS_OURS
/* The same without a deadline, where most often nothing has to be done. */
static inline cast_ltask *cast_enter_quick(lua_State *L, cast_state *S) {
  cast_task *core = S->session.current;
  cast_ltask *t;
  if (CAST_UNLIKELY(core == NULL)) return cast_enter(L, S, OS_FOREVER);
  t = cast_ltask_of(core);
  if (CAST_UNLIKELY(L != t->co || cast_guarded(t) ||
                    !cast_msg_empty(&core->waiter.msg) || S->rebuilds != NULL ||
                    t->loading || t->holds || !lua_isyieldable(L)))
    return cast_enter(L, S, OS_FOREVER);
  t->at = L;
  t->in_place = false;
  return t;
}
#else
#define cast_enter_quick(L, S) cast_enter(L, S, OS_FOREVER)
#endif
/* To be returned by a library function after CAST_PARKED: waits, then returns
   what the kind's finish pushes. */
int cast_park(lua_State *L, cast_state *S, cast_ltask *t, uint64_t deadline_ns,
  const cast_wait_kind *kind);
/* The same, with a reference to t->arg, which begins with a cast_object. */
int cast_park_about(lua_State *L, cast_state *S, cast_ltask *t,
  uint64_t deadline_ns, const cast_wait_kind *kind);
/* The same without a deadline, quick where the task yields and most often gets
   one number. */
#if CAST_HAS_OURS
int cast_resumed(lua_State *L, int status, lua_KContext ctx);
static inline int cast_park_quick(
  lua_State *L, cast_state *S, cast_ltask *t, const cast_wait_kind *kind) {
  if (CAST_UNLIKELY(t->in_place || cast_guarded(t)))
    return cast_park(L, S, t, OS_FOREVER, kind);
  t->kind = kind;
  t->limited = false;
  /* Relaxed: only reported. */
  atomic_store_explicit(&t->core.status, CAST_WAITING, memory_order_relaxed);
  t->parked = true;
  return lua_yieldk(L, 0, (lua_KContext)t, cast_resumed);
}
#else
#define cast_park_quick(L, S, t, kind) cast_park(L, S, t, OS_FOREVER, kind)
#endif
/* After the wait, whatever comes then: nothing is queued any more. */
void cast_wait_over(cast_ltask *t);
/* After the wait: pushes its results, or raises. */
int cast_complete(lua_State *L, cast_state *S, cast_ltask *t);
/* Pushes the values of *m, which becomes empty, and returns how many. Raises
   when one cannot be rebuilt. */
int cast_rebuild_values(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m);
/* Forgets what failed rebuilds of t (NULL: of all) have left, down to `last`,
   which stays. */
void cast_rebuild_drop(cast_state *S, cast_ltask *t, const cast_rebuild *last);
/* Timeouts: an optional number of seconds at argument i. */
uint64_t cast_deadline(lua_State *L, int i);
uint64_t cast_deadline_in(double seconds);
uint64_t cast_period(double seconds); /* nanoseconds, OS_FOREVER at most */
/* Pushes nil and the word for an outcome. */
int cast_push_failure(lua_State *L, int result);
/* The same for a kind of wait that cleans up, which is told of what the caller
   will raise, too: then nothing. */
int cast_push_interrupt(lua_State *L, int result);
_Noreturn void cast_raise_memory(lua_State *L);
/* The main program's wait was interrupted: calls the hook that was set. */
void cast_call_hook(lua_State *L, cast_state *S);
/* Can L yield to whoever resumed it? */
bool cast_yieldable(lua_State *L);
void cast_probe(lua_State *L); /* once per process; before any of these */

/* -- monitor.c ------------------------------------------------------------ */

/* If *m is what a monitor has sent: pushes its values, leaves it, and returns
   how many they are; else 0. Raises. */
int cast_monitor_unpack(
  lua_State *L, cast_state *S, cast_ltask *self, cast_msg *m);
int cast_lib_monitor(lua_State *L);
int cast_lib_disown(lua_State *L);
int cast_lib_prolong(lua_State *L);

/* -- link.c --------------------------------------------------------------- */

int cast_lib_link(lua_State *L);
int cast_lib_follow(lua_State *L);
int cast_lib_unlink(lua_State *L);

/* -- lib_message.c -------------------------------------------------------- */

extern const cast_type cast_message_type;
/* What t has packed for sending, and was not sent, goes back. */
void cast_unsend(lua_State *L, cast_state *S, cast_ltask *t);
/* The task, or main program, that calls, as the scratch (waiter.msg) of what
   does not wait: works where tasks do not run, too, such as in finalizers. */
cast_ltask *cast_scratch(lua_State *L, cast_state *S);

/* -- lib_host.c ----------------------------------------------------------- */

/* Main program: lets its tasks run that are ready, waiting for one up to the
   deadline (0: not). Did any? Raises. */
bool cast_state_poll(lua_State *L, cast_state *S, uint64_t deadline_ns);
/* The descriptor that is readable when there is something to poll, or -1. */
int cast_state_fd(lua_State *L, cast_state *S);

/* -- libraries ------------------------------------------------------------ */

extern const cast_class cast_chan_class;
/* Pushes a new channel. Raises. */
cast_chan *cast_chan_push(lua_State *L, size_t capacity);
extern const cast_class cast_task_class;
extern const cast_class cast_session_class;
extern const cast_class cast_message_class;
extern const cast_binding cast_module_binding;
/* Makes the module, unless that was done, and puts it into package.loaded. */
void cast_module_need(lua_State *L);
/* The same, and pushes it. */
void cast_module_push(lua_State *L);
/* embed.c: puts what is written in Lua into the table on top. */
void cast_open_embedded(lua_State *L);

#endif
