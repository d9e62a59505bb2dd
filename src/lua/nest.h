/* nest.h - coroutines of the program's own in which a task waits in place.
   SPDX-License-Identifier: MIT

   While a task waits in place, others run, and nothing keeps those coroutines
   but slots of stacks that others can reach (debug.setlocal): coroutine.resume
   has the one that it resumed as its argument. So for as long they are kept by
   an anchor each. And before 5.3.5 lua_resume changes a counter of a coroutine
   that it refuses because it runs: it is set back.
   Owner: the session's. */
#ifndef CAST_NEST_H
#define CAST_NEST_H

#include "anchor.h"
#include "state.h"

/* Lies on the C stack that is kept. */
typedef struct cast_nest {
  uint32_t n;
  struct {
    lua_State *co;
    int anchor;     /* 0: none */
    uint16_t calls; /* see probe.h */
  } in[CAST_NEST_MAX];
} cast_nest;

/* Where t begins. NULL: not known (a 5.1 host's main program). */
static inline lua_State *cast_nest_base(
  const cast_state *S, const cast_ltask *t) {
  return t->co != NULL ? t->co : S->L;
}

/* t is about to wait on L: makes room, if that may have to be in place. May
   raise. */
static inline void cast_nest_ready(lua_State *L, cast_state *S, cast_ltask *t) {
  if (CAST_UNLIKELY(L != cast_nest_base(S, t)))
    cast_anchor_ready(L, S, CAST_NEST_MAX);
}

void cast_nest_keep(
  cast_nest *n, lua_State *L, cast_state *S, const cast_ltask *t);
/* It waits there in place. Neither raises nor takes memory: what there is no
   room for (a finalizer has waited in between) is not kept. */
static inline void cast_nest_begin(
  cast_nest *n, lua_State *L, cast_state *S, const cast_ltask *t) {
  n->n = 0;
  if (CAST_LUA == 502 || CAST_LUA == 503 || L != cast_nest_base(S, t))
    cast_nest_keep(n, L, S, t);
}

void cast_nest_drop(const cast_nest *n, cast_state *S);
/* The wait is over. */
static inline void cast_nest_end(const cast_nest *n, cast_state *S) {
  if (CAST_UNLIKELY(n->n > 0)) cast_nest_drop(n, S);
}

#endif
