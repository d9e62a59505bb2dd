/* cleanup.h - userdata that hold what C code refers to, while it may raise.
   SPDX-License-Identifier: MIT

   An operation that owns references pushes one of these, and the collector
   drops them when it has ended, or an error has left it. A state that ends does
   so for all that are still there: what they refer to may need the runtime at
   its end (the failure of a task is said then), which may stop before the
   collector comes to them. */
#ifndef CAST_CLEANUP_H
#define CAST_CLEANUP_H

#include "../../list.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "state.h"

/* At the beginning of the userdata. */
typedef struct cast_cleanup cast_cleanup;
struct cast_cleanup {
  cast_list link;                /* in cast_state.cleanups */
  void (*drop)(cast_cleanup *h); /* NULL: it was called */
};

/* Pushes one of `size` bytes, which are zero but for the cast_cleanup. drop:
   gives up what it holds, and neither raises nor runs any Lua code. Raises. */
void *cast_cleanup_push(
  lua_State *L, cast_state *S, size_t size, void (*drop)(cast_cleanup *h));
/* Pushes one that holds one object, or none (NULL). Raises. */
cast_object **cast_box_push(lua_State *L, cast_state *S);
/* The state ends: all of them drop what they hold. */
void cast_cleanup_run_all(cast_state *S);

#endif
