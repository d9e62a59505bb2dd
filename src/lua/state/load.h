/* load.h - modules that are being loaded: one task loads, others wait.
   SPDX-License-Identifier: MIT

   Called by require.c, and wherever a task waits.
   Owner: the session's. */
#ifndef CAST_LOAD_H
#define CAST_LOAD_H

#include "../compat/compat.h"
#include "ltask.h"
#include "state.h"

typedef struct cast_load cast_load;

/* Does another task than t load that module? */
bool cast_load_has_other(cast_state *S, const cast_ltask *t, const char *name);
/* Waits for the end of that load. t has entered, and will wait in place.
   Returns CAST_PARKED: the caller parks with cast_load_kind, which pushes
   whether there is a circle of waits. 0: t need not wait, and that is pushed
   already. */
int cast_load_wait(
  lua_State *L, cast_state *S, cast_ltask *t, const char *name);
/* The kind of such waits. */
extern const cast_wait_kind cast_load_kind;
/* t begins to load the module whose name is at 1, in a function that `require`
   has called. NULL: another task has begun meanwhile. Raises when out of
   memory. */
cast_load *cast_load_begin(
  lua_State *L, cast_state *S, cast_ltask *t, lua_CFunction require);
/* The number of a load, which no other one of the state ever has: it stays good
   when the load has been freed. */
uint64_t cast_load_number(const cast_load *l);
/* Ends the load with that number, unless it has ended by itself. */
void cast_load_end(lua_State *L, cast_state *S, uint64_t number);

/* t, which runs in L, is about to let go of the session: ends its loads that
   are over. This and the following do not raise. */
void cast_load_settle(lua_State *L, cast_state *S, cast_ltask *t);
/* The same in a function that require has called in L, for another module: a
   load that an earlier call in the same place has begun is over, too. */
void cast_load_again(lua_State *L, cast_state *S, cast_ltask *t);
/* The same for a task that is in no call of require: all its loads are over. */
void cast_load_leave(cast_state *S, cast_ltask *t);
/* A wait of t in L begins; it has ended. These do not allocate. */
void cast_load_park(lua_State *L, cast_state *S, cast_ltask *t);
void cast_load_resume(lua_State *L, cast_state *S, cast_ltask *t);
/* Where the lineage of what t makes while it loads a module is kept, and *name,
   that module; NULL: t loads none. A reference that is put there goes with the
   load. */
struct cast_lineage **cast_load_lineage(
  cast_state *S, const cast_ltask *t, const char **name);
/* t is about to meet a cancellation or a timeout: modules that fail by that may
   be loaded again. */
void cast_load_stop(cast_ltask *t);
/* The session has ended: frees what is left. */
void cast_load_fini(cast_state *S);

#if CAST_LUA < 502
/* Is the value at i the mark that require puts into package.loaded? */
bool cast_load_is_mark(lua_State *L, int i);
/* Pops that mark from the stack, and keeps it for the functions of this
   file. */
void cast_load_note_mark(lua_State *L);
#endif

#endif
