/* lineage.h - the modules whose loading has led to a session.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LINEAGE_H
#define CAST_LINEAGE_H

#include "ltask.h"

typedef struct cast_lineage cast_lineage;

/* The lineage of a session that t makes now, in L: pushes a box that holds a
   reference, or that holds NULL if there is none. Raises if a module makes
   sessions without end. */
cast_lineage *cast_lineage_push(lua_State *L, cast_state *S, cast_ltask *t);
/* A session of that lineage is being made in S. True: it counts, until
   cast_lineage_uncount. */
bool cast_lineage_count(const cast_state *S, cast_lineage *l);
void cast_lineage_uncount(cast_lineage *l);
/* May t make sessions of another lineage than its own session's? */
static inline bool cast_lineage_differs(const cast_ltask *t) {
  return t->loading || (t->extra != NULL && t->extra->lineage != NULL);
}
/* If so: t spawns `task` in its own session. False: out of memory. */
bool cast_lineage_spawn(
  lua_State *L, cast_state *S, cast_ltask *t, cast_ltask *task);
/* One more reference, and giving one up. NULL: nothing. */
cast_lineage *cast_lineage_ref(cast_lineage *l);
void cast_lineage_drop(cast_lineage *l);
void cast_lineage_drop_later(cast_lineage *l, cast_object **more);

#endif
