/* load.h - modules that are being loaded: one task loads, others wait.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LOAD_H
#define CAST_LOAD_H

#include "../compat/compat.h"
#include "ltask.h"
#include "state.h"

typedef struct cast_load cast_load;

/* Does another task than t load that module? */
bool cast_load_has_other(cast_state *S, const cast_ltask *t, const char *name);
/* If so, t, which is to wait in place and has entered, waits for its end:
   CAST_PARKED, and is to park with that kind, which pushes whether there is a
   circle of waits. 0: it need not, and that is pushed. */
int cast_load_wait(
  lua_State *L, cast_state *S, cast_ltask *t, const char *name);
extern const cast_wait_kind cast_load_kind;
/* t begins to load the module whose name is at 1. The function that runs was
   called by `require`. NULL: another task has begun meanwhile. Raises. */
cast_load *cast_load_begin(
  lua_State *L, cast_state *S, cast_ltask *t, lua_CFunction require);
/* By its number, which is never that of another one in the state: if it has
   not ended by itself. */
uint64_t cast_load_number(const cast_load *l);
void cast_load_end(lua_State *L, cast_state *S, uint64_t number);

/* t, which runs in L, is about to let go of the session: ends its loads that
   are over. None of these functions raises. */
void cast_load_settle(lua_State *L, cast_state *S, cast_ltask *t);
/* The same when require, which has called what runs in L, was called anew: what
   an earlier call in its place has begun is over, too. */
void cast_load_again(lua_State *L, cast_state *S, cast_ltask *t);
/* The same for a task that is not in any call of require. */
void cast_load_leave(cast_state *S, cast_ltask *t);
/* A wait of t in L begins, and has ended. These do not allocate. */
void cast_load_park(lua_State *L, cast_state *S, cast_ltask *t);
void cast_load_resume(lua_State *L, cast_state *S, cast_ltask *t);
/* Where the lineage is kept of what t makes while it loads a module, and that
   module's name; NULL: t loads none. A reference that is put there is dropped
   with the load. */
struct cast_lineage **cast_load_lineage(
  cast_state *S, const cast_ltask *t, const char **name);
/* t is about to meet a cancellation or a deadline: loads that this ends may be
   tried again. */
void cast_load_stop(cast_ltask *t);
/* The session has ended. */
void cast_load_fini(cast_state *S);

#if CAST_LUA < 502
/* The mark that require puts into package.loaded: is it at i? */
bool cast_load_is_mark(lua_State *L, int i);
/* Pops it from the stack, and keeps it for these functions. */
void cast_load_note_mark(lua_State *L);
#endif

#endif
