/* cleanup.h - userdata that hold what C code refers to, while it may raise.
   SPDX-License-Identifier: MIT

   C has no destructors that an error would run. So an operation that owns
   references pushes one of these, and the collector gives the references up
   when the operation has ended or an error has left it. A state that ends does
   so for all that are still there: the end of what they refer to may need the
   runtime (a failed task is reported then), which may stop before the collector
   comes to them. */
#ifndef CAST_CLEANUP_H
#define CAST_CLEANUP_H

#include "../../list.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "state.h"

/* The beginning of such a userdata. */
typedef struct cast_cleanup cast_cleanup;
struct cast_cleanup {
  cast_list link; /* in cast_state.cleanups */
  void (*drop)(
    cast_cleanup *h); /* gives up what it holds; NULL: it was called */
};

/* Pushes one of `size` bytes, which are zero but for the cast_cleanup. fn
   becomes its `drop`: it neither raises nor runs any Lua code. Raises when out
   of memory. */
void *cast_cleanup_push(
  lua_State *L, cast_state *S, size_t size, void (*drop)(cast_cleanup *h));
/* Pushes one that holds one reference, or none, and returns where the caller
   puts that: NULL stands there first. Raises when out of memory. */
cast_object **cast_box_push(lua_State *L, cast_state *S);
/* The state ends: all of them give up what they hold. */
void cast_cleanup_run_all(cast_state *S);

#endif
