/* newsession.h - making sessions of the pool, and closing them.
   SPDX-License-Identifier: MIT */
#ifndef CAST_NEWSESSION_H
#define CAST_NEWSESSION_H

#include "../../types.h"
#include "../compat/compat.h"
#include "../state/state.h"

/* What the option `jit` says: whether LuaJIT may compile. */
typedef enum cast_jit { CAST_JIT_UNSAID, CAST_JIT_OFF, CAST_JIT_ON } cast_jit;

/* What the options of casting.session say. */
typedef struct cast_options {
  cast_chars name;    /* for messages; without one it gets "session N" */
  uint32_t libs;      /* a set of libraries, see library.h */
  size_t memory_max;  /* 0: no limit */
  uint64_t cpu_max;   /* nanoseconds; 0: not measured, OS_FOREVER: no limit */
  uint32_t tasks_max; /* 0: no limit */
  bool own_thread;    /* it gets a thread of its own (keeper.h) */
  cast_jit jit;       /* see cast_options_interpret */
  bool sandbox;       /* it is not trusted: state/sandbox.h */
  cast_chars modules; /* a sandbox's: names of modules, each with a zero byte
                         behind it; NULL: those that its maker has */
} cast_options;
/* Makes in the Lua state of L what casting needs there, but for the module and
   the classes of handles, which are made when they are first needed. If it has
   failed half way, it may be called again. Raises. */
void cast_state_init_lua(lua_State *L, cast_state *S);
/* A root for the sessions that C makes. Others may be below it as below a host,
   but it has no Lua state, and nobody runs it. NULL: out of memory. */
cast_state *cast_state_root(const cast_binding *binding);
/* A new session below `root`, made by `maker` (NULL: by C, which is trusted),
   with a strong reference for the caller, who is also the session's owner until
   cast_session_release. NULL, and *rc: out of memory (CASTING_ENOMEM), or what
   cast_worker_keep returns. */
cast_state *cast_state_make(
  cast_state *root, const cast_state *maker, const cast_options *o, int *rc);
/* The owner of a session that it has not released yet: has f(arg) called in the
   thread that may work in its Lua state, which is the caller's, or the
   session's own. False: it was not called, as this is the child of a fork. */
bool cast_state_call(cast_state *S, void (*f)(void *arg), void *arg);
/* S has used up the cpu time of its sandbox, or one around it: has the sessions
   look that share it, once. */
void cast_state_cpu_over(cast_state *S);
/* Asks all sessions below root to close. */
void cast_state_close_children(cast_state *root, cast_session *self);
/* Makes a session below the root of S, and pushes its handle on L. *to is set
   as soon as the session exists, also if an error is raised after that: the
   caller is its owner then, and releases it. Raises. */
void cast_state_new(
  lua_State *L, cast_state *S, const cast_options *o, cast_state **to);
/* Asks the session to cancel its tasks and to close when they have ended. Any
   thread; `self` is the session that asks, or NULL. */
void cast_state_close(cast_state *S, cast_session *self);
/* A state that is no session yet, with a name of `size` bytes. NULL: out of
   memory. */
cast_state *cast_state_alloc(
  const cast_binding *binding, const char *name, size_t size);
/* Frees a state whose Lua state is gone, with all that belongs to it. */
void cast_state_free(cast_state *S);
/* ops->free: nobody has a weak reference to the session any more. */
void cast_session_free(cast_session *s);

#endif
