/* sandbox.h - sessions that are not trusted.
   SPDX-License-Identifier: MIT */
#ifndef CAST_SANDBOX_H
#define CAST_SANDBOX_H

#include "../../object.h"
#include "../compat/compat.h"
#include "state.h"

/* What makes a session a sandbox: one for each such session, counted, for those
   below it refer to it also when it has closed. */
typedef struct cast_sandbox cast_sandbox;
struct cast_sandbox {
  cast_object object;   /* its references: the session, and those below it */
  cast_sandbox *parent; /* (i) of the session that made it: one reference;
                           NULL: that one is trusted */
  uint32_t libs;        /* (i) a set of libraries, see session/library.h */
  _Atomic uint64_t told_ns; /* (a) of the topmost: when what has been reported
                               would be due at one report in CAST_TAME_NS */
};

/* A sandbox made by `maker`, which may be trusted (NULL: by C), with one
   reference for the caller. NULL: out of memory. */
cast_sandbox *cast_sandbox_new(const cast_state *maker, uint32_t libs);
/* Gives a reference up. NULL: nothing. */
void cast_sandbox_drop(cast_sandbox *b);

/* May code in S act on the session `target`: start tasks there, cancel, close,
   look into it? A trusted session may act on all, a sandbox on itself and on
   what it has made. */
bool cast_sandbox_may(const cast_state *S, const cast_state *target);
/* Raises "spawn: session 'x' was not made by this sandbox" unless it may. */
void cast_sandbox_check(lua_State *L, const cast_state *S,
  const cast_state *target, const char *what);

/* May one more failure in this sandbox be reported? Then it is counted. Any
   thread. */
bool cast_sandbox_may_tell(cast_sandbox *b);

#endif
